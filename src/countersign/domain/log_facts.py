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
