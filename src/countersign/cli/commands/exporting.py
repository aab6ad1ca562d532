"""Writing the log into a folder, to be kept and verified elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import click

from countersign.cli.failures import CommandFailed, usage
from countersign.cli.session import Session, with_session


@click.command(short_help="Write the log and its checkpoint into a folder.")
@click.argument("folder", type=click.Path(path_type=Path))
@with_session
def export(session: Session, folder: Path) -> None:
    """Write every entry and the newest checkpoint into FOLDER; what stands there already is left alone."""
    from countersign.auditlog.tiles import handover_path  # noqa: PLC0415 - loads cryptography
    from countersign.cli.exported import CHECKPOINT, ENTRIES  # noqa: PLC0415 - as above
    from countersign.cli.sources import handovers, newest_checkpoint  # noqa: PLC0415 - as above

    if any((folder / name).exists() for name in (ENTRIES, CHECKPOINT)):
        raise usage(f"{folder} holds an export already; choose another folder", field="FOLDER")
    try:
        note, handed = newest_checkpoint(session.client), handovers(session.client)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(folder / ENTRIES, session.client.stream("/audit/export"))
        if note is not None:
            _write(folder / CHECKPOINT, [note.encode()])
        for each in handed:
            _write(folder / handover_path(each), [each.encode()])
    except OSError as error:
        raise CommandFailed(f"{folder} cannot be written: {error.strerror}", code="unwritable") from None
    files = [name for name in (ENTRIES, CHECKPOINT, *map(handover_path, handed)) if (folder / name).exists()]
    if session.out.as_json:
        session.out.json({"folder": str(folder), "files": files})
    else:
        for name in files:
            session.out.line(str(folder / name))
    session.out.hint(f"countersign verify {folder} --key VKEY")


def _write(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a file that has its name only once it is whole."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.writelines(chunks)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)
