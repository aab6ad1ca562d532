"""Rules in a replay: what they said is put together from the log, and everything that needed them is judged by them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from countersign.auditlog.leaf import Fact
from countersign.auditlog.meaning.findings import DEFAULT, Severity
from countersign.auditlog.meaning.known_rules import KnownRules
from countersign.auditlog.meaning.ledger import Ledger, OpenGrant, OpenRequest, past
from countersign.domain.rule_texts import Row, digests, folded


@dataclass(slots=True)
class Rulebooks:
    """Judges requests, reviews, grants and draws by the rules that were in force.

    What was judged under the rules before, or while a person was not disabled yet, may come in a moment later; so the state
    before the latest change counts as well for as long as that can be.

    Attributes:
        now: the rules in force; None before the first, or where the log does not hold their words.
        before: the rules until the latest change, which was at `changed_at`.
        adopted_at: the index of the entry that brought the rules into force; `adoptions` counts those entries.
        mismatched: whether the latest rules are not those whose words the log holds.
    """

    ledger: Ledger
    now: KnownRules | None = None
    before: KnownRules | None = None
    changed_at: str = ""
    adopted_at: int = -1
    adoptions: int = 0
    mismatched: bool = False
    written: int = 0
    rows: list[Row] = field(default_factory=list)

    def wrote(self, index: int, fact: Fact) -> None:
        """Words wait for the entry that brings them into force."""
        del index
        self.rows += fact["data"]["rows"]
        self.written += 1

    def adopted(self, index: int, fact: Fact) -> None:
        """The words in the log are those of the rules that come into force."""
        data, rows, written = fact["data"], self.rows, self.written
        self.rows, self.written = [], 0
        self.adopted_at, self.adoptions = index, self.adoptions + 1
        if data.get("written") is None and self.now is None:
            detail = "what these rules say is not in the log; whether approvals sufficed cannot be judged from it"
            self.ledger.note(index, "rules-untold", Severity.HIGH, detail)
            return
        known = self.now or KnownRules(sections={}, authors={})
        try:
            sections = folded(known.sections, rows)
            made = digests(sections)
            by = {person for person in (data["proposed_by"], data["approved_by"]) if person}
            following = known.after(sections, by=by)
            whole = bool(following.directory.groups) or bool(following.entitlements)
        except (KeyError, TypeError, ValueError, AttributeError):
            made, whole = ("none", "none"), False
        self.mismatched = data.get("written") != written or made != (data["catalog"], data["directory"]) or not whole
        if self.mismatched:
            self.ledger.broken(index, "rules-mismatch", "the rules written before this entry are not those it names")
            return
        self.change(following, at=fact["at"])

    def disabled(self, index: int, fact: Fact) -> None:
        """Whoever is disabled holds nothing any more."""
        del index
        if self.now is not None:
            self.change(self.now.without(fact["subject"]), at=fact["at"])

    def removed(self, index: int, fact: Fact) -> None:
        """A membership that a campaign removed holds no more."""
        del index
        if self.now is not None:
            self.change(self.now.withholding(fact["subject"], fact["data"]["group"]), at=fact["at"])

    def learn(self, index: int, fact: Fact) -> None:
        """Take a fact of one of the `RULE_TYPES`."""
        match fact["type"]:
            case "rulebook.written":
                self.wrote(index, fact)
            case "rulebook.adopted":
                self.adopted(index, fact)
            case "person.disabled":
                self.disabled(index, fact)
            case "membership.removed":
                self.removed(index, fact)

    def change(self, following: KnownRules, *, at: str) -> None:
        """Let other rules be in force."""
        self.before, self.now, self.changed_at = self.now, following, at

    def submitted(self, index: int, fact: Fact) -> None:
        """Who asks may ask, for something that the rules know just so, within its bounds."""
        request = self.ledger.requests.get(fact["subject"])
        if self.now is None or request is None or request.index != index:
            return
        given = fact["data"]["statement"]["parameters"]
        if self._ever(fact, _may_have, request, given):
            return
        if not self._ever(fact, _pins, request):
            self.ledger.broken(index, "rule-unknown", f"{fact['subject']} pins a rule that was not in force")
        elif not self._ever(fact, _may_ask, request):
            self.ledger.broken(index, "not-eligible", f"{request.person} could not ask for {request.entitlement}")
        elif not self._ever(fact, _within, request, given):
            detail = f"{fact['subject']} asks for what {request.entitlement} does not allow"
            self.ledger.broken(index, "beyond-rule", detail)

    def reviewed(self, index: int, fact: Fact) -> None:
        """Who signs belongs to the groups in whose name he does."""
        request, person = self.ledger.requests.get(fact["subject"]), fact["actor"]
        if self.now is None or request is None or request.envelope is not None or person == request.person:
            return
        groups = fact["data"]["groups"]
        if groups and not self._ever(fact, _may_sign, request, person, groups):
            self.ledger.broken(index, "not-eligible", f"{person} could not sign for {', '.join(groups)}")

    def opened(self, index: int, fact: Fact) -> None:
        """A grant needs all whom its rule asks for, each of them once."""
        grant = self.ledger.grants.get(fact["subject"])
        if self.now is None or grant is None or grant.index != index:
            return
        self._judge_signers(index, fact, grant)
        if not self._ever(fact, _allows_draws, grant):
            self.ledger.broken(index, "beyond-rule", f"{fact['subject']} allows more draws than its rule")

    def drawn(self, index: int, fact: Fact) -> None:
        """At the draw all of it is judged again, by the rules as they are then."""
        grant = self.ledger.grants.get(fact["data"]["grant"])
        if self.now is None or grant is None:
            return
        request, name = grant.request, fact["subject"]
        if not request.automatic and self._ever(fact, _still_holds, request):
            return
        if not self._ever(fact, _pins, request):
            self.ledger.broken(index, "rule-changed", f"{name} was drawn under a rule that was in force no more")
            return
        if not self._ever(fact, _may_ask, request):
            self.ledger.broken(index, "not-eligible", f"{request.person} could not have {request.entitlement} any more")
        self._judge_signers(index, fact, grant)

    def approves(self, fact: Fact, request: OpenRequest, authors: Sequence[str]) -> bool:
        """Say whether its rule approves a request in the name of these two; not where the rules are not in the log."""
        return self._ever(fact, _approves, request, authors)

    def _judge_signers(self, index: int, fact: Fact, grant: OpenGrant) -> None:
        request = grant.request
        if request.automatic and not self.approves(fact, request, request.approvers):
            detail = f"the rule of {request.entitlement} approves {grant.request_id} no more in the name of those two"
            self.ledger.broken(index, "quorum-not-reached", detail)
        elif not request.automatic and not self._ever(fact, _suffices, request):
            signed = ", ".join(sorted(request.approvers)) or "nobody"
            detail = (
                f"{signed} signed {grant.request_id}, and the rule of {request.entitlement} asks for more or others"
            )
            self.ledger.broken(index, "quorum-not-reached", detail)

    def _ever(self, fact: Fact, holds: Callable[..., bool], *about: object) -> bool:
        """Say whether something holds by the rules in force, or by those until a moment ago."""
        if self.now is not None and holds(self.now, *about):
            return True
        return self.before is not None and not past(fact["at"], self.changed_at) and holds(self.before, *about)


RULE_TYPES = ("rulebook.written", "rulebook.adopted", "person.disabled", "membership.removed")
"""Types of the facts that say what the rules are."""


def rules_at(facts: Iterable[tuple[int, Fact]], moment: str) -> Rulebooks:
    """Return the rules as a log's facts up to a moment tell them; other facts are passed over."""
    told = Rulebooks(ledger=Ledger(thresholds=DEFAULT))
    for index, fact in facts:
        if fact["at"] <= moment:
            told.learn(index, fact)
    return told


