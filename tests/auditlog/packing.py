"""A log in memory with its checkpoint, to make packs of."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.auditlog.forging import Log, honest

from countersign.auditlog.checkpoint import Checkpoint, sign_checkpoint
from countersign.auditlog.merkle import leaf_hash, root_of
from countersign.auditlog.pack import Selection, write_pack
from countersign.auditlog.pack.source import Opening
from countersign.auditlog.signer import Ed25519Signer
from countersign.domain.canonical import canonical

SIGNER = Ed25519Signer.generate("packs.example/log")
EVERYTHING = Selection(since="2026-01-01T00:00:00.000Z", until="2027-01-01T00:00:00.000Z")


@dataclass(kw_only=True)
class InMemory:
    """A log, signed as it is."""

    entries: Sequence[bytes]
    openings: dict[int, Opening] = field(default_factory=dict)
    signer: Ed25519Signer = SIGNER

    @property
    def checkpoint(self) -> str:
        root = root_of([leaf_hash(leaf) for leaf in self.entries])
        return sign_checkpoint(Checkpoint(origin=self.signer.name, size=len(self.entries), root=root), [self.signer])

    @property
    def vkey(self) -> str:
        return self.signer.verifier().vkey()

    def leaves(self, start: int, end: int) -> Iterator[bytes]:
        yield from self.entries[start:end]

    def opening(self, index: int) -> Opening:
        return self.openings.get(index, {})


def source_of(log: Log | None = None) -> InMemory:
    """Return a log as a source."""
    return InMemory(entries=[canonical(row) for row in (honest() if log is None else log)])


def packed(source: InMemory, selection: Selection = EVERYTHING) -> io.BytesIO:
    """Return a pack."""
    out = io.BytesIO()
    write_pack(source, selection, out)
    return out


def members(pack: io.BytesIO) -> dict[str, bytes]:
    """Return a pack's files."""
    with zipfile.ZipFile(pack) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def repacked(files: dict[str, bytes]) -> io.BytesIO:
    """Return files as an archive again."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, raw in files.items():
            archive.writestr(name, raw)
    return out
