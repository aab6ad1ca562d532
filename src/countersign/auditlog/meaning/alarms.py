"""Detectors of what is grave by itself: signing one's own, credentials past the broker, emergencies, gaps, drifting rules."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from countersign.auditlog.leaf import Fact
from countersign.auditlog.meaning.findings import Severity
from countersign.auditlog.meaning.habits import slide
from countersign.auditlog.meaning.ledger import SKEW
from countersign.auditlog.meaning.notebook import OPERATORS, Notebook
from countersign.domain.timestamps import spell

OWN = "self-review"
"""The code of a refusal of somebody who signed, approved or lifted what is his own."""

ORDERS_WITHIN = timedelta(hours=1)
MOST_NAMED = 20
"""So many refusals a finding names at the most, whoever floods us with orders."""


@dataclass(slots=True)
class Alarms:
    """Watches single facts, emergencies, and the log itself."""

    notebook: Notebook
    orders: deque[tuple[datetime, int]] = field(default_factory=lambda: deque(maxlen=MOST_NAMED))
    emergencies: dict[str, deque[tuple[datetime, int]]] = field(default_factory=dict)
    in_window: deque[tuple[datetime, int]] = field(default_factory=deque)
    granted_in_window: deque[tuple[datetime, int]] = field(default_factory=deque)
    expected: int = 0
    latest: datetime | None = None
    heard: bool = False
    configurations: dict[str, str] = field(default_factory=dict)
    pinned: dict[str, str] = field(default_factory=dict)

    def refused(self, index: int, fact: Fact, at: datetime) -> None:
        """Somebody tried what a rule forbids."""
        del at
        if fact["data"]["code"] == OWN:
            detail = f"{fact['actor']}: {fact['subject']}"
            self.notebook.note(index, "self-approval-attempt", Severity.HIGH, detail, persons=[fact["actor"]])

    def ordered(self, index: int, fact: Fact, at: datetime) -> None:
        """An order proved nobody: once it may be an issuer's new key, several are somebody's attempts."""
        slide(self.orders, (at, index), ORDERS_WITHIN)
        evidence = [where for _, where in self.orders]
        severity = Severity.HIGH if len(evidence) >= self.notebook.limits.orders_refused else Severity.MEDIUM
        detail = f"an order for {fact['data']['grant'] or 'no grant'} proves nobody: {fact['data']['code']}"
        self.notebook.note(index, "order-refused", severity, detail, evidence=evidence, owner=OPERATORS)

    def strange(self, index: int, fact: Fact, at: datetime) -> None:
        """A provider holds what the log does not explain."""
        del at
        data = fact["data"]
        detail = f"{data['provider']}: {data['kind']}: {fact['subject']}"
        self.notebook.note(index, "outside-credential", Severity.HIGH, detail, owner=OPERATORS)

    def opened(self, index: int, fact: Fact, at: datetime) -> None:
        """Judge how often the glass is broken, drills aside."""
        data, limits, notebook = fact["data"], self.notebook.limits, self.notebook
        if data["drill"]:
            return
        person = data["person"]
        times = self.emergencies.setdefault(person, deque())
        slide(times, (at, index), limits.window)
        if len(times) > limits.emergencies:
            detail = f"{person} broke the glass {len(times)} times in {limits.window.days} days"
            evidence = (where for _, where in times)
            notebook.note(index, "emergency-overuse", Severity.MEDIUM, detail, persons=[person], evidence=evidence)
        slide(self.in_window, (at, index), limits.window)
        grants = len(self.granted_in_window)
        if grants >= limits.share_over and len(self.in_window) > limits.emergency_share * grants:
            detail = f"{len(self.in_window)} of {grants} grants in {limits.window.days} days were emergencies"
            evidence = (where for _, where in self.in_window)
            notebook.once(
                index, "emergency-share", Severity.MEDIUM, detail, at=at, about=[], persons=[person], evidence=evidence
            )

    def granted(self, index: int, fact: Fact, at: datetime) -> None:
        """Judge by which rule it was granted."""
        slide(self.granted_in_window, (at, index), self.notebook.limits.window)
        data, rules = fact["data"], self.notebook.rules
        entitlement = self.pinned.pop(data["request"], None)
        if entitlement is None or rules.now is None:
            return
        held = rules.now.pins(entitlement, data["rule"])
        if not held and rules.before is not None and rules.changed_at >= _spelled(at):
            held = rules.before.pins(entitlement, data["rule"])
        if not held:
            detail = f"{fact['subject']} rests on a rule of {entitlement} that was not in force"
            self.notebook.note(
                index, "policy-drift", Severity.HIGH, detail, persons=[data["person"]],
                owner=self.notebook.owner_of(entitlement),
            )  # fmt: skip

    def submitted(self, index: int, fact: Fact, at: datetime) -> None:
        """What is asked for."""
        del index, at
        self.pinned[fact["subject"]] = fact["data"]["statement"]["entitlement"]

    def decided(self, index: int, fact: Fact, at: datetime) -> None:
        """It comes to nothing."""
        del index, at
        if fact["data"]["state"] != "approved":
            self.pinned.pop(fact["subject"], None)

    def unreviewed(self, index: int, fact: Fact, at: datetime) -> None:
        """Nobody has looked at an emergency in time."""
        del at
        data = fact["data"]
        detail = f"nobody has said whether {fact['subject']} of {data['person']} was justified"
        owner = self.notebook.owner_of(data["entitlement"])
        self.notebook.note(index, "review-owed", Severity.HIGH, detail, persons=[data["person"]], owner=owner)

    def untold(self, index: int, fact: Fact, at: datetime) -> None:
        """Owners who were skipped were not told."""
        del at
        why = fact["data"].get("trouble") or "nobody is named who could tell them"
        detail = f"the owners who were skipped by {fact['subject']} were not told: {why}"
        evidence = [int(fact["data"]["entry"])]
        self.notebook.note(index, "owners-untold", Severity.HIGH, detail, evidence=evidence, owner=OPERATORS)

    def stepped(self, index: int, fact: Fact, at: datetime) -> None:
        """The clock disagreed."""
        del at
        detail = f"the clock was off by {fact['data']['offset_ms']} ms"
        self.notebook.note(index, "clock-step", Severity.HIGH, detail, owner=OPERATORS)

    def started(self, index: int, fact: Fact, at: datetime) -> None:
        """A broker came up, with which configuration."""
        del at
        configuration, half = str(fact["data"]["configuration"]), str(fact["subject"])
        if self.configurations.get(half, configuration) != configuration:
            detail = f"a broker came up with another configuration: {configuration[:16]}"
            self.notebook.note(index, "configuration-changed", Severity.LOW, detail, owner=OPERATORS)
        self.configurations[half] = configuration

    def checked(self, index: int, fact: Fact, at: datetime) -> None:
        """The log looks after itself: from here on it is never silent for long."""
        del at
        self.heard = True
        if not fact["data"]["ok"]:
            detail = f"the self-check failed: {', '.join(fact['data']['codes'])}"
            self.notebook.note(index, "self-check-failed", Severity.HIGH, detail, owner=OPERATORS)

    def follow(self, index: int, at: datetime) -> None:
        """Judge whether anything is missing between this entry and the one before."""
        if index != self.expected:
            self.notebook.note(
                index, "log-gap", Severity.HIGH, f"entry {index} follows where {self.expected} is due", owner=OPERATORS
            )
        self.expected = index + 1
        if self.latest is not None:
            silence = at - self.latest
            if self.heard and silence > self.notebook.limits.silence:
                detail = f"nothing was written for {silence}"
                evidence = [index - 1]
                self.notebook.note(index, "log-gap", Severity.HIGH, detail, evidence=evidence, owner=OPERATORS)
            if -silence > SKEW:
                detail = f"an entry is {-silence} earlier than the one before"
                self.notebook.note(index, "clock-step", Severity.HIGH, detail, owner=OPERATORS)
        self.latest = at


def _spelled(at: datetime) -> str:
    """Return the earliest time whose facts may still have been judged by the rules before."""
    return spell(at - SKEW)
