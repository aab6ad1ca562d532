"""Break-glass: the mark that a request bears, the rule that counts for it, and the word on it afterwards.

No emergency waives the second person. It may widen who signs, or move the signing to before the emergency (`envelope`); it is
shorter, bound to an incident, and somebody else says afterwards whether it was justified.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from countersign.domain.refusals import AlreadyReviewed, Invalid, SelfReview

_INCIDENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,39}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Emergency:
    """The mark of a break-glass request; part of what its digest covers.

    Attributes:
        incident: the id that the incident has wherever incidents are kept.
        drill: it is practised; everything else is as in earnest.
        envelope: the envelope that was opened, None where somebody signs now.
    """

    incident: str
    drill: bool = False
    envelope: str | None = None

    def __post_init__(self) -> None:
        """Refuse an incident that cannot be one."""
        if _INCIDENT.fullmatch(self.incident) is None:
            raise Invalid(
                "the incident's id takes 2 to 40 letters, digits, dots, underscores and hyphens",
                field="emergency.incident",
            )

    def document(self) -> dict[str, object]:
        """Return it as plain JSON, as the statement holds it."""
        return {"incident": self.incident, "drill": self.drill, "envelope": self.envelope}


class Verdict(StrEnum):
    """What may be said of a break-glass access afterwards."""

    JUSTIFIED = "justified"
    NOT_JUSTIFIED = "not-justified"


@dataclass(frozen=True, kw_only=True, slots=True)
class AfterReview:
    """The word on one break-glass grant that somebody owes, and gives once; neither requester nor granter does.

    Attributes:
        granters: who signed the request, or the envelope that it opened.
        due_at: when it is owed; unreviewed after that is escalated.
    """

    grant_id: str
    request_id: str
    person: str
    entitlement: str
    incident: str
    drill: bool
    granters: tuple[str, ...]
    opened_at: datetime
    due_at: datetime
    reviewer: str | None = None
    verdict: Verdict | None = None
    reviewed_at: datetime | None = None
    escalated_at: datetime | None = None

    def reviewed(self, *, by: str, verdict: Verdict, at: datetime) -> AfterReview:
        """Return it with somebody's word.

        Raises:
            SelfReview: `by` asked for the access, or granted it.
            AlreadyReviewed: somebody has said it.
        """
        if by == self.person or by in self.granters:
            raise SelfReview(
                f"{by} asked for {self.grant_id} or granted it", rule="neither requester nor granter reviews afterwards"
            )
        if self.verdict is not None:
            raise AlreadyReviewed(f"{self.reviewer} has reviewed {self.grant_id}", rule="one review after the fact")
        return replace(self, reviewer=by, verdict=verdict, reviewed_at=at)
