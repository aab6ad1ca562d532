"""The keys that sign the log: which one does, which may, and how each came in."""

from __future__ import annotations

from countersign.api.answers import Answer
from countersign.api.problems import documented
from countersign.api.route import Caller, TheBroker, guarded_router

router = guarded_router("log")


class HandoverAnswer(Answer):
    """Two people named keys that were `added`, at entry `index`; `note` is a checkpoint over it by a key from before."""

    index: int
    added: list[str]
    size: int
    note: str


class LogKeysAnswer(Answer):
    """The key that signed last, those that the rules let sign (none: any), and how they came in.

    `waiting` are keys that were named and that no earlier key has brought in yet: who trusts those follows none of these.
    """

    signs: str
    may_sign: list[str]
    handovers: list[HandoverAnswer]
    waiting: list[str]


@router.get("/log/keys", responses=documented(), summary="The keys that sign the log")
def log_keys(broker: TheBroker, caller: Caller) -> LogKeysAnswer:
    """Return the log's public keys, and the checkpoints by which one brought in the next."""
    del caller  # whoever is admitted may hold public keys and checkpoints
    found = broker.evidence.handovers()
    return LogKeysAnswer(
        signs=broker.evidence.verifier().vkey(),
        may_sign=list(broker.evidence.may_sign()),
        handovers=[
            HandoverAnswer(index=each.index, added=list(each.added), size=each.size, note=each.note)
            for each in found
            if each.size
        ],
        waiting=sorted({vkey for each in found if not each.size for vkey in each.added}),
    )
