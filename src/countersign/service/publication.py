"""The log as the world may fetch it: checkpoint, tiles, entry bundles and proofs, never beyond the newest checkpoint.

The whole tree of hashes is kept in memory (64 bytes an entry) and grows with the database; entries are read as they are stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock

from countersign.auditlog.checkpoint import Checkpoint
from countersign.auditlog.proof import LogProof
from countersign.auditlog.tiles import Tile, encode_bundle, tile_bytes
from countersign.auditlog.tree import Tree
from countersign.domain.refusals import Invalid, NotFound
from countersign.service.evidence import Evidence
from countersign.service.office import Office


@dataclass(kw_only=True)
class Publication:
    """Read-only answers about the log.

    Attributes:
        public: whether anybody who reaches the broker may read; otherwise only auditors.
    """

    office: Office
    evidence: Evidence
    public: bool
    _tree: Tree = field(default_factory=Tree, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def checkpoint(self) -> str:
        """Return the checkpoint that is shown to the world.

        Raises:
            NotFound: none is signed yet.
        """
        note = self.evidence.published_checkpoint()
        if note is None:
            raise NotFound("no checkpoint is signed yet", hint="try again in a few seconds")
        return note

    def key(self) -> str:
        """Return the log's public key as a vkey."""
        return self.evidence.verifier().vkey()

    def tile(self, tile: Tile) -> bytes:
        """Return the hashes of a tile, or the entries of a bundle.

        Raises:
            NotFound: the newest checkpoint does not cover it.
        """
        size = self._signed().size
        start, span = tile.index * 256, 256 ** (tile.level or 0)
        if (start + tile.width) * span > size:
            raise NotFound(f"{tile.path()} is not in a log of {size} entries")
        if tile.level is None:
            return encode_bundle(
                [entry.leaf for entry in self.office.store.entries(start=start, end=start + tile.width)]
            )
        with self._lock:
            self._grow(size)
            return tile_bytes(self._tree, tile)

    def proof(self, index: int) -> bytes:
        """Return a tlog-proof file: entry `index` is in the log that the newest checkpoint names.

        Raises:
            NotFound: it is not, or not yet.
        """
        note = self.checkpoint()
        size = self._opened(note).size
        if not 0 <= index < size:
            raise NotFound(f"there is no entry {index} in a log of {size}")
        with self._lock:
            self._grow(size)
            hashes = self._tree.inclusion(index, size)
        return LogProof(index=index, hashes=tuple(hashes), checkpoint=note).encode()

    def consistency(self, old: int, new: int) -> Sequence[bytes]:
        """Return the proof that the log of `new` entries begins with the log of `old`.

        Raises:
            Invalid: the sizes are not in order, or not covered by the newest checkpoint.
        """
        if not 0 < old <= new <= self._signed().size:
            raise Invalid("old and new are sizes of signed logs, old first", field="old")
        with self._lock:
            self._grow(new)
            return self._tree.consistency(old, new)

    def _signed(self) -> Checkpoint:
        """The newest checkpoint, cosigned or not: nothing beyond it is served."""
        note = self.evidence.newest_checkpoint()
        if note is None:
            raise NotFound("no checkpoint is signed yet", hint="try again in a few seconds")
        return self._opened(note)

    def _opened(self, note: str) -> Checkpoint:
        return self.evidence.opened(note)[0]

    def _grow(self, size: int) -> None:
        if self._tree.size < size:
            found = self.office.store.entries(start=self._tree.size, end=size)
            self._tree.extend([entry.leaf_hash or b"" for entry in found])
