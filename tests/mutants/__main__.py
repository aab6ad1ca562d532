"""Plants each broken rule in a copy of the package, one at a time, and shows which tests kill it.

    python -m tests.mutants [--all] [part of a name …]

With `--all` every suite is tried on each, not only up to the first that kills.
Exits 1 when one survives. A test that fails kills; one that does not come to an end within its time does not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.mutants import identities, rules
from tests.mutants.rules import Mutant

ROOT = Path(__file__).parents[2]
UNITS = (
    *(f"tests/domain/test_{part}.py" for part in ("review", "grant", "lease")),
    "tests/config/test_matching.py",
)
SERVICES = tuple(
    f"tests/service/test_{part}.py"
    for part in ("requests", "counter", "sealing", "trusting", "letting_in", "draws", "rulemaking", "automatic")
)
SUITES = (
    ("units", UNITS),
    ("attacks", ("tests/service/test_peers.py",)),
    ("services", SERVICES),
    ("histories", ("tests/service/test_rules_machine.py",)),
    ("coalitions", ("tests/service/test_prover_agrees.py",)),
)
LONGEST_S = 300
TESTS_FAILED = 1


def plant(mutant: Mutant, folder: Path) -> None:
    """Copy what the tests need and edit the copy.

    Raises:
        LookupError: a text is not there exactly once; the code has moved on, and so must the mutant.
    """
    for part in ("src", "tests", "docs"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for file, text, instead in mutant.edits:
        path = folder / "src" / "countersign" / file
        before = path.read_text()
        if before.count(text) != 1:
            raise LookupError(f"{mutant.name}: {text!r} stands {before.count(text)} times in {file}")
        path.write_text(before.replace(text, instead))


def killers(folder: Path, mutant: Mutant) -> Iterator[str]:
    """Yield the names of the suites that fail on what was planted, one after the other."""
    environment = os.environ | {"PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    for name, files in mutant.suites or SUITES:
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-k", "not postgresql", "-p", "no:cacheprovider", *files]
        try:
            done = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, timeout=LONGEST_S, check=False
            )
        except subprocess.TimeoutExpired:
            continue
        if done.returncode == TESTS_FAILED:
            yield name
        elif done.returncode != 0:
            raise RuntimeError(done.stdout.decode()[-2000:] + done.stderr.decode()[-2000:])


def main(wanted: Sequence[str]) -> int:
    """Try the mutants whose names hold one of `wanted`, or all; return the exit code."""
    every = "--all" in wanted
    wanted = [part for part in wanted if part != "--all"]
    survivors = 0
    chosen = [
        mutant
        for mutant in (*rules.MUTANTS, *identities.MUTANTS)
        if not wanted or any(part in mutant.name for part in wanted)
    ]
    for mutant in chosen:
        began = time.monotonic()
        with TemporaryDirectory(prefix="countersign-mutant-") as folder:
            plant(mutant, Path(folder))
            found = killers(Path(folder), mutant)
            killed_by = list(found) if every else list(islice(found, 1))
        survivors += not killed_by
        spent = time.monotonic() - began
        print(f"{mutant.name:<62} {spent:5.0f} s  {', '.join(killed_by) or 'SURVIVED'}", flush=True)  # noqa: T201 - a table is printed
    print(f"{len(chosen)} planted, {survivors} survived")  # noqa: T201 - as above
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
