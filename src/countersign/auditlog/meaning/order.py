"""Rules, stops and persons in a replay: that rules change by two people, and that a stop stops."""

from __future__ import annotations

from dataclasses import dataclass, field

from countersign.auditlog.leaf import Fact
from countersign.auditlog.meaning.findings import Severity
from countersign.auditlog.meaning.ledger import Ledger, past
from countersign.domain.canonical import digest
from countersign.domain.check_facts import SELF_CHECK


@dataclass(frozen=True, kw_only=True, slots=True)
class _Proposal:
    """A proposal that waits, or was approved and waits to come into force."""

    by: str
    digest: str
    catalog: str
    directory: str
    base: int
    approved_by: str | None = None


@dataclass(slots=True)
class Order:
    """Judges the facts of rulebooks, stops, persons, providers and the clock."""

    ledger: Ledger
    rulebooks: int = 0
    proposals: dict[str, _Proposal] = field(default_factory=dict)
    approved: _Proposal | None = None
    stops: dict[str, tuple[str, str]] = field(default_factory=dict)
    asked: dict[str, str] = field(default_factory=dict)
    ends: dict[str, str] = field(default_factory=dict)
    disabled: dict[str, str] = field(default_factory=dict)

    def started(self, index: int, fact: Fact) -> None:
        """A broker came up, or its issuing half; that people are served again excuses no late end."""
        del index
        if fact["subject"] != "people":
            self.ledger.started_at = fact["at"]

    def adopted(self, index: int, fact: Fact) -> None:
        """The first rules stand alone; later ones were proposed by one person and approved by another."""
        ledger, data = self.ledger, fact["data"]
        self.rulebooks += 1
        if data["genesis"]:
            if self.rulebooks > 1:
                ledger.broken(index, "rules-again", "rules came into force as the first although there were some")
            return
        by, approver, proposal = data["proposed_by"], data["approved_by"], self.approved
        self.approved = None
        if not by or not approver or by == approver:
            ledger.broken(index, "rules-alone", f"rules proposed by {by} and approved by {approver} came into force")
            return
        stands = proposal is not None and (
            proposal.by,
            proposal.approved_by,
            proposal.catalog,
            proposal.directory,
            proposal.base,
        ) == (by, approver, data["catalog"], data["directory"], self.rulebooks - 1)
        if not stands or fact["actor"] != approver:
            ledger.broken(index, "rules-unproposed", "rules came into force that nobody proposed and another approved")

    def proposed(self, index: int, fact: Fact) -> None:
        """A proposal is what its digest covers."""
        data, name = fact["data"], fact["subject"]
        covered = {name: data[name] for name in ("base", "catalog", "directory")}
        made = digest("countersign/proposal/v1", covered | {"id": name, "proposed_by": fact["actor"]})
        if made != data["digest"]:
            self.ledger.broken(index, "digest-mismatch", f"what {name} proposes has the digest {made}")
        self.proposals[name] = _Proposal(by=fact["actor"], digest=data["digest"], **covered)

    def decided(self, index: int, fact: Fact) -> None:
        """A proposal is decided once, and approved by another person on its very digest."""
        data, name, by = fact["data"], fact["subject"], fact["actor"]
        found = self.proposals.pop(name, None)
        if found is None:
            self.ledger.broken(index, "proposal-unknown", f"{name} was never proposed, or is decided")
            return
        if data["digest"] != found.digest:
            self.ledger.broken(index, "wrong-digest", f"another digest was decided than that of {name}")
        if data["state"] == "approved":
            if by == found.by:
                self.ledger.broken(index, "rules-alone", f"{by} approved {name}, which he proposed")
            self.approved = _Proposal(
                by=found.by,
                digest=found.digest,
                catalog=found.catalog,
                directory=found.directory,
                base=found.base,
                approved_by=by,
            )

    def stopped(self, index: int, fact: Fact) -> None:
        """A stop holds until it is lifted."""
        del index
        self.stops[fact["subject"]] = (fact["data"]["scope"], fact["actor"])
        until = fact["data"].get("until")
        if until is not None:
            self.ends[fact["subject"]] = until

    def lift_asked(self, index: int, fact: Fact) -> None:
        """The first of two who lift a stop."""
        del index
        self.asked[fact["subject"]] = fact["actor"]

    def lifted(self, index: int, fact: Fact) -> None:
        """A stop is lifted by someone other than who placed it, unless another asked; what the self-check stopped, by two."""
        scope_and_by = self.stops.pop(fact["subject"], None)
        first = self.asked.pop(fact["subject"], None)
        if scope_and_by is None:
            self.ledger.broken(index, "stop-unknown", f"{fact['subject']} is not in force")
        elif fact["actor"] == scope_and_by[1] and first in {None, fact["actor"]}:
            self.ledger.broken(index, "stop-self-lifted", f"{fact['actor']} placed {fact['subject']} himself")
        elif first == fact["actor"] or (first is None and scope_and_by[1] == SELF_CHECK):
            self.ledger.broken(index, "stop-lifted-alone", f"{fact['actor']} lifted {fact['subject']} alone")

    def disabled_person(self, index: int, fact: Fact) -> None:
        """Whoever is disabled stays so."""
        del index
        self.disabled[fact["subject"]] = fact["at"]

    def judge_act(self, index: int, fact: Fact) -> None:
        """A disabled person does nothing any more; what was under way when he was disabled may still come in."""
        since = self.disabled.get(fact["actor"])
        if since is not None and (fact["type"] == "lease.prepared" or past(fact["at"], since)):
            self.ledger.broken(index, "disabled", f"{fact['actor']} was disabled at {since}")

    def judge_draw(self, index: int, fact: Fact) -> None:
        """Nothing is drawn under a stop."""
        if not self.stops:
            return
        data = fact["data"]
        grant = self.ledger.grants.get(data["grant"])
        concerned = {"all", f"person {data['person']}", f"provider {data['provider']}"}
        if grant is not None:
            concerned.add(f"entitlement {grant.request.entitlement}")
        for name, (scope, _) in self.stops.items():
            if scope in concerned and fact["at"] < self.ends.get(name, "9"):
                self.ledger.broken(index, "stopped", f"{name} had stopped {scope}")
                return

    def strange(self, index: int, fact: Fact) -> None:
        """What a provider holds and the log does not explain is told of."""
        data = fact["data"]
        detail = f"{data['provider']}: {data['kind']}: {fact['subject']}"
        self.ledger.note(index, "anomaly", Severity.HIGH, detail)

    def lost(self, index: int, fact: Fact) -> None:
        """Records of a provider or target that were lost are told of: what they would have shown is not known."""
        self.ledger.note(index, "records-gap", Severity.MEDIUM, f"{fact['subject']}: {fact['data']['why']}")

    def stepped(self, index: int, fact: Fact) -> None:
        """A clock that disagreed is told of."""
        self.ledger.note(index, "clock-step", Severity.HIGH, f"the clock was off by {fact['data']['offset_ms']} ms")
