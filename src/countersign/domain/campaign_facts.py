"""Facts of auditors' reviews: campaigns over memberships, and that somebody looked at a period."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from countersign.domain.facts import Fact
from countersign.domain.request import Sealed


@dataclass(frozen=True, kw_only=True)
class CampaignStarted(Fact):
    """Somebody asked that the memberships of these groups be kept or removed by a moment; there are so many."""

    type = "campaign.started"
    principal: str
    groups: tuple[str, ...]
    due_at: datetime
    memberships: int


@dataclass(frozen=True, kw_only=True)
class MembershipDecided(Fact):
    """One person's word on another's membership."""

    type = "campaign.decided"
    principal: str
    person: str
    group: str
    ruling: str


@dataclass(frozen=True, kw_only=True)
class MembershipRemoved(Fact):
    """A person (the subject) is no member of a group any more, until rules say so that two people made.

    Attributes:
        decided_by: who removed it; None where nobody decided in time.
    """

    type = "membership.removed"
    group: str
    campaign: str
    decided_by: str | None


@dataclass(frozen=True, kw_only=True)
class CampaignClosed(Fact):
    """A campaign is over: so many memberships were kept, removed by somebody's word, and removed because nobody decided."""

    type = "campaign.closed"
    kept: int
    removed: int
    undecided: int


@dataclass(frozen=True, kw_only=True)
class PeriodReviewed(Fact):
    """An auditor looked at a period, and in it at these grants, and says what was not in order.

    Attributes:
        size: entries of the log when it was said.
        exceptions: how many things were not in order; `findings` says which.
    """

    type = "audit.reviewed"
    principal: str
    since: datetime
    until: datetime
    sample: tuple[str, ...]
    exceptions: int
    size: int
    findings: Sealed | None = None
