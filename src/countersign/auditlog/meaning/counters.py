"""Counter-proposals in a replay: made by who denied, for less, and taken up once by exactly what was proposed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from countersign.auditlog.leaf import Fact
from countersign.auditlog.meaning.ledger import Ledger


@dataclass(frozen=True, kw_only=True, slots=True)
class _Counter:
    """What somebody would rather see asked."""

    person: str
    entitlement: str
    rule: str
    parameters: Mapping[str, str]
    duration_s: int


@dataclass(slots=True)
class Counters:
    """Judges the facts of counter-proposals."""

    ledger: Ledger
    standing: dict[str, _Counter] = field(default_factory=dict)

    def proposed(self, index: int, fact: Fact) -> None:
        """A counter-proposal comes with a denial, is its reviewer's, and never longer than what was asked."""
        data, name = fact["data"], fact["subject"]
        request = self.ledger.requests.get(name)
        if request is None or request.denied_by != fact["actor"] or data["digest"] != request.digest:
            self.ledger.broken(index, "counter-mismatch", f"{fact['actor']} did not deny {name} just before")
            return
        if not 0 < int(data["duration_s"]) <= request.duration_s:
            self.ledger.broken(index, "counter-mismatch", f"what is proposed for {name} is longer than what was asked")
        self.standing[name] = _Counter(
            person=request.person,
            entitlement=request.entitlement,
            rule=request.rule,
            parameters=data["parameters"],
            duration_s=int(data["duration_s"]),
        )

    def submitted(self, index: int, fact: Fact) -> None:
        """A request that says it takes up a counter-proposal asks for just that, and is the only one."""
        says = fact["data"]["statement"]
        name = says.get("counters")
        if name is None:
            return
        found = self.standing.pop(name, None)
        asked = (says["person"], says["entitlement"], says["rule"], says["parameters"], int(says["duration_s"]))
        if found is None or asked != (
            found.person,
            found.entitlement,
            found.rule,
            found.parameters,
            found.duration_s,
        ):
            self.ledger.broken(index, "counter-mismatch", f"{fact['subject']} is not what was proposed for {name}")
