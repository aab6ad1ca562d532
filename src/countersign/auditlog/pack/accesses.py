"""Accesses: each grant with its request, approvals and credentials, gathered as entries pass, forgotten when it is over."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from countersign.auditlog.leaf import Fact
from countersign.auditlog.pack.selection import Selection, rank

COLUMNS = (
    "grant",
    "request",
    "person",
    "entitlement",
    "break_glass",
    "requested_at",
    "approvers",
    "approved_at",
    "approver_is_requester",
    "duration_s",
    "credentials",
    "first_issued_at",
    "ends_at",
    "closed_at",
    "closed_as",
    "last_seen_dead_at",
    "evidence",
    "most_late_ms",
    "overdue",
    "entries",
)


@dataclass(slots=True)
class Access:
    """One request and what came of it; `entries` are the places and the facts that tell of it."""

    request: str
    person: str
    entitlement: str
    requested_at: str
    duration_s: int
    emergency: bool
    digest: str
    grant: str = ""
    approvers: list[str] = field(default_factory=list)
    approved_at: str | None = None
    credentials: int = 0
    alive: int = 0
    first_issued_at: str | None = None
    ends_at: str | None = None
    closed_at: str | None = None
    closed_as: str | None = None
    dead_at: str | None = None
    evidence: set[str] = field(default_factory=set)
    most_late_ms: int = 0
    overdue: bool = False
    reviewed: bool = False
    last_at: str = ""
    entries: list[tuple[int, bytes, Fact]] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Whether nothing of it is open any more, nor, after break-glass, a word on it owed."""
        return self.closed_at is not None and not self.alive and (self.reviewed or not self.emergency)

    @property
    def by_oneself(self) -> bool:
        """Whether the requester stands among the approvers, which must never be."""
        return self.person in self.approvers

    def row(self) -> tuple[Any, ...]:
        """Return what stands in the table of grants."""
        return (
            self.grant,
            self.request,
            self.person,
            self.entitlement,
            "yes" if self.emergency else "no",
            self.requested_at,
            " ".join(self.approvers),
            self.approved_at,
            "YES" if self.by_oneself else "no",
            self.duration_s,
            self.credentials,
            self.first_issued_at,
            self.ends_at,
            self.closed_at,
            self.closed_as,
            self.dead_at,
            " ".join(sorted(self.evidence)),
            self.most_late_ms,
            "yes" if self.overdue else "no",
            " ".join(str(index) for index, _, _ in self.entries),
        )


class Accesses:
    """Gathers accesses; hands each over once, when nothing of it is open any more.

    Args:
        selection: which ones are handed over, and how many are kept as the sample.
        seed: what the sample is drawn by.
        over: takes an access that is over, or stood open at the end.
    """

    def __init__(self, selection: Selection, *, seed: str, over: Callable[[Access], None]) -> None:
        self._selection, self._seed, self._over = selection, seed, over
        self._requests: dict[str, Access] = {}
        self._of: dict[str, Access] = {}
        self._drawn: list[tuple[int, int, Access]] = []
        self.count = self.by_oneself = self.overdue = self.late = self.emergencies = 0
        self._tell: dict[str, Callable[[Access, Fact], None]] = {
            "grant.closed": _closed,
            "lease.issued": _issued,
            "lease.overdue": _overdue,
            "lease.dead": _dead,
            "break-glass.reviewed": _reviewed,
        }

    def feed(self, index: int, fact: Fact, leaf: bytes) -> None:
        """Take the next entry."""
        kind, name = fact["type"], fact["subject"]
        if kind == "request.submitted":
            says = fact["data"]["statement"]
            self._requests[name] = Access(
                request=name,
                person=says["person"],
                entitlement=says["entitlement"],
                requested_at=fact["at"],
                duration_s=says["duration_s"],
                emergency=says.get("emergency") is not None,
                digest=fact["data"]["digest"],
            )
            self._of[name] = self._requests[name]
        elif kind == "grant.opened":
            self._opened(fact)
        elif kind == "lease.prepared":
            self._prepared(fact)
        access = self._of.get(name)
        if access is None:
            return
        access.entries.append((index, leaf, fact))
        access.last_at = fact["at"]
        tell = self._tell.get(kind)
        if tell is not None:
            tell(access, fact)
        if kind == "request.decided" and fact["data"]["state"] != "approved":
            del self._of[name], self._requests[name]
        elif access.is_over:
            self._finish(access)

    def finish(self) -> None:
        """Hand over what stands open at the end, in the order in which it was asked for."""
        for access in list(self._requests.values()):
            if access.grant:
                self._finish(access)

    def sample(self) -> Iterator[Access]:
        """Yield the sample, in the order of the draw."""
        for _, _, access in sorted(self._drawn, reverse=True):
            yield access

    def _opened(self, fact: Fact) -> None:
        access = self._requests.get(fact["data"]["request"])
        if access is not None and not access.grant:
            access.grant, access.approved_at = fact["subject"], fact["at"]
            access.approvers = list(fact["data"]["approvers"])
            self._of[access.grant] = access

    def _prepared(self, fact: Fact) -> None:
        access = self._of.get(fact["data"]["grant"])
        if access is not None:
            self._of[fact["subject"]] = access
            access.alive += 1
            access.ends_at = fact["data"]["not_after"]

    def _finish(self, access: Access) -> None:
        for name in {fact["subject"] for _, _, fact in access.entries}:
            self._of.pop(name, None)
        self._requests.pop(access.request, None)
        selection = self._selection
        lived = access.requested_at <= selection.until and access.last_at >= selection.since
        if not lived or not selection.wants(person=access.person, entitlement=access.entitlement, grant=access.grant):
            return
        self.count += 1
        self.by_oneself += access.by_oneself
        self.overdue += access.overdue
        self.late += access.most_late_ms > 1000  # noqa: PLR2004 - a second, as the report says
        self.emergencies += access.emergency
        self._over(access)
        self._draw(access)

    def _draw(self, access: Access) -> None:
        """Keep the access if its rank is among the smallest so far; the heap holds ranks below zero, the largest on top."""
        if not self._selection.sample:
            return
        place = -int.from_bytes(rank(self._seed, access.grant), "big")
        if len(self._drawn) < self._selection.sample:
            heapq.heappush(self._drawn, (place, self.count, access))
        elif place > self._drawn[0][0]:
            heapq.heapreplace(self._drawn, (place, self.count, access))


def _closed(access: Access, fact: Fact) -> None:
    access.closed_at, access.closed_as = fact["at"], fact["data"]["state"]


def _issued(access: Access, fact: Fact) -> None:
    access.credentials += 1
    access.first_issued_at = access.first_issued_at or fact["at"]


def _overdue(access: Access, fact: Fact) -> None:
    del fact
    access.overdue = True


def _reviewed(access: Access, fact: Fact) -> None:
    del fact
    access.reviewed = True


def _dead(access: Access, fact: Fact) -> None:
    data = fact["data"]
    access.alive -= 1
    access.dead_at = fact["at"]
    access.evidence.add(data["evidence"])
    access.most_late_ms = max(access.most_late_ms, int(data["lateness_ms"]))
