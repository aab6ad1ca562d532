"""The RFC 6962 tree over SHA-256: roots, growth in O(log n), and the judgement of proofs.

Entries hash under 0x00 and nodes under 0x01, so that neither passes for the other. A lone right node is promoted, never
duplicated. Proofs are judged here (by raising, so that no verdict is dropped by mistake) and made in `tree`, by other
arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest

HASH_SIZE = 32
EMPTY_ROOT = sha256(b"").digest()
LARGEST_SIZE = 2**64 - 1


class ProofRefused(ValueError):
    """A proof that does not show what it claims, or is not exactly as long as it must be."""


class NotAFrontier(ValueError):
    """A size and hashes that no compact range has."""


def leaf_hash(data: bytes) -> bytes:
    """Return SHA-256(0x00 ‖ data)."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return SHA-256(0x01 ‖ left ‖ right)."""
    return sha256(b"\x01" + left + right).digest()


def root_of(leaf_hashes: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes in order; `EMPTY_ROOT` for none."""
    return Frontier.of(leaf_hashes).root()


def perfect_root(hashes: list[bytes]) -> bytes:
    """Return the root over 2^k hashes of equal height: the hot loop of whoever hashes in blocks."""
    while len(hashes) > 1:
        hashes = [
            sha256(b"\x01" + left + right).digest() for left, right in zip(hashes[::2], hashes[1::2], strict=True)
        ]
    return hashes[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class Frontier:
    """The compact range of a tree: all that is needed to let it grow and to name its root.

    Attributes:
        size: number of leaves.
        peaks: roots of the perfect subtrees, left to right, one for each set bit of `size`.
    """

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.size <= LARGEST_SIZE or self.size.bit_count() != len(self.peaks):
            raise NotAFrontier(f"{len(self.peaks)} hashes do not make a tree of {self.size} leaves")
        if any(len(peak) != HASH_SIZE for peak in self.peaks):
            raise NotAFrontier(f"a hash is not {HASH_SIZE} bytes long")

    @classmethod
    def of(cls, leaf_hashes: Sequence[bytes]) -> Frontier:
        """Return the frontier after these leaf hashes, in order."""
        return cls().extend(leaf_hashes)

    def append(self, leaf_hash: bytes) -> Frontier:
        """Return the frontier with one more leaf."""
        return self.append_perfect(leaf_hash, height=0)

    def extend(self, leaf_hashes: Sequence[bytes]) -> Frontier:
        """Return the frontier with more leaves, hashed in blocks as large as their place allows."""
        frontier, start = self, 0
        while start < len(leaf_hashes):
            height = (len(leaf_hashes) - start).bit_length() - 1
            if frontier.size:
                height = min(height, (frontier.size & -frontier.size).bit_length() - 1)
            block = list(leaf_hashes[start : start + (1 << height)])
            frontier = frontier.append_perfect(perfect_root(block), height=height)
            start += 1 << height
        return frontier

    def append_perfect(self, root: bytes, *, height: int) -> Frontier:
        """Return the frontier with a perfect subtree of 2^height leaves at its right.

        Raises:
            NotAFrontier: the subtree would not start at a multiple of its own width.
        """
        if self.size & ((1 << height) - 1):
            raise NotAFrontier(f"a subtree of height {height} cannot start at {self.size}")
        peaks = list(self.peaks)
        carry = self.size >> height
        while carry & 1:
            root = node_hash(peaks.pop(), root)
            carry >>= 1
        return Frontier(size=self.size + (1 << height), peaks=(*peaks, root))

    def root(self) -> bytes:
        """Return the root of the tree."""
        if not self.peaks:
            return EMPTY_ROOT
        *rest, root = self.peaks
        for peak in reversed(rest):
            root = node_hash(peak, root)
        return root

    def encode(self) -> bytes:
        """Return eight big-endian bytes of size, then the peaks left to right."""
        return self.size.to_bytes(8, "big") + b"".join(self.peaks)

    @classmethod
    def decode(cls, raw: bytes) -> Frontier:
        """Return the frontier that `encode` spelled.

        Raises:
            NotAFrontier: the bytes are not what `encode` makes.
        """
        size, hashes = raw[:8], raw[8:]
        if len(size) != 8 or len(hashes) % HASH_SIZE:  # noqa: PLR2004 - eight bytes, as in `encode`
            raise NotAFrontier(f"{len(raw)} bytes do not spell a frontier")
        peaks = tuple(hashes[at : at + HASH_SIZE] for at in range(0, len(hashes), HASH_SIZE))
        return cls(size=int.from_bytes(size, "big"), peaks=peaks)


def verify_inclusion(*, index: int, size: int, leaf: bytes, root: bytes, proof: Sequence[bytes]) -> None:
    """Judge an audit path by RFC 9162 §2.1.3.2.

    Args:
        index: zero-based place of the leaf.
        size: leaves in the tree, at least one.
        leaf: the leaf's hash.
        root: the tree's root.
        proof: hashes from the leaf's sibling upwards.

    Raises:
        ProofRefused: the proof does not lead from this leaf to this root, or has a hash too many or too few.
    """
    _require_hashes(leaf, root, *proof)
    if not 0 <= index < size <= LARGEST_SIZE:
        raise ProofRefused(f"no leaf {index} in a tree of {size}")
    seen = leaf
    for sibling, on_the_left in _steps(index, size - 1, proof):
        seen = node_hash(sibling, seen) if on_the_left else node_hash(seen, sibling)
    if not compare_digest(seen, root):
        raise ProofRefused("the proof leads to another root")


def verify_consistency(
    *, old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Judge by RFC 9162 §2.1.4.2 that the tree of `new_size` begins with that of `old_size`, which is at least one.

    A tree of no leaves says nothing about what follows it and is refused; a witness's first sight of a log goes through
    `verify_growth`. Of two trees of one size only the roots are compared.

    Raises:
        ProofRefused: the proof does not lead to both roots, or has a hash too many or too few.
    """
    if not 1 <= old_size <= new_size <= LARGEST_SIZE:
        raise ProofRefused(f"nothing shows that {old_size} leaves begin a tree of {new_size}")
    if old_size == new_size:
        if proof or not compare_digest(old_root, new_root):
            raise ProofRefused("one size with two roots, or a proof where none is needed")
        return
    _require_hashes(old_root, new_root, *proof)
    if not proof:
        raise ProofRefused("the proof is too short")
    # A perfect old tree is itself the first hash of the path; a proof leaves it out.
    perfect = not old_size & (old_size - 1)
    first, *path = (old_root, *proof) if perfect else proof
    at, last = old_size - 1, new_size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    seen_old = seen_new = first
    for sibling, on_the_left in _steps(at, last, path):
        seen_old = node_hash(sibling, seen_old) if on_the_left else seen_old
        seen_new = node_hash(sibling, seen_new) if on_the_left else node_hash(seen_new, sibling)
    if not (compare_digest(seen_old, old_root) and compare_digest(seen_new, new_root)):
        raise ProofRefused("the proof leads to other roots")


def verify_growth(*, old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Judge consistency as a witness does: as `verify_consistency`, and from no leaves an empty proof suffices.

    Raises:
        ProofRefused: as `verify_consistency`; from size zero, when a proof is given or an empty tree has another root
            than `EMPTY_ROOT`.
    """
    if old_size:
        verify_consistency(old_size=old_size, new_size=new_size, old_root=old_root, new_root=new_root, proof=proof)
        return
    _require_hashes(old_root, new_root)
    if proof or new_size < 0 or old_root != EMPTY_ROOT or (new_size == 0 and new_root != EMPTY_ROOT):
        raise ProofRefused("from an empty tree only the empty root and an empty proof are accepted")


def _steps(at: int, last: int, path: Sequence[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Walk up from node `at` of a level whose last node is `last`: each sibling, and whether it lies left."""
    for sibling in path:
        if not last:
            raise ProofRefused("the proof is too long")
        on_the_left = bool(at & 1) or at == last
        yield sibling, on_the_left
        while on_the_left and at and not at & 1:
            at, last = at >> 1, last >> 1
        at, last = at >> 1, last >> 1
    if last:
        raise ProofRefused("the proof is too short")


def _require_hashes(*hashes: bytes) -> None:
    if any(len(item) != HASH_SIZE for item in hashes):
        raise ProofRefused(f"a hash is not {HASH_SIZE} bytes long")
