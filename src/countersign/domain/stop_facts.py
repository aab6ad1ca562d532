"""Facts of stops: placed, asked to be lifted, lifted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from countersign.domain.facts import Fact
from countersign.domain.request import Sealed


@dataclass(frozen=True, kw_only=True)
class StopPlaced(Fact):
    """Somebody stopped all access, or that of one person, entitlement or provider."""

    type = "stop.placed"
    principal: str
    scope: str
    reason: Sealed
    grants_revoked: int
    requests_ended: int
    until: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class StopLiftAsked(Fact):
    """The first of two persons asked that a lock on production be lifted."""

    type = "stop.lift-asked"
    principal: str
    placed_by: str


@dataclass(frozen=True, kw_only=True)
class StopLifted(Fact):
    """Somebody other than who placed it lifted a stop."""

    type = "stop.lifted"
    principal: str
    placed_by: str
