"""Evidence to take away: one archive over a period, from a broker or from a copy of its log."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import click

from countersign.cli.commands.inquiring import Instant, Since
from countersign.cli.failures import CommandFailed, usage
from countersign.cli.session import Session, with_session

_DEFAULT_SAMPLE, _LARGEST_SAMPLE = 25, 500
_PATIENCE_S = 600.0
"""A pack over millions of entries takes its time before the first byte of it is there."""


@click.command("evidence", short_help="Write an evidence pack over a period.")
@click.argument("pack", type=click.Path(path_type=Path))
@click.option("--from", "since", type=Since(), required=True, help="The first moment or day.")
@click.option("--to", "until", type=Instant(), required=True, help="The last moment or day.")
@click.option("--person", help="Only what this person had.")
@click.option("--entitlement", help="Only this entitlement.")
@click.option("--grant", help="Only this grant.")
@click.option(
    "--sample",
    type=click.IntRange(0, _LARGEST_SAMPLE),
    default=_DEFAULT_SAMPLE,
    show_default=True,
    help="Grants that get a page and proofs.",
)
@click.option("--seed", help="What the sample is drawn by; without it, the log's root.")
@click.option("--copy", type=click.Path(path_type=Path), help="An export or a folder of tiles, instead of a broker.")
@click.option("--key", metavar="VKEY", help="With --copy: the log's key, or a file with it.")
@with_session
def evidence(session: Session, /, pack: Path, *, copy: Path | None, key: str | None, **asked: Any) -> None:  # noqa: ANN401 - options
    """Write PACK, one zip archive: the whole log with its checkpoint, populations, a sample with proofs, events, the controls.

    With --copy nothing is asked of a broker: the copy is verified with --key first.
    """
    if pack.exists():
        raise usage(f"{pack} is there already", field="PACK")
    if (copy is None) != (key is None):
        raise usage("--copy and --key go together", field="--copy")
    selected = {name: value for name, value in asked.items() if value is not None}
    if copy is not None and key is not None:
        from countersign.cli.packing import write_from_copy  # noqa: PLC0415 - loads cryptography

        _write(pack, lambda file: write_from_copy(copy, key, selected, file))
    else:
        _write(
            pack, lambda file: file.writelines(session.client.stream("/audit/pack", patience_s=_PATIENCE_S, **selected))
        )
    if session.out.as_json:
        session.out.json({"pack": str(pack)})
    else:
        session.out.line(str(pack))
    session.out.hint(f"countersign verify {pack} --key VKEY")


def _write(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
    """Write a file that has its name only once it is whole."""
    partial = path.with_name(path.name + ".part")
    try:
        with os.fdopen(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "w+b") as file:
            fill(file)
            file.flush()
            if not zipfile.is_zipfile(file):
                raise CommandFailed("the broker's answer is no archive", code="strange-answer", hint="compare versions")
            os.fsync(file.fileno())
        partial.rename(path)
    except OSError as error:
        raise CommandFailed(f"{path} cannot be written: {error.strerror}", code="unwritable") from None
    finally:
        partial.unlink(missing_ok=True)
