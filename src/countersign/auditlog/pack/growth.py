"""The tree of a pack's log, bundle by bundle: tiles as they become full, and proofs at the end, in memory that hardly grows.

Whole bundles are remembered by their root alone. Their leaf hashes lie in a file, to be read again for the few that are proven.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO

from countersign.auditlog.merkle import HASH_SIZE, perfect_root, root_of
from countersign.auditlog.tiles import HEIGHT, WIDTH, Tile, tiles_of
from countersign.auditlog.tree import Tree


class Growth:
    """A tree that grows by whole bundles; only the last one may be partial.

    Args:
        file: where leaf hashes are kept meanwhile.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._full, self._all = Tree(), Tree()
        self._read: tuple[int, Tree] | None = None
        self.size = 0

    def add(self, hashes: Sequence[bytes]) -> None:
        """Append the leaf hashes of the next bundle; nothing is added once something was proven."""
        self._file.write(b"".join(hashes))
        self.size += len(hashes)
        if len(hashes) == WIDTH:
            root = perfect_root(list(hashes))
            self._full.extend([root])
            self._all.extend([root])
        else:
            self._all.extend([root_of(hashes)])

    def root(self) -> bytes:
        """Return the root over all that was added."""
        return self._all.root()

    def upper_tiles(self) -> Iterator[tuple[Tile, bytes]]:
        """Yield the tiles above the leaf hashes; those of the leaves were written with their bundles."""
        for tile in tiles_of(self.size):
            if tile.level:
                start = tile.index * WIDTH
                yield tile, self._full.nodes(HEIGHT * (tile.level - 1), start, start + tile.width)

    def inclusion(self, index: int) -> list[bytes]:
        """Return the audit path of an entry."""
        bundle, width = index // WIDTH, min(WIDTH, self.size - index // WIDTH * WIDTH)
        inner = self._inner(bundle, width)
        return inner.inclusion(index % WIDTH, width) + self._all.inclusion(bundle, self._all.size)

    def _inner(self, bundle: int, width: int) -> Tree:
        """Return the tree of a bundle; the last one is remembered, since what is proven together stands close together."""
        if self._read is None or self._read[0] != bundle:
            self._file.seek(bundle * WIDTH * HASH_SIZE)
            raw = self._file.read(width * HASH_SIZE)
            self._read = bundle, Tree([raw[at : at + HASH_SIZE] for at in range(0, len(raw), HASH_SIZE)])
        return self._read[1]
