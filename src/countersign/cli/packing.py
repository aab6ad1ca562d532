"""Evidence packs from a copy of the log, offline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

from countersign.auditlog.note import Ed25519Verifier, NoteRefused, open_note
from countersign.auditlog.pack import PackRefused, Selection, write_pack
from countersign.auditlog.pack.source import Opening
from countersign.auditlog.tiles import WIDTH, BadTile, LogDirectory
from countersign.cli.exported import CHECKPOINT, ENTRIES, Exported, read_chunks, split_lines
from countersign.cli.failures import CommandFailed, usage
from countersign.cli.sources import read_text, read_trust, verify_path


def write_from_copy(copy: Path, key: str, selected: Mapping[str, Any], out: IO[bytes]) -> None:
    """Verify a copy of a log, and write a pack from it.

    Raises:
        CommandFailed: the copy does not verify, or is none.
    """
    trust = read_trust([key], [])
    report = verify_path(copy, trust)
    if not report.ok:
        first = report.failures[0]
        raise CommandFailed(
            f"the copy does not verify: {first.code}: {first.detail}",
            code="does-not-verify",
            hint=f"countersign verify {copy}",
        )
    folder = copy if copy.is_dir() else copy.parent
    note = read_text(folder / CHECKPOINT, "--copy")
    keys = [each for each in trust.verifiers if isinstance(each, Ed25519Verifier)]
    keys += [change.verifier for change in report.keys]
    try:
        signed = open_note(note.encode(), keys)
        vkey = next(each.vkey() for each in keys if signed.signed_by(each))
        log = _Copy(path=copy, checkpoint=note, vkey=vkey)
        write_pack(log, Selection(**selected), out, handovers=LogDirectory(folder).handovers())
    except (PackRefused, NoteRefused) as refused:
        raise usage(f"the copy is no evidence: {refused}", field="--copy") from None


@dataclass(frozen=True, kw_only=True)
class _Copy:
    """A copy of a log: an export, or tiles. Free texts are not in it."""

    path: Path
    checkpoint: str
    vkey: str

    def leaves(self, start: int, end: int) -> Iterator[bytes]:
        if (self.path / "tile").is_dir():
            return islice(_from_tiles(LogDirectory(self.path), end), start, end)
        entries = self.path / ENTRIES if self.path.is_dir() else self.path
        exported = Exported(lines=split_lines(read_chunks(entries)))
        return islice((entry.leaf for entry in exported.entries()), start, end)

    def opening(self, index: int) -> Opening:
        del index
        return {}


def _from_tiles(log: LogDirectory, size: int) -> Iterator[bytes]:
    for at in range(0, size, WIDTH):
        try:
            yield from log.leaves(at // WIDTH, min(WIDTH, size - at))
        except BadTile:
            return
