"""`python -m countersign` is the `countersign` command."""

from countersign.cli.main import main

main()
