"""Verifying the log without trusting who keeps it."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING

import click

from countersign.cli.failures import Exit, usage
from countersign.cli.session import Session, with_session

if TYPE_CHECKING:
    from countersign.auditlog.meaning import MeaningCheck
    from countersign.auditlog.report import Report


@click.command(short_help="Verify the log, offline.")
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--database", metavar="URL", help="Read the broker's own database instead.")
@click.option(
    "--key", "keys", multiple=True, metavar="VKEY", help="A key you trust, or a file with it; repeat for more."
)
@click.option(
    "--checkpoint",
    "checkpoints",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A checkpoint that you kept from earlier; repeat for more.",
)
@click.option(
    "--catalog",
    type=click.Path(path_type=Path),
    help="The first catalog.toml, as you hold it: the log must begin with it and with its passkeys.",
)
@click.option(
    "--witness-key",
    "witness_keys",
    multiple=True,
    metavar="VKEY",
    help="The key of a witness you trust, or a file with it; repeat for more.",
)
@click.option(
    "--witness-quorum", type=click.IntRange(min=1), metavar="N", help="So many of them must vouch; all by default."
)
@click.option("--bytes-only", is_flag=True, help="Leave out what the entries mean.")
@with_session
def verify(
    session: Session,
    *,
    path: Path | None,
    database: str | None,
    keys: tuple[str, ...],
    checkpoints: tuple[Path, ...],
    catalog: Path | None,
    witness_keys: tuple[str, ...],
    witness_quorum: int | None,
    bytes_only: bool,
) -> None:
    """Verify an export, an evidence pack or a folder of tiles at PATH, or (without PATH) what the broker serves to an auditor.

    With --key, and with a checkpoint kept from earlier, every edit, removal, reordering, truncation and rewrite is found.
    With --witness-key the log's newest entries count only as far as witnesses vouch for them, give or take a minute.
    The facts are replayed too: that every credential had its approvals, with their signatures, and came to its end.
    """
    from countersign.auditlog.meaning import MeaningCheck  # noqa: PLC0415 - as below
    from countersign.auditlog.meaning.watching import GARBAGE_AFTER  # noqa: PLC0415 - as below
    from countersign.cli.sources import read_genesis, read_trust, verify_live, verify_path  # noqa: PLC0415 - loads cryptography

    if path is not None and database is not None:
        raise usage("give either PATH or --database")
    if catalog is not None and bytes_only:
        raise usage("--catalog is about what entries mean", field="--catalog")
    genesis = None if catalog is None else read_genesis(catalog)
    # A replay makes and drops millions of small values, and no cycles among them.
    gc.set_threshold(GARBAGE_AFTER)
    meaning = None if bytes_only else MeaningCheck(genesis=genesis)
    trust = read_trust(
        keys,
        checkpoints,
        witness_keys=witness_keys,
        witness_quorum=witness_quorum,
        meaning=meaning,
    )
    if database is not None:
        from countersign.cli.database import verify_database  # noqa: PLC0415 - loads SQLAlchemy

        report = verify_database(database, trust)
    elif path is not None:
        report = verify_path(path, trust)
    else:
        report = verify_live(session.client, trust)
    if not keys:
        session.out.warn("no --key: no signature was checked, and who rewrote all of it would go unseen")
    told = report.as_json()
    if session.out.as_json:
        session.out.json({name: told[name] for name in ("ok", "size", "root", "failures")})
    else:
        for failure in report.failures:
            place = "log" if failure.index is None else f"entry {failure.index}"
            session.out.line(f"{place}: {failure.code}: {failure.detail}")
        _tell_changes(session, report, meaning)
        word = "verifies" if report.ok else "DOES NOT VERIFY"
        session.out.line(f"the log {word}: {report.size} entries, root {report.root.hex()}")
    if report.omitted:
        session.out.warn(f"{report.omitted} more failures are not listed")
    click.get_current_context().exit(int(Exit.OK if report.ok else Exit.FAILURE))


def _tell_changes(session: Session, report: Report, meaning: MeaningCheck | None) -> None:
    """Tell what two people did to the log itself: texts that were erased, and keys that were brought in."""
    for erased in () if meaning is None else meaning.erased:
        by = " and ".join(erased.by)
        session.out.line(f"entry {erased.index}: {erased.texts} texts before {erased.before} were erased, by {by}")
    for change in report.keys:
        by = " and ".join(change.by)
        session.out.line(f"entry {change.index}: {by} brought in the key {change.verifier.vkey()}")
