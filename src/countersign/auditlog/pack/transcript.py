"""The log itself in a pack, and its entries as OCSF events: what is written of entries block by block, whatever they come to.

It needs nothing but the entries, so that a long log's can be made beside the rest (`beside`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO, Protocol

from countersign.auditlog.leaf import NotALeaf
from countersign.auditlog.merkle import leaf_hash
from countersign.auditlog.ocsf import Events
from countersign.auditlog.pack.archive import LOG, TEMPORARY, Contents, Piece, Readable, new_piece
from countersign.auditlog.pack.growth import Growth
from countersign.auditlog.pack.selection import Selection
from countersign.auditlog.pack.source import PackRefused
from countersign.auditlog.tiles import WIDTH, Tile, encode_bundle

BLOCK = 16 * WIDTH
"""Entries that are handed over together, and whose events stand in one file."""
Proofs = Mapping[int, tuple[bytes, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outline:
    """What came of the entries: how many they are, their root, and what was written of them."""

    size: int
    root: bytes
    contents: Contents


class Transcribing(Protocol):
    """What takes down a log."""

    def write(self, leaves: Sequence[bytes]) -> None:
        """Take the next `BLOCK` entries; fewer only at the end."""

    def finish(self) -> Outline:
        """Return what came of it; there are no more entries."""

    def proofs(self, indices: Iterable[int]) -> Proofs:
        """Return the audit paths of entries; asked once, after the end."""

    def opened(self) -> Readable:
        """Return the bytes that were written; asked last."""


class Transcript:
    """Takes down a log in this process.

    Args:
        piece: takes what is written.
        growth: the tree.
        events: turns entries into events.
        selection: says which entries become events.
    """

    def __init__(self, piece: Piece, growth: Growth, events: Events, selection: Selection) -> None:
        self._piece, self._growth, self._events, self._selection = piece, growth, events, selection
        self._parts = 0

    def write(self, leaves: Sequence[bytes]) -> None:
        """Take the next block.

        Raises:
            PackRefused: an entry is not what one of its type says.
        """
        first = self._growth.size
        hashes = [leaf_hash(leaf) for leaf in leaves]
        for at in range(0, len(leaves), WIDTH):
            self._bundle((first + at) // WIDTH, leaves[at : at + WIDTH], hashes[at : at + WIDTH])
        self._add_events(first, leaves, hashes)

    def finish(self) -> Outline:
        """Return what came of it."""
        if not self._parts:
            self._piece.add("events/000000.ndjson", b"")
        for tile, hashes in self._growth.upper_tiles():
            self._piece.add(f"{LOG}{tile.path()}", hashes, packed=False)
        return Outline(size=self._growth.size, root=self._growth.root(), contents=self._piece.contents())

    def proofs(self, indices: Iterable[int]) -> Proofs:
        """Return the audit paths of entries."""
        return {index: tuple(self._growth.inclusion(index)) for index in indices}

    def opened(self) -> IO[bytes]:
        """Return the bytes that were written."""
        return self._piece.opened()

    def _bundle(self, index: int, leaves: Sequence[bytes], hashes: Sequence[bytes]) -> None:
        self._growth.add(hashes)
        bundle = Tile(level=None, index=index, width=len(leaves))
        tile = Tile(level=0, index=index, width=len(leaves))
        self._piece.add(f"{LOG}{bundle.path()}", encode_bundle(leaves))
        self._piece.add(f"{LOG}{tile.path()}", b"".join(hashes), packed=False)

    def _add_events(self, first: int, leaves: Sequence[bytes], hashes: Sequence[bytes]) -> None:
        events = []
        for index, (leaf, hashed) in enumerate(zip(leaves, hashes, strict=True), first):
            try:
                at, event = self._events.event(index, leaf, hashed)
            except NotALeaf as error:
                raise refused(index, error) from error
            if self._selection.covers(at):
                events.append(event)
        if events:
            self._piece.add(f"events/{self._parts:06d}.ndjson", b"\n".join([*events, b""]))
            self._parts += 1


@contextmanager
def here(origin: str, selection: Selection) -> Iterator[Transcript]:
    """Yield a transcript of the log of this name, for a selection; its files are gone when the block ends."""
    with new_piece() as piece, TemporaryFile(prefix=TEMPORARY) as hashes:
        yield Transcript(piece, Growth(hashes), Events(origin), selection)


def refused(index: int, error: Exception) -> PackRefused:
    """Return the word on an entry that cannot be told of."""
    return PackRefused(f"entry {index} is not what an entry of its type says; verify the log: {error}")
