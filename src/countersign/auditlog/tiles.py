"""The log as static files (C2SP tlog-tiles v0.1.0): where each tile and entry bundle lies, and how it is spelled.

Tiles are 256 hashes wide. A tile that is not full has a path of its own, so that a file never changes once written.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import count, islice
from pathlib import Path

from countersign.auditlog.checkpoint import parse_body
from countersign.auditlog.leaf import LARGEST_LEAF, Entry
from countersign.auditlog.merkle import HASH_SIZE, leaf_hash
from countersign.auditlog.note import parse_note
from countersign.auditlog.tree import Tree

HEIGHT = 8
WIDTH = 256
CHECKPOINT = "checkpoint"
CHECKPOINTS = "checkpoints"
"""Where a copy that overwrites nothing keeps each checkpoint under its size; the specification knows only the newest."""
HANDOVERS = "handovers"
"""Where, under their sizes, the checkpoints lie by which one key of the log brought in the next."""
MOST_HANDOVERS = 1000

_LARGEST_FILE = WIDTH * (2 + LARGEST_LEAF)


class BadTile(ValueError):
    """A tile or an entry bundle that is missing, cut, too long, or of another width than its path says."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tile:
    """One tile of hashes, or a bundle of entries.

    Attributes:
        level: 0 for leaf hashes; a node at level n stands for 256^n leaves. None for a bundle of entries.
        index: place in its level.
        width: hashes or entries in it, 1 to 256.
    """

    level: int | None
    index: int
    width: int = WIDTH

    def __post_init__(self) -> None:
        if not 1 <= self.width <= WIDTH or self.index < 0 or not 0 <= (self.level or 0) <= 63:  # noqa: PLR2004 - the specification's highest level
            raise BadTile(f"no tile {self.index} of width {self.width} at level {self.level}")

    def path(self) -> str:
        """Return the path below the log's prefix, such as `tile/0/x001/x234/067.p/17`."""
        digits = str(self.index)
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        place = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
        partial = "" if self.width == WIDTH else f".p/{self.width}"
        return f"tile/{'entries' if self.level is None else self.level}/{place}{partial}"

    def full(self) -> Tile:
        """Return the full tile that comes to stand in place of this one."""
        return Tile(level=self.level, index=self.index)


def handover_path(note: str) -> str:
    """Return where a checkpoint lies by which a key was handed over.

    Raises:
        NoteRefused, CheckpointRefused: it is no checkpoint.
    """
    return f"{HANDOVERS}/{parse_body(parse_note(note.encode()).text).size:020}"


