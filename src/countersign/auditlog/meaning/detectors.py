"""Detectors: habits that no single fact shows, as one pass over the facts. `check` finds what is wrong with single things.

| code | severity | named entry | rule (defaults in `Thresholds`) |
|---|---|---|---|
| `self-approval-attempt` | high | the refusal | somebody tried to sign what was his own, by whatever account |
| `reciprocal-pair` | medium | the grant that completes it | approvals each way, 3 in 30 days and over half of each one's |
| `hasty-approver` | medium | the last review | the median of 20 decisions in a row comes within 10 s of the request |
| `rubber-stamp` | medium | the last review | over 95 % of 50 decisions in a row are approvals without a comment |
| `tired-approver` | medium | the review | more than 20 decisions within an hour |
| `frequent-grants` | low | the grant | 5 grants of one entitlement to one person in 24 hours |
| `emergency-overuse` | medium | the break-glass | more than 2 by one person in 30 days, drills not counted |
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median

from countersign.auditlog.meaning.findings import DEFAULT, Finding, Severity, Thresholds
from countersign.auditlog.meaning.ledger import Fact, moment

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(slots=True)
class _Habit:
    """The latest decisions of one approver, as many as are judged together."""

    waits: deque[float]
    silent: deque[bool]
    times: deque[datetime] = field(default_factory=deque)


class Detectors:
    """Watches facts as they come. It remembers a window of approvals and the latest decisions of each approver.

    Args:
        thresholds: what is too much.
    """

    def __init__(self, thresholds: Thresholds = DEFAULT) -> None:
        self._limits = thresholds
        self._findings: list[Finding] = []
        self._open: dict[str, tuple[datetime, str]] = {}
        self._approvals: deque[tuple[datetime, str, str]] = deque()
        self._each: dict[tuple[str, str], int] = {}
        self._signed: dict[str, int] = {}
        self._habits: dict[str, _Habit] = {}
        self._grants: dict[tuple[str, str], deque[datetime]] = {}
        self._emergencies: dict[str, deque[datetime]] = {}
        self._told: set[tuple[str, ...]] = set()

    def feed(self, index: int, fact: Fact) -> None:
        """Take the next fact. What does not say what facts of its type say is left to `check`."""
        try:
            self._take(index, fact)
        except (KeyError, TypeError, ValueError, AttributeError):
            return

    def finish(self) -> list[Finding]:
        """Return all that was found, in the order of the entries."""
        return list(self._findings)

    def _take(self, index: int, fact: Fact) -> None:
        match fact["type"]:
            case "request.submitted":
                self._open[fact["subject"]] = (moment(fact["at"]), fact["data"]["statement"]["entitlement"])
            case "review.recorded":
                self._reviewed(index, fact)
            case "request.decided" if fact["data"]["state"] != "approved":
                self._open.pop(fact["subject"], None)
            case "grant.opened":
                self._granted(index, fact)
            case "act.refused" if fact["data"]["code"] == "self-review":
                self._note(index, "self-approval-attempt", Severity.HIGH, f"{fact['actor']}: {fact['subject']}")
            case "break-glass.opened" if not fact["data"]["drill"]:
                self._emergency(index, fact)

    def _reviewed(self, index: int, fact: Fact) -> None:
        limits, person, at = self._limits, fact["actor"], moment(fact["at"])
        asked = self._open.get(fact["subject"])
        habit = self._habits.setdefault(
            person, _Habit(waits=deque(maxlen=limits.hasty_over), silent=deque(maxlen=limits.rubber_over))
        )
        if asked is not None:
            habit.waits.append((at - asked[0]).total_seconds())
        habit.silent.append(fact["data"]["decision"] == "approve" and fact["data"]["comment"] is None)
        _slide(habit.times, at, HOUR)
        if len(habit.waits) == limits.hasty_over and median(habit.waits) < limits.hasty.total_seconds():
            self._once(index, "hasty-approver", f"{person} decides within {median(habit.waits):.0f} s", person)
        if len(habit.silent) == limits.rubber_over and sum(habit.silent) > limits.rubber_rate * limits.rubber_over:
            self._once(index, "rubber-stamp", f"{person} approved {sum(habit.silent)} of {len(habit.silent)}", person)
        if len(habit.times) > limits.decisions_per_hour:
            self._once(index, "tired-approver", f"{person} decided {len(habit.times)} within an hour", person)

    def _granted(self, index: int, fact: Fact) -> None:
        data, at, person = fact["data"], moment(fact["at"]), fact["data"]["person"]
        asked = self._open.pop(data["request"], None)
        if asked is not None:
            times = self._grants.setdefault((person, asked[1]), deque())
            _slide(times, at, DAY)
            if len(times) >= self._limits.grants_per_day:
                detail = f"{person} had {asked[1]} {len(times)} times within a day"
                self._once(index, "frequent-grants", detail, person, asked[1], severity=Severity.LOW)
        for approver in data["approvers"]:
            self._approvals.append((at, approver, person))
            self._count(approver, person, 1)
        while self._approvals and self._approvals[0][0] <= at - self._limits.window:
            _, approver, asker = self._approvals.popleft()
            self._count(approver, asker, -1)
        for approver in data["approvers"]:
            self._judge_pair(index, approver, person)

    def _count(self, approver: str, person: str, change: int) -> None:
        self._each[approver, person] = self._each.get((approver, person), 0) + change
        self._signed[approver] = self._signed.get(approver, 0) + change
        if not self._each[approver, person]:
            del self._each[approver, person]

    def _judge_pair(self, index: int, one: str, other: str) -> None:
        there, back = self._each.get((one, other), 0), self._each.get((other, one), 0)
        limits = self._limits
        if min(there, back) < limits.pair_each_way:
            return
        if there > limits.pair_share * self._signed[one] and back > limits.pair_share * self._signed[other]:
            first, second = sorted((one, other))
            detail = f"{first} and {second} approve each other: {there} and {back} times in {limits.window.days} days"
            self._once(index, "reciprocal-pair", detail, first, second)

    def _emergency(self, index: int, fact: Fact) -> None:
        person, at = fact["data"]["person"], moment(fact["at"])
        times = self._emergencies.setdefault(person, deque())
        _slide(times, at, self._limits.window)
        if len(times) > self._limits.emergencies:
            detail = f"{person} broke the glass {len(times)} times in {self._limits.window.days} days"
            self._note(index, "emergency-overuse", Severity.MEDIUM, detail)

    def _once(self, index: int, code: str, detail: str, *whom: str, severity: Severity = Severity.MEDIUM) -> None:
        """Note a habit the first time that it shows."""
        if (code, *whom) not in self._told:
            self._told.add((code, *whom))
            self._note(index, code, severity, detail)

    def _note(self, index: int, code: str, severity: Severity, detail: str) -> None:
        self._findings.append(Finding(index=index, code=code, severity=severity, detail=detail))


def _slide(times: deque[datetime], at: datetime, span: timedelta) -> None:
    """Add a time, and drop what lies outside the span that ends with it."""
    times.append(at)
    while times[0] <= at - span:
        times.popleft()
