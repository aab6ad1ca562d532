"""Detectors of what people hold: too often, more and more, unused, longer than was approved, or too late taken away."""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from countersign.auditlog.leaf import Fact
from countersign.auditlog.meaning.findings import Severity
from countersign.auditlog.meaning.habits import slide
from countersign.auditlog.meaning.ledger import moment
from countersign.auditlog.meaning.notebook import OPERATORS, Notebook
from countersign.domain.people import Role

DAY = timedelta(days=1)
TOLERANCE = timedelta(seconds=1)
FEWEST_PEERS = 5


@dataclass(slots=True)
class _Grant:
    entitlement: str
    person: str
    duration: timedelta


@dataclass(slots=True)
class _Lease:
    index: int
    grant: str
    person: str
    entitlement: str
    due: datetime
    backstop: datetime
    told: bool = False


@dataclass(slots=True)
class Access:
    """Watches grants and leases."""

    notebook: Notebook
    asked: dict[str, str] = field(default_factory=dict)
    grants: dict[str, _Grant] = field(default_factory=dict)
    leases: dict[str, _Lease] = field(default_factory=dict)
    due: list[tuple[datetime, str]] = field(default_factory=list)
    taken: dict[tuple[str, str], deque[tuple[datetime, int]]] = field(default_factory=dict)
    had: dict[str, dict[str, tuple[datetime, int]]] = field(default_factory=dict)
    used: dict[str, datetime] = field(default_factory=dict)
    known: dict[str, datetime] = field(default_factory=dict)
    began: datetime | None = None

    def submitted(self, index: int, fact: Fact, at: datetime) -> None:
        """What is asked for."""
        del index, at
        self.asked[fact["subject"]] = fact["data"]["statement"]["entitlement"]

    def decided(self, index: int, fact: Fact, at: datetime) -> None:
        """It comes to nothing."""
        del index, at
        if fact["data"]["state"] != "approved":
            self.asked.pop(fact["subject"], None)

    def granted(self, index: int, fact: Fact, at: datetime) -> None:
        """Judge how often one person has one thing."""
        data, limits = fact["data"], self.notebook.limits
        entitlement, person = self.asked.pop(data["request"], None), data["person"]
        if entitlement is None:
            return
        duration = timedelta(seconds=int(data.get("duration_s", 0)))
        self.grants[fact["subject"]] = _Grant(entitlement=entitlement, person=person, duration=duration)
        self.began = self.began or at
        self.had.setdefault(person, {})[entitlement] = (at, index)
        times = self.taken.get((person, entitlement))
        if times is None:
            times = self.taken[person, entitlement] = deque()
        slide(times, (at, index), DAY)
        is_frequent = len(times) >= limits.grants_per_day
        if is_frequent and self.notebook.is_untold(at, "frequent-grants", person, entitlement):
            detail = f"{person} had {entitlement} {len(times)} times within a day"
            self.notebook.once(
                index, "frequent-grants", Severity.LOW, detail,
                at=at, about=[person, entitlement], persons=[person],
                evidence=(where for _, where in times), owner=self.notebook.owner_of(entitlement),
            )  # fmt: skip

    def closed(self, index: int, fact: Fact, at: datetime) -> None:
        """Nothing is drawn under it any more."""
        del index, at
        self.grants.pop(fact["subject"], None)

    def prepared(self, index: int, fact: Fact, at: datetime) -> None:
        """Judge how long a credential is to live."""
        data, name = fact["data"], fact["subject"]
        grant = self.grants.get(data["grant"])
        if grant is None:
            return
        self.used[grant.entitlement] = self.used[f"person {grant.person}"] = at
        lease = self.leases[name] = _Lease(
            index=index, grant=data["grant"], person=grant.person, entitlement=grant.entitlement,
            due=moment(data["not_after"]), backstop=moment(data["backstop_at"]),
        )  # fmt: skip
        heapq.heappush(self.due, (lease.due, name))
        if lease.due - at > grant.duration + TOLERANCE:
            self._breach(index, name, lease, f"is to live until {data['not_after']}, longer than was approved")

    def issued(self, index: int, fact: Fact, at: datetime) -> None:
        """Judge how long it may work at the provider."""
        del at
        name, lease = fact["subject"], self.leases.get(fact["subject"])
        if lease is not None and moment(fact["data"]["expires_at"]) > lease.backstop + TOLERANCE:
            self._breach(index, name, lease, f"works until {fact['data']['expires_at']}, beyond its backstop")

    def _breach(self, index: int, name: str, lease: _Lease, what: str) -> None:
        owner = self.notebook.owner_of(lease.entitlement, OPERATORS)
        self.notebook.note(
            index, "limit-breach", Severity.HIGH, f"{name} {what}",
            persons=[lease.person], evidence=[lease.index], owner=owner,
        )  # fmt: skip

    def end_asked(self, index: int, fact: Fact, at: datetime) -> None:
        """It is to end now, or at its time if that comes first."""
        del index
        lease = self.leases.get(fact["subject"])
        if lease is not None and at < lease.due:
            lease.due = at
            heapq.heappush(self.due, (at, fact["subject"]))

    def dead(self, index: int, fact: Fact, at: datetime) -> None:
        """Judge how late it ended."""
        del at
        lease = self.leases.pop(fact["subject"], None)
        late = timedelta(milliseconds=int(fact["data"]["lateness_ms"]))
        if late > self.notebook.limits.late and (lease is None or not lease.told):
            self._late(index, fact["subject"], lease, late, f"died {late} after it should have")

    def minute(self, index: int, at: datetime) -> None:
        """Look, about once a minute, at what should be dead and is not."""
        latest = at - self.notebook.limits.late
        while self.due and self.due[0][0] < latest:
            due, name = heapq.heappop(self.due)
            lease = self.leases.get(name)
            if lease is not None and lease.due == due and not lease.told:
                lease.told = True
                self._late(index, name, lease, at - due, f"is not dead {at - due} after it should be")

    def _late(self, index: int, name: str, lease: _Lease | None, late: timedelta, what: str) -> None:
        severity = Severity.HIGH if late > self.notebook.limits.very_late else Severity.MEDIUM
        evidence, persons = ([], []) if lease is None else ([lease.index], [lease.person])
        self.notebook.note(
            index, "late-revocation", severity, f"{name} {what}", persons=persons, evidence=evidence, owner=OPERATORS
        )

    def adopted(self, at: datetime) -> None:
        """Note since when there is an entitlement, and a person who may ask for any."""
        rules = self.notebook.rules.now
        if rules is None:
            return
        names = [*rules.entitlements, *(f"person {each}" for each in rules.directory.holders(Role.REQUESTER))]
        self.known = {name: self.known.get(name, at) for name in names}

    def day(self, index: int, at: datetime) -> None:
        """Look, once a day, at what gathers and at what sleeps."""
        self._judge_creep(index, at)
        self._judge_sleep(index, at)
        idle = at - DAY
        self.taken = {key: times for key, times in self.taken.items() if times[-1][0] > idle}

    def _judge_creep(self, index: int, at: datetime) -> None:
        limits, oldest = self.notebook.limits, at - self.notebook.limits.dormant
        for person, held in list(self.had.items()):
            kept = {name: last for name, last in held.items() if last[0] > oldest}
            if kept:
                self.had[person] = kept
            else:
                del self.had[person]
        if len(self.had) < FEWEST_PEERS or self.began is None or at - self.began < limits.window:
            return  # what is usual is not known yet
        usual = median(len(held) for held in self.had.values())
        for person, held in sorted(self.had.items()):
            if len(held) >= limits.creep_over and len(held) > limits.creep * usual:
                detail = f"{person} had {len(held)} entitlements in {limits.dormant.days} days; {usual:.0f} are usual"
                self.notebook.once(
                    index, "creep", Severity.LOW, detail,
                    at=at, about=[person], persons=[person], evidence=(where for _, where in held.values()),
                )  # fmt: skip

    def _judge_sleep(self, index: int, at: datetime) -> None:
        oldest = at - self.notebook.limits.dormant
        for name, since in sorted(self.known.items()):
            if max(since, self.used.get(name, since)) > oldest:
                continue
            about: dict[str, Any] = {"at": at, "about": [name]}
            if name.startswith("person "):
                person = name.removeprefix("person ")
                detail = f"{person} may ask and has used nothing for {self.notebook.limits.dormant.days} days"
                self.notebook.once(index, "dormant-person", Severity.LOW, detail, persons=[person], **about)
            else:
                detail = f"nobody has used {name} for {self.notebook.limits.dormant.days} days"
                owner = self.notebook.owner_of(name)
                self.notebook.once(index, "dormant-entitlement", Severity.LOW, detail, owner=owner, **about)