def tiles_of(size: int, *, since: int = 0) -> Iterator[Tile]:
    """Yield the tiles and bundles of a tree of `size`, without those that a tree of `since` had already."""
    for level in (None, *range(-(-size.bit_length() // HEIGHT))):
        shift = HEIGHT * (level or 0)
        had, have = since >> shift, size >> shift
        for index in range(had // WIDTH, have // WIDTH):
            yield Tile(level=level, index=index)
        if have % WIDTH and have != had:
            yield Tile(level=level, index=have // WIDTH, width=have % WIDTH)


def partial_tiles_of(size: int) -> Iterator[Tile]:
    """Yield the tiles and the bundle of a tree of `size` that are not full: one of each level at most."""
    for level in (None, *range(-(-size.bit_length() // HEIGHT))):
        have = size >> (HEIGHT * (level or 0))
        if have % WIDTH:
            yield Tile(level=level, index=have // WIDTH, width=have % WIDTH)


def tile_bytes(tree: Tree, tile: Tile) -> bytes:
    """Return the hashes of a tile.

    Raises:
        BadTile: it is a bundle.
        IndexError: the tree does not hold it.
    """
    if tile.level is None:
        raise BadTile("a tree of hashes holds no entries")
    start = tile.index * WIDTH
    return tree.nodes(HEIGHT * tile.level, start, start + tile.width)


def encode_bundle(leaves: Iterable[bytes]) -> bytes:
    """Return the entries one after the other, each behind its length in two big-endian bytes.

    Raises:
        BadTile: an entry is longer than two bytes can say.
    """
    parts = []
    for leaf in leaves:
        if len(leaf) > LARGEST_LEAF:
            raise BadTile(f"an entry of {len(leaf)} bytes fits no bundle")
        parts.append(len(leaf).to_bytes(2, "big") + leaf)
    return b"".join(parts)


def split_bundle(raw: bytes, width: int) -> list[bytes]:
    """Return the `width` entries of a bundle.

    Raises:
        BadTile: it holds another number of entries, or ends within one.
    """
    leaves, at, end = [], 0, len(raw)
    try:
        while at < end:
            start = at + 2
            at = start + (raw[at] << 8 | raw[at + 1])
            leaves.append(raw[start:at])
    except IndexError as error:
        raise BadTile("the bundle ends within a length") from error
    if at != end or len(leaves) != width:
        raise BadTile(f"the bundle holds {len(leaves)} entries, not {width}, or ends within one")
    return leaves


def hash_bundle(raw: bytes, width: int) -> list[bytes]:
    """Return the leaf hashes of the `width` entries of a bundle, without taking it apart: the hot loop of whoever verifies tiles.

    Raises:
        BadTile: as `split_bundle`.
    """
    hashes, at, end = [], 0, len(raw)
    try:
        while at < end:
            start = at + 2
            at = start + (raw[at] << 8 | raw[at + 1])
            hashes.append(sha256(b"\x00" + raw[start:at]).digest())
    except IndexError as error:
        raise BadTile("the bundle ends within a length") from error
    if at != end or len(hashes) != width:
        raise BadTile(f"the bundle holds {len(hashes)} entries, not {width}, or ends within one")
    return hashes


@dataclass(frozen=True, slots=True)
class LogDirectory:
    """A log that lies in a folder as tiles.

    Attributes:
        folder: the prefix below which checkpoint and tiles lie.
    """

    folder: Path

    def checkpoint(self) -> bytes:
        """Return the latest checkpoint, unverified: of those kept by size the one of the largest, with most signatures.

        Raises:
            BadTile: there is none.
        """
        kept = self.folder / CHECKPOINTS
        if (self.folder / CHECKPOINT).exists() or not kept.is_dir():
            return self._read(CHECKPOINT)
        found = [(path.name[:20], path.stat().st_size, path.name) for path in kept.iterdir()]
        return self._read(f"{CHECKPOINTS}/{max(found)[2] if found else ''}")

    def hashes(self, tile: Tile) -> bytes:
        """Return a tile's hashes; where a partial tile was tidied away, from the full one that replaced it.

        Raises:
            BadTile: it is missing or has another length.
        """
        raw, width = self._either(tile)
        if len(raw) != width * HASH_SIZE:
            raise BadTile(f"{tile.path()} has {len(raw)} bytes")
        return raw[: tile.width * HASH_SIZE]

    def leaves(self, index: int, width: int = WIDTH) -> list[bytes]:
        """Return the entries of a bundle; of a partial one that was tidied away, from the full one.

        Raises:
            BadTile: it is missing or has another form.
        """
        raw, held = self.bundle(index, width)
        return split_bundle(raw, held)[:width]

    def bundle(self, index: int, width: int = WIDTH) -> tuple[bytes, int]:
        """Return the bytes of a bundle as they lie there, and how many entries they should hold.

        Raises:
            BadTile: it is missing.
        """
        return self._either(Tile(level=None, index=index, width=width))

    def handovers(self) -> list[str]:
        """Return the checkpoints by which keys were handed over, unverified, smallest first; what cannot be read is left out."""
        found = []
        for name in self._handovers()[:MOST_HANDOVERS]:
            try:
                found.append(self._read(f"{HANDOVERS}/{name}").decode("utf-8", "replace"))
            except BadTile:
                continue  # without it the next key is a stranger's, which is said
        return found

    def holds(self, tile: Tile) -> bool:
        """Return whether the tile, or the full one in its place, is there."""
        return any((self.folder / one.path()).is_file() for one in (tile, tile.full()))

    def entries(self, size: int) -> Iterator[Entry]:
        """Yield the first `size` entries, with their hashes from the tiles; ends early where one is missing."""
        for start in range(0, size, WIDTH):
            width = min(WIDTH, size - start)
            try:
                leaves = self.leaves(start // WIDTH, width)
                hashes = self.hashes(Tile(level=0, index=start // WIDTH, width=width))
            except BadTile:
                return
            for at, leaf in enumerate(leaves):
                yield Entry(start + at, leaf, hashes[at * HASH_SIZE : (at + 1) * HASH_SIZE])

    def _handovers(self) -> list[str]:
        kept = self.folder / HANDOVERS
        return sorted(path.name for path in kept.iterdir()) if kept.is_dir() else []

    def _either(self, tile: Tile) -> tuple[bytes, int]:
        try:
            return self._read(tile.path()), tile.width
        except BadTile as unread:
            if tile.width == WIDTH:
                raise
            try:
                return self._read(tile.full().path()), WIDTH
            except BadTile:
                raise unread from None

    def _read(self, path: str) -> bytes:
        try:
            found = (self.folder / path).stat()
            if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST_FILE:
                raise BadTile(f"{path} is no plain file of at most {_LARGEST_FILE} bytes")
            return (self.folder / path).read_bytes()
        except OSError as error:
            raise BadTile(f"{path} cannot be read: {error.strerror}") from error


def write_directory(folder: Path, leaves: Iterable[bytes], checkpoint: str) -> Tree:
    """Write a whole log below `folder`, bundles and tiles first and the checkpoint last; return its tree.

    The caller signs `checkpoint` over the root of these leaves beforehand.
    """
    tree, source = Tree(), iter(leaves)
    for index in count():
        block = list(islice(source, WIDTH))
        if not block:
            break
        tree.extend(leaf_hash(leaf) for leaf in block)
        _write(folder, Tile(level=None, index=index, width=len(block)).path(), encode_bundle(block))
    for tile in tiles_of(tree.size):
        if tile.level is not None:
            _write(folder, tile.path(), tile_bytes(tree, tile))
    _write(folder, CHECKPOINT, checkpoint.encode())
    return tree


def _write(folder: Path, path: str, raw: bytes) -> None:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    # A reader sees the whole file or none.
    fresh = target.with_name(f".{target.name}.new")
    fresh.write_bytes(raw)
    fresh.replace(target)
