"""Campaigns: every membership of some groups is kept or removed by somebody's name, and what nobody decides is removed.

A removal holds from then on, whatever the directory says, until rules come into force that do not list the membership any
more; putting it back is a change of the rules, and takes two people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from countersign.domain.refusals import AlreadyReviewed, SelfReview, WindowOver

SHORTEST_S, LONGEST_S = 24 * 3600, 90 * 24 * 3600
"""How long people may have to decide, in seconds."""


class Ruling(StrEnum):
    """What may be said of a membership."""

    KEEP = "keep"
    REMOVE = "remove"


@dataclass(frozen=True, kw_only=True, slots=True)
class Membership:
    """A person's membership in a group, as a campaign asks about it; undecided without a ruling."""

    person: str
    group: str
    ruling: Ruling | None = None
    decided_by: str | None = None
    decided_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Campaign:
    """A review of memberships, which somebody started, and which ends at `due_at`."""

    id: str
    groups: Sequence[str]
    started_by: str
    started_at: datetime
    due_at: datetime
    closed_at: datetime | None = None

    def decided(self, item: Membership, *, ruling: Ruling, by: str, at: datetime) -> Membership:
        """Return the membership with somebody's ruling.

        Raises:
            SelfReview: it is his own.
            WindowOver: the time for it is over.
            AlreadyReviewed: somebody has decided it.
        """
        if by == item.person:
            raise SelfReview("nobody decides on his own membership", rule="a different person keeps or removes it")
        if self.closed_at is not None or at >= self.due_at:
            raise WindowOver(f"{self.id} ended; what was not decided is removed", rule="undecided means removed")
        if item.ruling is not None:
            raise AlreadyReviewed(
                f"{item.decided_by} has decided on {item.person} in {item.group}", rule="decided once"
            )
        return replace(item, ruling=ruling, decided_by=by, decided_at=at)
