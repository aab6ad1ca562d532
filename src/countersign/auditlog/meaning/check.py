"""The replay itself: facts go in one by one, and what they do not bear out comes out. Memory grows with what is open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from countersign.auditlog.clock import Clock
from countersign.auditlog.leaf import KEYS, Fact, NotALeaf, fact_of, read_fact
from countersign.auditlog.meaning.approvals import Approvals
from countersign.auditlog.meaning.automatic import Automatic
from countersign.auditlog.meaning.campaigns import Campaigns
from countersign.auditlog.meaning.counters import Counters
from countersign.auditlog.meaning.detectors import Detectors
from countersign.auditlog.meaning.emergencies import Emergencies
from countersign.auditlog.meaning.findings import DEFAULT, Finding, Severity, Thresholds
from countersign.auditlog.meaning.ledger import MALFORMED, Ledger, past
from countersign.auditlog.meaning.lives import Lives
from countersign.auditlog.meaning.order import Order
from countersign.auditlog.meaning.outside import Outside
from countersign.auditlog.meaning.raised import Raised
from countersign.auditlog.meaning.retention import ErasedTexts, Retained
from countersign.auditlog.meaning.rulebooks import Rulebooks
from countersign.auditlog.meaning.signatures import Genesis, Signatures
from countersign.auditlog.meaning.watching import Along, Watching
from countersign.auditlog.report import Failure, Report

GRACE = timedelta(seconds=60)
"""How long after its time something may stand open at the end of a log: the sweep needs seconds, and a retry up to 45."""

UNJUDGED = frozenset(
    {
        "token.issued",
        "token.revoked",
        "act.refused",
        "audit.asked",
        "break-glass.unreviewed",
        "trust.mismatched",
        "notice.delivered",
        "notice.failed",
        "notice.unaddressed",
        "lease.idle",
        "audit.read",
        "log.checked",
        "log.failed",
        "request.seen",
        "target.stopped",
        "records.began",
        "records.silent",
        "records.heard",
        "session.opened",
        "session.ended",
        "session.refresh-reused",
        "issuer.groups-said",
        "order.accepted",
        "order.refused",
        "issuer.logout",
        "sign-in.refused",
    }
)
"""Types that say nothing which another entry could contradict."""

Judge = Callable[[int, Fact], None]


class MeaningCheck:
    """Replays a log; the module docstring of `meaning` lists what it finds.

    Args:
        thresholds: from where on what is honestly recorded is a finding.
        genesis: the first rules, if whoever verifies brings them along.
    """

    def __init__(self, thresholds: Thresholds = DEFAULT, *, genesis: Genesis | None = None) -> None:
        self.thresholds = thresholds
        self._ledger = ledger = Ledger(thresholds=thresholds)
        self._clock = Clock()
        approvals, lives = Approvals(ledger=ledger), Lives(ledger=ledger)
        order, emergencies = Order(ledger=ledger), Emergencies(ledger=ledger)
        counters, rules = Counters(ledger=ledger), Rulebooks(ledger=ledger)
        automatic = Automatic(ledger=ledger, rules=rules)
        outside, campaigns = Outside(ledger=ledger), Campaigns(ledger=ledger)
        self._retained = retained = Retained(ledger=ledger, rules=rules)
        signatures = Signatures(ledger=ledger, genesis=genesis)
        self._raised = raised = Raised(ledger=ledger)
        self._watching: Watching = Along(detectors=Detectors(thresholds, rules=rules))
        self._others: tuple[Judge, ...] = (self._other,)
        self._emergencies = emergencies
        self._strange_types: set[str] = set()
        self._judges: dict[str, tuple[Judge, ...]] = {
            "broker.started": (order.started,),
            "rulebook.written": (rules.wrote,),
            "rulebook.adopted": (order.adopted, rules.adopted, signatures.adopted),
            "rulebook.proposed": (order.judge_act, order.proposed),
            "rulebook.decided": (order.judge_act, order.decided, signatures.rules_signed),
            "rulebook.signed": (order.judge_act, signatures.rules_signed),
            "clock.stepped": (order.stepped,),
            "person.disabled": (order.disabled_person, rules.disabled),
            "request.submitted": (
                order.judge_act,
                approvals.submitted,
                emergencies.submitted,
                rules.submitted,
                counters.submitted,
                signatures.opened,
            ),
            "review.recorded": (order.judge_act, approvals.reviewed, rules.reviewed, signatures.reviewed),
            "counter.proposed": (order.judge_act, counters.proposed),
            "request.approved-automatically": (automatic.approved,),
            "request.decided": (approvals.decided,),
            "grant.opened": (approvals.opened, rules.opened),
            "grant.closed": (approvals.closed,),
            "lease.prepared": (
                order.judge_act,
                order.judge_draw,
                emergencies.judge_draw,
                rules.drawn,
                lives.prepared,
            ),
            "lease.reserved": (lives.reserved,),
            "lease.issued": (lives.issued,),
            "lease.end-asked": (lives.end_asked,),
            "lease.end-written": (lives.end_written,),
            "lease.overdue": (lives.overdue,),
            "lease.dead": (lives.dead,),
            "detectors.began": (raised.began,),
            "finding.raised": (raised.told,),
            "finding.acknowledged": (order.judge_act, raised.acknowledged),
            "provider.anomaly": (order.strange,),
            "records.gap": (order.lost,),
            "campaign.started": (order.judge_act, campaigns.started),
            "campaign.decided": (order.judge_act, campaigns.decided),
            "campaign.closed": (campaigns.closed,),
            "membership.removed": (campaigns.removed, rules.removed),
            "audit.reviewed": (order.judge_act,),
            "witness.disputed": (outside.disputed,),
            "checkpoint.clock": (outside.clocked,),
            "envelope.proposed": (order.judge_act, emergencies.proposed),
            "envelope.signed": (order.judge_act, emergencies.signed, signatures.envelope_signed),
            "envelope.revoked": (order.judge_act, emergencies.revoked),
            "break-glass.opened": (emergencies.opened,),
            "break-glass.reviewed": (order.judge_act, emergencies.reviewed),
            "passkey.founded": (signatures.chained,),
            "passkey.proposed": (order.judge_act,),
            "passkey.vouched": (order.judge_act,),
            "passkey.enrolled": (order.judge_act, signatures.chained),
            "passkey.removal-asked": (order.judge_act,),
            "passkey.removed": (order.judge_act, signatures.chained),
            "erasure.asked": (order.judge_act, retained.was_asked),
            "erasure.approved": (order.judge_act, retained.was_approved),
            "texts.erased": (retained.was_done,),
            "stop.placed": (order.judge_act, order.stopped),
            "stop.lift-asked": (order.judge_act, order.lift_asked),
            "stop.lifted": (order.judge_act, order.lifted),
        }

    @property
    def erased(self) -> Sequence[ErasedTexts]:
        """What people wrote and was erased, as far as the log was read."""
        return tuple(self._retained.erased)

    @property
    def omitted(self) -> int:
        """Findings beyond those that are kept."""
        return self._ledger.omitted

    @property
    def open_things(self) -> int:
        """How many requests, grants and leases the replay holds in memory now."""
        ledger = self._ledger
        return len(ledger.requests) + len(ledger.grants) + len(ledger.leases)

    def habits(self) -> list[Finding]:
        """Return what the detectors found so far, in the order of the entries."""
        return [finding for finding, _ in self._watching.found()]

    def watched_by(self, watching: Watching) -> None:
        """Let the detectors run elsewhere than along with the replay; said before the first fact."""
        self._watching = watching

    def feed(self, index: int, fact: Fact) -> None:
        """Take the next fact, as the JSON of its leaf."""
        try:
            at = fact["at"]
            if at > self._ledger.at:  # noqa: PLR1730 - the call of max would be made for every entry
                self._ledger.at = at
            if back := self._clock.back(at):
                self._ledger.broken(index, "time-backwards", back)
            for judge in self._judges.get(fact["type"], self._others):
                judge(index, fact)
        except MALFORMED as error:
            self._ledger.broken(
                index, "fact-shape", f"not what an entry of its type says: {type(error).__name__}: {error}"
            )
        self._watching.watch(index, fact)

    def read(self, index: int, leaf: bytes) -> None:
        """Take the next fact, as the bytes of its leaf, and judge how they are spelled."""
        try:
            fact = read_fact(leaf)
        except NotALeaf as wrong:
            self._ledger.broken(index, "leaf-format", str(wrong))
            self.take(index, leaf)
            return
        self.feed(index, fact)

    def take(self, index: int, leaf: bytes) -> None:
        """Take the next fact, as bytes whose spelling was judged elsewhere; what is in no leaf's words says nothing."""
        try:
            fact = fact_of(leaf)
        except NotALeaf:
            return
        if len(fact) == len(KEYS) or fact.keys() >= KEYS:
            self.feed(index, fact)

    def finish(self) -> list[Finding]:
        """Judge what stands open at the log's last entry, and return all that was found, in the order of the entries."""
        ledger = self._ledger
        try:
            self._judge_open()
            self._emergencies.finish()
            self._raised.finish(self._watching.found())
        except MALFORMED as error:
            ledger.broken(0, "fact-shape", f"a time that is none: {error}")
        return sorted(ledger.findings, key=lambda finding: finding.index)

    def judged_now(self) -> list[Finding]:
        """Return what would be found if the log ended here; the replay goes on as if it had not been asked."""
        ledger = self._ledger
        findings, omitted = list(ledger.findings), ledger.omitted
        try:
            return self.finish()
        finally:
            ledger.findings, ledger.omitted = findings, omitted

    def joined(self, report: Report) -> Report:
        """Return a verification of bytes with what is broken in their meaning, once each."""
        known = {(failure.index, failure.code) for failure in report.failures}
        found = (finding for finding in self.finish() if finding.severity is Severity.BROKEN)
        failures = tuple(
            Failure(index=each.index, code=each.code, detail=each.detail)
            for each in found
            if (each.index, each.code) not in known
        )
        return replace(report, failures=(*report.failures, *failures), omitted=report.omitted + self.omitted)

    def _judge_open(self) -> None:
        ledger = self._ledger
        for name, request in ledger.requests.items():
            if request.state == "pending" and self._over(request.lapses_at):
                ledger.broken(request.index, "request-still-open", f"{name} should have lapsed {request.lapses_at}")
            elif request.state == "approved" and not request.granted:
                ledger.broken(request.index, "approved-without-grant", f"{name} was approved and has no grant")
        for name, grant in ledger.grants.items():
            due = grant.not_after or grant.draw_by
            if grant.closed_at is None and self._over(due):
                ledger.broken(grant.index, "grant-still-open", f"{name} should have ended {due}")
        for name, lease in ledger.leases.items():
            self._judge_open_lease(name, lease.grant_id)

    def _judge_open_lease(self, name: str, grant_id: str) -> None:
        ledger = self._ledger
        lease, grant = ledger.leases[name], ledger.grants.get(grant_id)
        if lease.overdue:
            return  # told of already, and swept for ever
        if lease.asked_at is not None:
            due, index, what = min(lease.asked_at, lease.not_after), lease.asked_index, "was never seen dead"
        elif grant is not None and grant.closed_at is not None:
            due, index, what = min(grant.closed_at, lease.not_after), grant.closed_index, "outlived its grant"
        else:
            due, index, what = lease.not_after, lease.index, "was never sent to its end"
        if self._over(due):
            ledger.broken(index, "lease-still-open", f"{name} was due {due} and {what}")

    def _over(self, due: str) -> bool:
        return past(self._ledger.at, max(due, self._ledger.started_at), by=GRACE)

    def _other(self, index: int, fact: Fact) -> None:
        kind = fact["type"]
        if kind not in UNJUDGED and kind not in self._strange_types:
            self._strange_types.add(kind)
            self._ledger.note(index, "unknown-type", Severity.LOW, f"this version does not know what {kind} means")
