"""Facts about the log itself: what somebody outside made of it."""

from __future__ import annotations

from dataclasses import dataclass

from countersign.domain.facts import Fact


@dataclass(frozen=True, kw_only=True)
class WitnessDisputed(Fact):
    """A witness said what cannot be true if it and we both tell the truth: one of us has shown two histories, or forgot one.

    Attributes:
        code: `ahead` (it cosigned more than we have), `other-root` (another tree of one size), `refuses-proof` (a proof that
            holds), `bad-cosignature` (a line of its own that does not verify).
        ours: the size that was submitted.
        theirs: the size that it says it cosigned last, where it says one.
    """

    type = "witness.disputed"
    code: str
    ours: int
    theirs: int | None = None


@dataclass(frozen=True, kw_only=True)
class CheckpointClock(Fact):
    """By which clock the entries up to here were written, and how right it was; each checkpoint covers one of these.

    Attributes:
        source: `database` or `system`.
        offset_ms: how far the database's clock was ahead of the broker's; None where they are one.
        synchronised: whether the broker's machine says that a time service keeps its clock right; None where it cannot say.
        error_ms: how wrong that clock may be, as the machine counts.
    """

    type = "checkpoint.clock"
    source: str
    offset_ms: int | None = None
    synchronised: bool | None = None
    error_ms: int | None = None