def _pins(rules: KnownRules, request: OpenRequest) -> bool:
    return rules.pins(request.entitlement, request.rule)


def _may_ask(rules: KnownRules, request: OpenRequest) -> bool:
    return rules.pins(request.entitlement, request.rule) and rules.may_ask(request.person, request.entitlement)


def _may_have(rules: KnownRules, request: OpenRequest, given: Mapping[str, object]) -> bool:
    return _may_ask(rules, request) and _within(rules, request, given)


def _still_holds(rules: KnownRules, request: OpenRequest) -> bool:
    return _may_ask(rules, request) and _suffices(rules, request)


def _may_sign(rules: KnownRules, request: OpenRequest, person: str, groups: Sequence[str]) -> bool:
    return rules.pins(request.entitlement, request.rule) and rules.may_sign(
        person, groups, request.entitlement, emergency=request.emergency
    )


def _suffices(rules: KnownRules, request: OpenRequest) -> bool:
    return rules.pins(request.entitlement, request.rule) and rules.suffices(
        request.approvers,
        request.entitlement,
        requester=request.person,
        emergency=request.emergency and request.envelope is None,
    )


def _approves(rules: KnownRules, request: OpenRequest, authors: Sequence[str]) -> bool:
    return (
        rules.pins(request.entitlement, request.rule)
        and not {request.person, *request.behind} & {*authors}
        and rules.approves(authors, request.entitlement)
    )


def _allows_draws(rules: KnownRules, grant: OpenGrant) -> bool:
    item = rules.entitlements.get(grant.request.entitlement)
    return item is not None and bool(grant.draws <= item["draws"])


def _within(rules: KnownRules, request: OpenRequest, given: Mapping[str, object]) -> bool:
    item = rules.entitlements.get(request.entitlement)
    if item is None:
        return False
    longest, known = item["max_duration_s"], item["parameters"]
    if request.emergency and request.envelope is None:
        longest = (item.get("break_glass") or {"max_duration_s": 0})["max_duration_s"]
    return (
        item["min_duration_s"] <= request.duration_s <= longest
        and given.keys() == known.keys()
        and all(_allowed(known[name], value) for name, value in given.items())
    )


def _allowed(parameter: Mapping[str, Any], value: object) -> bool:
    # Patterns are left out: one that somebody forged may take for ever, and the pinned digest covers the true one.
    return isinstance(value, str) and (not parameter["values"] or value in parameter["values"])
