"""Facts of requests: what was asked, what reviewers said, what came of it, and what a rule refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from countersign.domain.facts import Fact
from countersign.domain.request import Sealed


@dataclass(frozen=True, kw_only=True)
class RequestSubmitted(Fact):
    """A request was made; `statement` is what its digest covers."""

    type = "request.submitted"
    principal: str
    digest: str
    statement: Mapping[str, Any]
    lapses_at: datetime
    reason: Sealed
    ticket: Sealed | None = None


@dataclass(frozen=True, kw_only=True)
class ReviewRecorded(Fact):
    """One person's word on one digest, with the groups in which he was eligible when he gave it."""

    type = "review.recorded"
    principal: str
    decision: str
    digest: str
    groups: frozenset[str]
    comment: Sealed | None = None
    signature: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class RequestDecided(Fact):
    """A request left the pending state: approved, denied, withdrawn or lapsed."""

    type = "request.decided"
    state: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class ActRefused(Fact):
    """Somebody who is known tried what a rule forbids."""

    type = "act.refused"
    principal: str
    act: str
    code: str
    rule: str | None = None
