"""Facts of break-glass: envelopes, what was opened in an emergency, and the word on it afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from countersign.domain.facts import Fact
from countersign.domain.request import Sealed


@dataclass(frozen=True, kw_only=True)
class EnvelopeProposed(Fact):
    """Somebody wrote an envelope; it is worth nothing until others signed it. `statement` is what its digest covers."""

    type = "envelope.proposed"
    principal: str
    digest: str
    statement: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class EnvelopeSigned(Fact):
    """One person signed an envelope by its digest, eligible in these groups when he did."""

    type = "envelope.signed"
    principal: str
    digest: str
    groups: frozenset[str]
    signature: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class EnvelopeRevoked(Fact):
    """An envelope is worth nothing any more."""

    type = "envelope.revoked"
    principal: str


@dataclass(frozen=True, kw_only=True)
class BreakGlassOpened(Fact):
    """A grant was opened by break-glass; `skipped` are persons of the normal rule who were not asked, and are to be told."""

    type = "break-glass.opened"
    request: str
    person: str
    entitlement: str
    incident: str
    drill: bool
    envelope: str | None
    approvers: tuple[str, ...]
    skipped: tuple[str, ...]
    review_due: datetime


@dataclass(frozen=True, kw_only=True)
class BreakGlassReviewed(Fact):
    """Somebody who neither asked nor granted said afterwards whether a break-glass access was justified."""

    type = "break-glass.reviewed"
    principal: str
    verdict: str
    incident: str
    drill: bool
    late: bool
    comment: Sealed


@dataclass(frozen=True, kw_only=True)
class BreakGlassUnreviewed(Fact):
    """The review of a break-glass access is past its time; said once, to whoever follows the log."""

    type = "break-glass.unreviewed"
    person: str
    entitlement: str
    incident: str
    drill: bool
    due_at: datetime
