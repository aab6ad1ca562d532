"""The whole RFC 6962 tree in memory, for whoever serves proofs and tiles."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from countersign.auditlog.merkle import HASH_SIZE, Frontier, node_hash


class Tree:
    """Every perfect node, one bytearray per level: 64 bytes per leaf in all. It grows in place and never shrinks."""

    def __init__(self, leaf_hashes: Iterable[bytes] = ()) -> None:
        self._levels = [bytearray()]
        self.extend(leaf_hashes)

    @property
    def size(self) -> int:
        """Number of leaves."""
        return len(self._levels[0]) // HASH_SIZE

    def extend(self, leaf_hashes: Iterable[bytes]) -> None:
        """Append leaf hashes in order.

        Raises:
            ValueError: what was given is not a whole number of hashes; the tree is unchanged.
        """
        added = b"".join(leaf_hashes)
        if len(added) % HASH_SIZE:
            raise ValueError(f"a leaf hash is not {HASH_SIZE} bytes long")
        self._levels[0] += added
        level = 0
        while (below := self._levels[level]) and len(below) >= 2 * HASH_SIZE:
            level += 1
            if level == len(self._levels):
                self._levels.append(bytearray())
            above = self._levels[level]
            whole = len(below) - len(below) % (2 * HASH_SIZE)
            fresh = memoryview(below)[2 * len(above) : whole]
            above += b"".join(
                [
                    sha256(b"\x01" + fresh[at : at + 2 * HASH_SIZE]).digest()
                    for at in range(0, len(fresh), 2 * HASH_SIZE)
                ]
            )
            fresh.release()

    def nodes(self, level: int, start: int, end: int) -> bytes:
        """Return the perfect nodes [start, end) of a level, one after the other; a node covers 2^level leaves.

        Raises:
            IndexError: the tree does not hold them all.
        """
        if level < 0 or not 0 <= start <= end or end << level > self.size:
            raise IndexError(f"no nodes {start} to {end} at level {level} in a tree of {self.size}")
        return bytes(self._levels[level][start * HASH_SIZE : end * HASH_SIZE])

    def frontier(self, size: int | None = None) -> Frontier:
        """Return the frontier at `size` leaves, by default at the present size."""
        size = self._within(self.size if size is None else size)
        return Frontier(size=size, peaks=tuple(self._peaks(0, size)))

    def root(self, size: int | None = None) -> bytes:
        """Return the root at `size` leaves, by default at the present size.

        Raises:
            IndexError: the tree is smaller.
        """
        return self.frontier(size).root()

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """Return the audit path (RFC 6962 §2.1.1) of leaf `index` in the tree of `size`, its sibling first.

        Raises:
            IndexError: no such leaf, or the tree is smaller.
        """
        if not 0 <= index < self._within(size):
            raise IndexError(f"no leaf {index} in a tree of {size}")
        path, level, last = [], 0, size - 1
        while last:
            sibling = index ^ 1
            if sibling <= last:
                path.append(self._span(sibling << level, min((sibling + 1) << level, size)))
            index, last, level = index >> 1, last >> 1, level + 1
        return path

    def consistency(self, old: int, new: int) -> list[bytes]:
        """Return the proof (RFC 6962 §2.1.2) that the tree of `new` leaves begins with that of `old`.

        Empty when the sizes are equal or `old` is zero.

        Raises:
            IndexError: `old` is larger than `new`, or the tree is smaller.
        """
        if not 0 <= old <= self._within(new):
            raise IndexError(f"a tree of {new} does not begin with one of {old}")
        if old in {0, new}:
            return []
        proof, start, end = [], 0, new
        while old != end:
            split = start + (1 << ((end - start - 1).bit_length() - 1))
            if old <= split:
                proof.append(self._span(split, end))
                end = split
            else:
                proof.append(self._span(start, split))
                start = split
        if start:
            proof.append(self._span(start, end))
        return proof[::-1]

    def _within(self, size: int) -> int:
        if not 0 <= size <= self.size:
            raise IndexError(f"the tree holds {self.size} leaves, not {size}")
        return size

    def _span(self, start: int, end: int) -> bytes:
        """Root over leaves [start, end); `start` is a multiple of the smallest power of two that covers the span."""
        *rest, root = self._peaks(start, end)
        for peak in reversed(rest):
            root = node_hash(peak, root)
        return root

    def _peaks(self, start: int, end: int) -> list[bytes]:
        peaks = []
        while start < end:
            level = (end - start).bit_length() - 1
            at = (start >> level) * HASH_SIZE
            peaks.append(bytes(self._levels[level][at : at + HASH_SIZE]))
            start += 1 << level
        return peaks
