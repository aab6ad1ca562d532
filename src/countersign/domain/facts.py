"""Facts: what happened, in typed frozen values; the log holds nothing else.

Each fact class has a tag (`type`) that never changes its meaning: a new meaning is a new tag. Field values are plain JSON,
moments (spelled as text) or `Sealed` free text, of which only the commitment reaches the log; the opening is kept beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import Enum
from typing import Any, ClassVar

from countersign.domain.request import Sealed
from countersign.domain.timestamps import spell

BROKER = "countersign"
"""The actor of what no person did: the broker itself. No person can bear this name with a slash after it."""


@dataclass(frozen=True, kw_only=True)
class Fact:
    """Base of all facts.

    Attributes:
        actor: the person who did it, or `countersign/<part>` for the broker's own acts.
        subject: the id of what it happened to.
    """

    type: ClassVar[str]
    actor: str
    subject: str

    def data(self) -> dict[str, Any]:
        """Return the fact's own fields as plain JSON, free texts as commitments."""
        return {name: _plain(getattr(self, name)) for name in _own_fields(type(self))}

    def openings(self) -> dict[str, Sealed]:
        """Return the free texts that the leaf only commits to, by field."""
        found = ((name, getattr(self, name)) for name in _own_fields(type(self)))
        return {name: value for name, value in found if isinstance(value, Sealed)}


_OWN_FIELDS: dict[type[Fact], tuple[str, ...]] = {}


def _own_fields(kind: type[Fact]) -> tuple[str, ...]:
    names = _OWN_FIELDS.get(kind)
    if names is None:
        names = _OWN_FIELDS[kind] = tuple(f.name for f in fields(kind) if f.name not in {"actor", "subject"})
    return names


_AS_THEY_ARE = frozenset({str, int, bool, type(None)})


def _plain(value: object) -> object:
    if type(value) in _AS_THEY_ARE:
        return value
    match value:
        case Sealed():
            return value.commitment
        case datetime():
            return spell(value)
        case Enum():
            return value.value
        case Mapping():
            return {key: _plain(item) for key, item in value.items()}
        case frozenset() | set():
            return sorted(str(_plain(item)) for item in value)
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            return value


# --- the broker itself -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class BrokerStarted(Fact):
    """A process came up with this version and configuration: subject `broker`, or the half that runs alone."""

    type = "broker.started"
    version: str
    configuration: str


@dataclass(frozen=True, kw_only=True)
class RulebookAdopted(Fact):
    """A catalog and directory, known by their digests, came into force; `genesis` marks the first.

    Attributes:
        written: how many `rulebook.written` entries before this one say what changed; None where none was written.
    """

    type = "rulebook.adopted"
    catalog: str
    directory: str
    genesis: bool
    proposed_by: str | None = None
    approved_by: str | None = None
    written: int | None = None


@dataclass(frozen=True, kw_only=True)
class RulebookProposed(Fact):
    """Somebody proposed another catalog and directory, built on the rulebook numbered `base`."""

    type = "rulebook.proposed"
    principal: str
    digest: str
    catalog: str
    directory: str
    base: int
    reason: Sealed


@dataclass(frozen=True, kw_only=True)
class ProposalDecided(Fact):
    """A proposal was approved or rejected by another author, or withdrawn by its own."""

    type = "rulebook.decided"
    principal: str
    digest: str
    state: str
    signature: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class ProposalSigned(Fact):
    """The author of a proposal signed it with a passkey."""

    type = "rulebook.signed"
    principal: str
    digest: str
    signature: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class ClockStepped(Fact):
    """The clock disagreed with what was known; issuing stopped or resumed."""

    type = "clock.stepped"
    offset_ms: int
    issuing: bool


# --- auditors ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class AuditAsked(Fact):
    """Somebody asked the log a question, and was told of so many things."""

    type = "audit.asked"
    principal: str
    question: str
    about: Mapping[str, Any]
    count: int


# --- people ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class TokenIssued(Fact):
    """A bearer token was made for a principal (embedded stack only); `token` is its public id."""

    type = "token.issued"
    principal: str
    token: str


@dataclass(frozen=True, kw_only=True)
class TokenRevoked(Fact):
    """A bearer token was withdrawn."""

    type = "token.revoked"
    principal: str
    token: str


@dataclass(frozen=True, kw_only=True)
class PersonDisabled(Fact):
    """A person was disabled; pending requests, open grants and live leases end with it."""

    type = "person.disabled"
    principal: str
    reason: Sealed


# --- requests and reviews ----------------------------------------------------------------------------------------------


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


# --- grants ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class GrantOpened(Fact):
    """An approval became a right to draw."""

    type = "grant.opened"
    request: str
    digest: str
    rule: str
    person: str
    approvers: tuple[str, ...]
    draws: int
    duration_s: int
    draw_by: datetime


@dataclass(frozen=True, kw_only=True)
class GrantClosed(Fact):
    """A grant ended by itself, was revoked or was handed back."""

    type = "grant.closed"
    state: str
    reason: Sealed | None = None


# --- leases ------------------------------------------------------------------------------------------------------------


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


# --- stops -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class StopLifted(Fact):
    """Somebody other than who placed it lifted a stop."""

    type = "stop.lifted"
    principal: str
    placed_by: str


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
