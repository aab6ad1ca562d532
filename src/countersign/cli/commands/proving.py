"""Proving what a catalog and a directory let people reach, before they are in force."""

from __future__ import annotations

from pathlib import Path

import click

from countersign.cli.failures import Exit, usage
from countersign.cli.session import Session, with_session


@click.group(short_help="Prove what a catalog and a directory let people reach.")
def policy() -> None:
    """Questions about the rules themselves, answered from their files; no broker is called."""


@policy.command(short_help="Who alone, and who together, could reach what.")
@click.argument("catalog", type=click.Path(path_type=Path))
@click.argument("directory", type=click.Path(path_type=Path))
@with_session
def prove(session: Session, *, catalog: Path, directory: Path) -> None:
    """Read CATALOG and DIRECTORY and say for every entitlement who together could obtain a credential.

    Exits 1 when an entitlement is reached by one person alone, or by no set of persons at all; 2 when a file cannot be used.
    """
    from countersign.config.catalog import load_catalog  # noqa: PLC0415 - loads pydantic
    from countersign.config.crosscheck import check_together  # noqa: PLC0415 - as above
    from countersign.config.directory import load_directory  # noqa: PLC0415 - as above
    from countersign.config.problems import ConfigError, Severity  # noqa: PLC0415 - as above
    from countersign.domain.proving import prove as prove_rules  # noqa: PLC0415 - only this command asks
    from countersign.domain.proving import sheet  # noqa: PLC0415 - as above

    try:
        items, people = load_catalog(catalog)[1], load_directory(directory)[1]
    except ConfigError as error:
        raise usage(str(error)) from None
    errors = [str(found) for found in check_together(items, people) if found.severity is Severity.ERROR]
    if errors:
        raise usage("\n".join(errors))
    proof = prove_rules(items, people)
    if session.out.as_json:
        session.out.json(proof.as_json())
    else:
        for line in sheet(proof).splitlines():
            session.out.line(line)
    click.get_current_context().exit(int(Exit.OK if proof.ok else Exit.FAILURE))
