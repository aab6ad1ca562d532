"""Detectors of how people sign: for each other, without looking, without a word, too many at once, or for whom they report to."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median

from countersign.auditlog.leaf import Fact
from countersign.auditlog.meaning.findings import Severity, Thresholds
from countersign.auditlog.meaning.notebook import Notebook

HOUR = timedelta(hours=1)
LONGEST_LINE = 16
MOST_EVIDENCE = 60


@dataclass(slots=True)
class _Habit:
    """The latest decisions of one approver, as many as are judged together: seconds, whether a mere yes, and when."""

    limits: Thresholds
    waits: deque[tuple[float, int]] = field(default_factory=deque)
    silent: deque[tuple[bool, int]] = field(default_factory=deque)
    times: deque[tuple[datetime, int]] = field(default_factory=deque)
    quick: int = 0
    mere: int = 0

    def judged_by(self, limits: Thresholds) -> _Habit:
        """Return the same decisions, as many as these thresholds judge together."""
        found = _Habit(limits=limits, times=self.times)
        for wait in self.waits:
            found.waited(*wait)
        for silent in self.silent:
            found.decided(*silent)
        return found

    def waited(self, seconds: float, index: int) -> None:
        """Add how long one decision took; `quick` counts those that were too soon."""
        hasty = self.limits.hasty.total_seconds()
        self.waits.append((seconds, index))
        self.quick += seconds < hasty
        if len(self.waits) > self.limits.hasty_over:
            self.quick -= self.waits.popleft()[0] < hasty

    def decided(self, is_mere_yes: bool, index: int) -> None:  # noqa: FBT001 - a value that is kept, not a choice
        """Add whether one decision was a yes without a word; `mere` counts them."""
        self.silent.append((is_mere_yes, index))
        self.mere += is_mere_yes
        if len(self.silent) > self.limits.rubber_over:
            self.mere -= self.silent.popleft()[0]


@dataclass(slots=True)
class Habits:
    """Watches reviews and grants."""

    notebook: Notebook
    asked: dict[str, datetime] = field(default_factory=dict)
    looked: dict[tuple[str, str], datetime] = field(default_factory=dict)
    lookers: dict[str, list[str]] = field(default_factory=dict)
    approvals: deque[tuple[datetime, str, str, int]] = field(default_factory=deque)
    between: dict[tuple[str, str], deque[int]] = field(default_factory=dict)
    signed: dict[str, int] = field(default_factory=dict)
    habits: dict[str, _Habit] = field(default_factory=dict)

    def submitted(self, index: int, fact: Fact, at: datetime) -> None:
        """From here on it can be considered."""
        del index
        self.asked[fact["subject"]] = at

    def seen(self, index: int, fact: Fact, at: datetime) -> None:
        """From here on this one considered it."""
        del index
        name, person = fact["subject"], fact["actor"]
        if name in self.asked and (name, person) not in self.looked:
            self.looked[name, person] = at
            self.lookers.setdefault(name, []).append(person)

    def decided(self, index: int, fact: Fact, at: datetime) -> None:
        """It is not considered any more."""
        del index, at
        self.asked.pop(fact["subject"], None)
        for person in self.lookers.pop(fact["subject"], ()):
            del self.looked[fact["subject"], person]

    def reviewed(self, index: int, fact: Fact, at: datetime) -> None:
        """Judge how this person decides."""
        limits, person, name = self.notebook.limits, fact["actor"], fact["subject"]
        habit = self.habits.get(person)
        if habit is None:
            habit = self.habits[person] = _Habit(limits=limits)
        elif habit.limits is not limits:
            habit = self.habits[person] = habit.judged_by(limits)
        begun = self.looked.get((name, person), self.asked.get(name))
        if begun is not None:
            habit.waited((at - begun).total_seconds(), index)
        habit.decided(fact["data"]["decision"] == "approve" and fact["data"]["comment"] is None, index)
        slide(habit.times, (at, index), HOUR)
        self._judge(index, person, habit, at)

    def _judge(self, index: int, person: str, habit: _Habit, at: datetime) -> None:
        notebook, limits = self.notebook, self.notebook.limits
        # A median below a limit needs half of the values below it; few approvers come near, and sorting is dear.
        is_near = len(habit.waits) == limits.hasty_over <= 2 * habit.quick
        if is_near and notebook.is_untold(at, "hasty-approver", person):
            usual = median(wait for wait, _ in habit.waits)
            if usual < limits.hasty.total_seconds():
                detail = f"{person} decides within {usual:.0f} s"
                evidence = (where for _, where in habit.waits)
                notebook.once(
                    index, "hasty-approver", Severity.MEDIUM, detail,
                    at=at, about=[person], persons=[person], evidence=evidence,
                )  # fmt: skip
        is_stamp = len(habit.silent) == limits.rubber_over and habit.mere > limits.rubber_rate * limits.rubber_over
        if is_stamp and notebook.is_untold(at, "rubber-stamp", person):
            detail = f"{person} approved {habit.mere} of {len(habit.silent)}"
            evidence = (where for _, where in habit.silent)
            notebook.once(
                index, "rubber-stamp", Severity.MEDIUM, detail,
                at=at, about=[person], persons=[person], evidence=evidence,
            )  # fmt: skip
        if len(habit.times) > limits.decisions_per_hour and notebook.is_untold(at, "tired-approver", person):
            detail = f"{person} decided {len(habit.times)} within an hour"
            evidence = (where for _, where in habit.times)
            notebook.once(
                index, "tired-approver", Severity.MEDIUM, detail,
                at=at, about=[person], persons=[person], evidence=evidence,
            )  # fmt: skip

    def granted(self, index: int, fact: Fact, at: datetime) -> None:
        """Judge who signs for whom."""
        data, person = fact["data"], fact["data"]["person"]
        for approver in data["approvers"]:
            self.approvals.append((at, approver, person, index))
            between = self.between.get((approver, person))
            if between is None:
                between = self.between[approver, person] = deque()
            between.append(index)
            self.signed[approver] = self.signed.get(approver, 0) + 1
        while self.approvals and self.approvals[0][0] <= at - self.notebook.limits.window:
            _, approver, asker, _ = self.approvals.popleft()
            self.between[approver, asker].popleft()
            if not self.between[approver, asker]:
                del self.between[approver, asker]
            self.signed[approver] -= 1
        for approver in data["approvers"]:
            self._judge_pair(index, approver, person, at)
            self._judge_line(index, approver, person, data["request"])

    def _judge_pair(self, index: int, one: str, other: str, at: datetime) -> None:
        limits = self.notebook.limits
        there, back = self.between.get((one, other), ()), self.between.get((other, one), ())
        if min(len(there), len(back)) < limits.pair_each_way:
            return
        if len(there) > limits.pair_share * self.signed[one] and len(back) > limits.pair_share * self.signed[other]:
            pair = sorted((one, other))
            times = f"{len(there)} and {len(back)} times in {limits.window.days} days"
            detail = f"{pair[0]} and {pair[1]} approve each other: {times}"
            evidence = sorted((*there, *back))[-MOST_EVIDENCE:]
            self.notebook.once(
                index, "reciprocal-pair", Severity.MEDIUM, detail, at=at, about=pair, persons=pair, evidence=evidence
            )

    def _judge_line(self, index: int, approver: str, person: str, request: str) -> None:
        """Tell of an approver who reports to who asked, directly or through others."""
        known = self.notebook.rules.now
        if known is None:
            return
        persons, above = known.directory.persons, approver
        for _ in range(LONGEST_LINE):
            found = persons.get(above)
            if found is None or found.manager is None:
                return
            above = found.manager
            if above == person:
                detail = f"{approver} signed {request} of {person}, to whom {approver} reports"
                both = (approver, person)
                self.notebook.note(index, "reporting-line", Severity.HIGH, detail, persons=both)
                return


def slide(times: deque[tuple[datetime, int]], new: tuple[datetime, int], span: timedelta) -> None:
    """Add a time and its entry, and drop what lies outside the span that ends with it."""
    times.append(new)
    while times[0][0] <= new[0] - span:
        times.popleft()
