"""Preparing a PostgreSQL target for leases, and looking it over."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from countersign.cli.failures import CommandFailed, Exit, usage
from countersign.cli.session import Session, with_session

if TYPE_CHECKING:
    from countersign.providers.target.install import Finding

DSN_VARIABLE = "COUNTERSIGN_TARGET_DSN"


@click.group(short_help="Prepare or check a PostgreSQL target.")
def target() -> None:
    """A PostgreSQL target's own part: small functions by which leases are closed, ended and seen dead there."""


@target.command(short_help="Install the functions.")
@click.option("--administrator", required=True, metavar="ROLE", help="The role as which OpenBao makes logins.")
@click.option("--broker", required=True, metavar="ROLE", help="The broker's own role, which may execute the functions.")
@click.option("--dsn-file", type=click.Path(path_type=Path), help=f"A file with the DSN; else {DSN_VARIABLE}.")
@with_session
def init(session: Session, *, administrator: str, broker: str, dsn_file: Path | None) -> None:
    """Create or replace Countersign's functions in the database that the DSN names, all or nothing."""
    import psycopg  # noqa: PLC0415 - loads a driver

    from countersign.providers.target.install import VERSION  # noqa: PLC0415 - as above
    from countersign.providers.target.install import init as install  # noqa: PLC0415 - as above

    dsn = _dsn(dsn_file)
    try:
        install(dsn, administrator=administrator, broker=broker)
    except psycopg.Error as error:
        away = error.sqlstate is None
        raise CommandFailed(
            f"nothing was changed: {error.diag.message_primary or _first_line(error)}",
            exit_code=Exit.AWAY if away else Exit.FAILURE,
            code="target-away" if away else "target-refused",
        ) from None
    if session.out.as_json:
        session.out.json({"ok": True, "version": VERSION})
    else:
        session.out.line(f"installed: version {VERSION}, owned by {administrator}, for {broker}")
    session.out.hint("look it over with the broker's own account: countersign target check")


@target.command(short_help="Look a target over, changing nothing.")
@click.option("--dsn-file", type=click.Path(path_type=Path), help=f"A file with the broker's DSN; else {DSN_VARIABLE}.")
@with_session
def check(session: Session, *, dsn_file: Path | None) -> None:
    """Look over what is installed and who may do what, with the broker's own account."""
    from countersign.bootstrap.clock import now  # noqa: PLC0415 - loads all of the broker
    from countersign.providers.target.install import Level  # noqa: PLC0415 - loads a driver
    from countersign.providers.target.install import check as look  # noqa: PLC0415 - as above

    findings = look(_dsn(dsn_file), clock=now)
    ok = all(finding.level is not Level.ERROR for finding in findings)
    if session.out.as_json:
        told = [{"level": f.level.value, "code": f.code, "detail": f.detail} for f in findings]
        session.out.json({"ok": ok, "findings": told})
    for finding in [] if session.out.as_json else findings:
        session.out.line(f"{finding.level.value}: {finding.code}: {finding.detail}")
    if not findings and not session.out.as_json:
        session.out.line("all is well")
    click.get_current_context().exit(int(_code(findings, ok=ok)))


def _code(findings: list[Finding], *, ok: bool) -> Exit:
    if any(finding.code == "target-away" for finding in findings):
        return Exit.AWAY
    return Exit.OK if ok else Exit.FAILURE


def _dsn(file: Path | None) -> str:
    """Return the DSN from where no other user of the machine reads it."""
    if file is None:
        given = os.environ.get(DSN_VARIABLE)
        if not given:
            raise usage(
                "there is no DSN", hint=f"set {DSN_VARIABLE}, or give --dsn-file (it does not go into arguments)"
            )
        return given
    from countersign.config.problems import ConfigError  # noqa: PLC0415 - loads pydantic
    from countersign.config.secretfile import read_secret  # noqa: PLC0415 - as above

    try:
        return read_secret(file).get_secret_value()
    except ConfigError as error:
        raise usage(str(error), field="--dsn-file") from None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
