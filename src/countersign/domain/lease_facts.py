"""Facts of leases from the intent to the certificate of death, and of what stands at a provider that no lease explains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from countersign.domain.facts import Fact


@dataclass(frozen=True, kw_only=True)
class LeasePrepared(Fact):
    """The intent to issue: nothing exists outside yet, and whatever will bears this lease's id."""

    type = "lease.prepared"
    principal: str
    grant: str
    request: str
    digest: str
    person: str
    approvers: tuple[str, ...]
    provider: str
    target: str
    generation: int
    not_after: datetime
    backstop_at: datetime
    delivery: str


@dataclass(frozen=True, kw_only=True)
class LeaseReserved(Fact):
    """The handle that will kill the credential is committed; nothing usable exists yet."""

    type = "lease.reserved"
    handle: str


@dataclass(frozen=True, kw_only=True)
class LeaseIssued(Fact):
    """The credential exists and is about to be handed over."""

    type = "lease.issued"
    grant: str
    expires_at: datetime
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class LeaseEndAsked(Fact):
    """A lease is to end: by whom and why."""

    type = "lease.end-asked"
    cause: str
    not_after: datetime
    draw_given_back: bool = False


@dataclass(frozen=True, kw_only=True)
class LeaseEndWritten(Fact):
    """The provider took the order to end it. This is not yet death."""

    type = "lease.end-written"
    answer: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class LeaseOverdue(Fact):
    """A lease is past its time and has not been seen dead; alarmed, and tried again for ever."""

    type = "lease.overdue"
    not_after: datetime
    standing: str
    trouble: str


@dataclass(frozen=True, kw_only=True)
class LeaseDead(Fact):
    """The certificate of death: what was seen, where, how it is known, and how late after the promised second."""

    type = "lease.dead"
    grant: str
    cause: str
    evidence: str
    standing: str
    seen: Mapping[str, Any]
    not_after: datetime
    lateness_ms: int


@dataclass(frozen=True, kw_only=True)
class Anomaly(Fact):
    """Something stands at a provider that the log does not explain, or a provider was caught saying what is not so."""

    type = "provider.anomaly"
    provider: str
    kind: str
    seen: Mapping[str, Any]
