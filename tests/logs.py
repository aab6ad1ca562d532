"""A small log for tests of those who look at it from outside: it grows, signs, proves, and can be made to lie."""

from __future__ import annotations

from dataclasses import dataclass, field

from countersign.auditlog.checkpoint import Checkpoint, sign_checkpoint
from countersign.auditlog.merkle import leaf_hash
from countersign.auditlog.signer import Ed25519Signer
from countersign.auditlog.tree import Tree
from countersign.auditlog.witnessing import Submission

ORIGIN = "log.example/audit"


@dataclass(kw_only=True)
class GrownLog:
    """Entries numbered from 0, told apart by the name of their history."""

    size: int
    history: str = "first"
    shared: int = 0
    signer: Ed25519Signer = field(default_factory=lambda: Ed25519Signer.generate(ORIGIN))

    def __post_init__(self) -> None:
        self.leaves = [f"{'first' if at < self.shared else self.history} {at}".encode() for at in range(self.size)]
        self.tree = Tree(map(leaf_hash, self.leaves))

    def fork(self, *, at: int) -> GrownLog:
        """Another history under the same key that shares the first entries."""
        return GrownLog(size=self.size, history="other", shared=at, signer=self.signer)

    def checkpoint(self, size: int) -> str:
        return sign_checkpoint(Checkpoint(origin=self.signer.name, size=size, root=self.tree.root(size)), [self.signer])

    def submission(self, old: int, new: int, **changes: object) -> bytes:
        values = {
            "old_size": old,
            "proof": tuple(self.tree.consistency(old, new)) if old <= new else (),
            "checkpoint": self.checkpoint(new).encode(),
        }
        return Submission(**values | changes).encode()  # type: ignore[arg-type] # fields of Submission
