"""A grant: the right that an approval creates, to be drawn by `draw_by`; the first draw starts the clock for all of it.

States: open → ended | revoked | returned. `not_after` is set once by the first draw and never extended by a later one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from countersign.domain.people import Principal
from countersign.domain.refusals import DrawsExhausted, NotYours, WindowOver, WrongState
from countersign.domain.timestamps import spell


class GrantState(StrEnum):
    """Where a grant stands."""

    OPEN = "open"
    ENDED = "ended"
    REVOKED = "revoked"
    RETURNED = "returned"


class GrantEvent(StrEnum):
    """What can happen to a grant."""

    END = "end"
    REVOKE = "revoke"
    RETURN = "return"


TRANSITIONS: Mapping[tuple[GrantState, GrantEvent], GrantState] = MappingProxyType(
    {
        (GrantState.OPEN, GrantEvent.END): GrantState.ENDED,
        (GrantState.OPEN, GrantEvent.REVOKE): GrantState.REVOKED,
        (GrantState.OPEN, GrantEvent.RETURN): GrantState.RETURNED,
    }
)


@dataclass(frozen=True, kw_only=True)
class Grant:
    """The right to draw. `draws_used` counts draws that were begun and not given back."""

    id: str
    request_id: str
    request_digest: str
    person: str
    entitlement: str
    target: str
    duration: timedelta
    draws: int
    opened_at: datetime
    draw_by: datetime
    draws_used: int = 0
    not_after: datetime | None = None
    state: GrantState = GrantState.OPEN
    version: int = 1

    def prepare(self, principal: Principal, now: datetime) -> Grant:
        """Return the grant with one more draw begun, or say why not.

        Raises:
            NotYours: the principal's person is not the one it was granted to.
            WrongState: it is no longer open.
            WindowOver: nobody drew in time, or the access time is over.
            DrawsExhausted: all draws are used.
        """
        if principal.person != self.person:
            raise NotYours(f"{self.id} was granted to someone else", rule="only the requester draws")
        if self.state is not GrantState.OPEN:
            raise WrongState(f"{self.id} is {self.state}", hint="submit a new request")
        if self.not_after is not None and now >= self.not_after:
            raise WindowOver(f"{self.id} ended at {spell(self.not_after)}", hint="submit a new request")
        if self.not_after is None and now >= self.draw_by:
            raise WindowOver(f"{self.id} could be drawn until {spell(self.draw_by)}", hint="submit a new request")
        if self.draws_used >= self.draws:
            raise DrawsExhausted(
                f"{self.id} allows {self.draws} and all are used",
                rule=f"entitlement {self.entitlement}: draws = {self.draws}",
                hint="submit a new request",
            )
        return replace(
            self,
            draws_used=self.draws_used + 1,
            not_after=now + self.duration if self.not_after is None else self.not_after,
            version=self.version + 1,
        )

    def given_back(self, *, clock_stops: bool) -> Grant:
        """Return the grant with one draw given back: it was begun and its credential never served.

        Args:
            clock_stops: nothing was ever handed over under this grant, so its time has not begun.

        Raises:
            WrongState: no draw is on record; giving one back would make one more than was approved.
        """
        if self.draws_used < 1:
            raise WrongState(f"{self.id} has no draw to give back")
        return replace(
            self,
            draws_used=self.draws_used - 1,
            not_after=None if clock_stops else self.not_after,
            version=self.version + 1,
        )

    @property
    def due(self) -> datetime:
        """The moment at which an open grant ends by itself."""
        return self.draw_by if self.not_after is None else self.not_after

    def after(self, event: GrantEvent) -> Grant:
        """Return the grant after `event`.

        Raises:
            WrongState: the event does not exist from this state.
        """
        next_state = TRANSITIONS.get((self.state, event))
        if next_state is None:
            raise WrongState(f"{self.id} is {self.state}; it can no longer {event}", hint=f"countersign show {self.id}")
        return replace(self, state=next_state, version=self.version + 1)
