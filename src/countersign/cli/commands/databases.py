"""Preparing a PostgreSQL for a broker that runs as two halves."""

from __future__ import annotations

import click

from countersign.cli.failures import CommandFailed, Exit, usage
from countersign.cli.session import Session, with_session


@click.group(short_help="Prepare a database for two halves.")
def database() -> None:
    """The broker's own PostgreSQL: its tables, and what each half may do with them."""


@database.command(short_help="Make the tables, and give each half's login its rights.")
@click.option("--people", required=True, metavar="LOGIN", help="The login of the half that faces people.")
@click.option("--issuer", required=True, metavar="LOGIN", help="The login of the issuing half.")
@click.option("--print", "printing", is_flag=True, help="Print the grants as SQL, and do nothing.")
@with_session
def prepare(session: Session, *, people: str, issuer: str, printing: bool) -> None:
    """Make this version's tables, and give two logins what their halves need and nothing else; all or nothing.

    COUNTERSIGN_DATABASE_URL(_FILE) names the database and its owner. Do it before the first start and after each upgrade.
    """
    from countersign.bootstrap.preparing import prepare_database  # noqa: PLC0415 - loads the store
    from countersign.config.problems import ConfigError  # noqa: PLC0415 - as above
    from countersign.config.settings import load_settings  # noqa: PLC0415 - as above
    from countersign.domain.refusals import LogUnavailable  # noqa: PLC0415 - as above
    from countersign.store.rights import UnfitLogin, statements  # noqa: PLC0415 - as above

    if printing:
        try:
            made = statements(people=people, issuer=issuer)
        except UnfitLogin as unfit:
            raise usage(str(unfit)) from None
        for line in ("BEGIN", *made, "COMMIT"):
            session.out.line(f"{line};")
        return
    try:
        prepare_database(load_settings(), people=people, issuer=issuer)
    except ConfigError as error:
        raise usage(f"the database cannot be prepared: {error}") from None
    except LogUnavailable as error:
        raise CommandFailed(error.detail, exit_code=Exit.AWAY, code=error.code, hint=error.hint) from None
    if session.out.as_json:
        session.out.json({"ok": True, "people": people, "issuer": issuer})
    else:
        session.out.line(f"prepared for {people} and {issuer}")
