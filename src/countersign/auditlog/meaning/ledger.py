"""What a replay must remember: only what is open. What has come to its end is forgotten, but for the last ids by name.

These records are moved in place: a replay holds one of each thing, and a million entries pass through them.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from countersign.auditlog.meaning.findings import Finding, Severity, Thresholds

SKEW = timedelta(seconds=5)
"""How far an entry's time may lie behind the moment at which its act was judged: a transaction waited for its turn."""
MOST_FINDINGS = 1000
LATELY = 10_000
MALFORMED = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)
"""What judging raises of a fact that is not as facts of its type are: also of a time or a number beyond all measure."""


@dataclass(slots=True)
class OpenRequest:
    """A request, until its grant is over or it can have none."""

    index: int
    digest: str
    person: str
    entitlement: str
    rule: str
    duration_s: int
    lapses_at: str
    state: str = "pending"
    approvers: list[str] = field(default_factory=list)
    denied_by: str | None = None
    granted: bool = False
    emergency: bool = False
    envelope: str | None = None
    signed: bool = False
    behind: tuple[str, ...] = ()
    automatic: bool = False


@dataclass(slots=True)
class OpenGrant:
    """A grant, until it is closed and all its leases are dead."""

    index: int
    request_id: str
    request: OpenRequest
    approvers: list[str]
    draws: int
    draw_by: str
    used: int = 0
    not_after: str | None = None
    closed_at: str | None = None
    closed_index: int = 0
    alive: int = 0
    told: bool = False
    served: set[str] = field(default_factory=set)


@dataclass(slots=True)
class OpenLease:
    """A lease, until it is dead."""

    index: int
    grant_id: str
    not_after: str
    backstop_at: str
    state: str = "prepared"
    reserved: bool = False
    asked_at: str | None = None
    asked_index: int = 0
    overdue: bool = False


class Lately:
    """The ids of what came to its end last, so that what is done to it afterwards is called by its name."""

    def __init__(self) -> None:
        self._order: deque[str] = deque()
        self._known: set[str] = set()

    def add(self, name: str) -> None:
        """Remember an id, and forget the oldest."""
        self._order.append(name)
        self._known.add(name)
        if len(self._order) > LATELY:
            self._known.discard(self._order.popleft())

    def __contains__(self, name: str) -> bool:
        return name in self._known


@dataclass(slots=True)
class Ledger:
    """All that is open, the time that the log has come to, and what was found so far.

    Attributes:
        started_at: when a broker last came up; what fell due while none ran counts from there.
    """

    thresholds: Thresholds
    requests: dict[str, OpenRequest] = field(default_factory=dict)
    grants: dict[str, OpenGrant] = field(default_factory=dict)
    leases: dict[str, OpenLease] = field(default_factory=dict)
    over: Lately = field(default_factory=Lately)
    at: str = ""
    started_at: str = ""
    findings: list[Finding] = field(default_factory=list)
    omitted: int = 0

    def broken(self, index: int, code: str, detail: str) -> None:
        """Note that the log contradicts itself, or a rule that always holds."""
        self.note(index, code, Severity.BROKEN, detail)

    def note(self, index: int, code: str, severity: Severity, detail: str) -> None:
        """Note a finding, or count it once there are too many."""
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(Finding(index=index, code=code, severity=severity, detail=detail))
        else:
            self.omitted += 1

    def settle(self, grant_id: str, grant: OpenGrant) -> None:
        """Forget a grant and its request once nothing of it is open any more."""
        if grant.closed_at is not None and grant.alive == 0:
            del self.grants[grant_id]
            self.requests.pop(grant.request_id, None)
            self.over.add(grant_id)
            self.over.add(grant.request_id)


def moment(text: str) -> datetime:
    """Return the time that a fact's text says.

    Raises:
        ValueError: it says none, or one without a zone.
    """
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("a time without a zone")
    return found if found.tzinfo is UTC else found.astimezone(UTC)


def past(at: str, limit: str, *, by: timedelta = SKEW) -> bool:
    """Say whether `at` lies behind `limit` by more than `by`. Most times do not lie behind it at all, which is quick to see."""
    return at > limit and moment(at) > moment(limit) + by
