"""The rules, broken one at a time: each mutant is an edit of one or two places that must be found there exactly once."""

from __future__ import annotations

from dataclasses import dataclass

REVIEW = "domain/review.py"
GRANT = "domain/grant.py"
REQUEST = "domain/request.py"
PEOPLE = "domain/people.py"
LEASE = "domain/lease.py"
REQUESTS = "service/requests.py"
SUBMISSION = "service/submission.py"
COUNTER = "domain/counter.py"
JUDGEMENT = "service/judgement.py"
GRANTING = "service/granting.py"
ISSUER = "service/issuer.py"
CONTROL = "service/control.py"
REACH = "service/reach.py"
ENDINGS = "service/endings.py"
OFFICE = "service/office.py"
MAKING = "service/rulemaking.py"
AUTOMATIC = "service/automatic.py"


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A broken rule: its name, edits as (file below the package, text, text instead), and suites; none for those of all rules."""

    name: str
    edits: tuple[tuple[str, str, str], ...]
    suites: tuple[tuple[str, tuple[str, ...]], ...] = ()


def mutant(name: str, *edits: tuple[str, str, str]) -> Mutant:
    """Name a mutant."""
    return Mutant(name=name, edits=edits)


MUTANTS = (
    mutant(
        "the requester counts among the signers",
        (REVIEW, "if person == requester:", "if False:"),
        (JUDGEMENT, "account.person == self.requester:", "False:"),
    ),
    mutant(
        "a requester may review his own request by another account",
        (REQUESTS, "if principal.person == request.person:", "if principal.id == request.principal:"),
        (REVIEW, "if person == requester:", "if False:"),
        (JUDGEMENT, "account.person == self.requester:", "False:"),
    ),
    mutant(
        "machines sign",
        (REQUESTS, "if not principal.human:", "if False:"),
        (JUDGEMENT, "if not account.human:", "if False:"),
    ),
    mutant(
        "an account of the other side of the seal signs",
        (REQUESTS, "        rules.demand_account(principal, entitlement)\n", ""),
        (JUDGEMENT, "if not self.rules.believes(account, self.entitlement):", "if False:"),
    ),
    mutant(
        "an account of the other side of the seal asks and draws",
        ("service/rules.py", "        if environment not in principal.environments:\n", "        if False:\n"),
        ("service/rules.py", "        if not self.believes(principal, entitlement):\n", "        if False:\n"),
    ),
    mutant(
        "whose account signed is not looked at again",
        (JUDGEMENT, "if account is not None and account.person == self.requester:", "if False:"),
        (JUDGEMENT, "if account is None or account.person != said.person:", "if account is None:"),
    ),
    mutant(
        "an account that is gone still signs",
        (
            JUDGEMENT,
            "if account is None or account.person != said.person:",
            "if account is None: return None\n        if False:",
        ),
    ),
    mutant(
        "membership is enough, the approver role is not asked for",
        (REVIEW, "if Role.APPROVER not in directory.roles_of(person):", "if False:"),
    ),
    mutant(
        "groups are counted, not people",
        (REVIEW, "if chair not in taken or seat(taken[chair], tried):", "if True:"),
        (REVIEW, "                return True\n        return False\n", "        return False\n"),
    ),
    mutant(
        "one filled factor is enough",
        (
            REVIEW,
            "all(f.have >= f.count >= 1 for f in self.factors)",
            "any(f.have >= f.count >= 1 for f in self.factors)",
        ),
    ),
    mutant(
        "one signature fewer is enough",
        (REVIEW, "all(f.have >= f.count >= 1 for f in self.factors)", "sum(f.have for f in self.factors) >= 1"),
    ),
    mutant(
        "a rule without factors is fulfilled",
        (REVIEW, "bool(self.factors) and all(", "all("),
    ),
    mutant(
        "a denial is recorded and ends nothing",
        (REQUESTS, "            if decision is Decision.DENY:\n", "            if False:\n"),
    ),
    mutant(
        "a denial counts as a signature",
        (JUDGEMENT, "return self.decision is Decision.APPROVE and self.hindrance", "return self.hindrance"),
        (REQUESTS, "            if decision is Decision.DENY:\n", "            if False:\n"),
        (JUDGEMENT, "if any(review.decision is Decision.DENY for review in reviews):", "if False:"),
    ),
    mutant(
        "a review of any digest counts",
        (REQUESTS, "if digest != request.digest:", "if False:"),
        (JUDGEMENT, "if said.digest != self.digest:", "if False:"),
    ),
    mutant(
        "approvers are not judged again at the draw",
        (JUDGEMENT, "    if not quorum.reached:\n", "    if False:\n"),
    ),
    mutant(
        "the requester is not judged again at the draw",
        (JUDGEMENT, "    demand_may_ask(demand_requester(request, rules), entitlement, rules)\n", ""),
    ),
    mutant(
        "the rule is not pinned at the draw",
        (JUDGEMENT, "rules.pinned(request.entitlement, request.rule_digest)", "rules.entitlement(request.entitlement)"),
    ),
    mutant(
        "the record is not checked against the digest at the draw",
        (JUDGEMENT, "request.digest == granted_digest == tx.stored_digest(request.id)", "True"),
    ),
    mutant(
        "anybody who may see a grant draws it",
        (GRANT, "if principal.person != self.person:", "if False:"),
    ),
    mutant(
        "one draw more than was approved",
        (GRANT, "if self.draws_used >= self.draws:", "if self.draws_used > self.draws:"),
    ),
    mutant(
        "each draw begins its own time",
        (
            GRANT,
            "not_after=now + self.duration if self.not_after is None else self.not_after",
            "not_after=now + self.duration",
        ),
    ),
    mutant(
        "an approval waits for its draw for ever",
        (GRANT, "if self.not_after is None and now >= self.draw_by:", "if False:"),
        (
            GRANT,
            "return self.draw_by if self.not_after is None",
            "return self.draw_by + self.duration * 99 if self.not_after is None",
        ),
    ),
    mutant(
        "a grant draws on after its end",
        (GRANT, "if self.not_after is not None and now >= self.not_after:", "if False:"),
    ),
    mutant(
        "a lapsed request can be approved",
        (REQUEST, "if now >= self.lapses_at:", "if False:"),
    ),
    mutant(
        "the disabled keep what they hold",
        (PEOPLE, "return person in self.persons and person not in self.disabled", "return person in self.persons"),
    ),
    mutant(
        "disabling a person ends no grant",
        (REACH, '("person", person),\n', ""),
    ),
    mutant(
        "a stop does not hold a draw back",
        (ISSUER, "refuse_if_stopped(tx, person=grant.person", "str(dict(person=grant.person"),
        (
            ISSUER,
            "provider=entitlement.provider)\n            self._refuse_while",
            "provider=entitlement.provider))\n            self._refuse_while",
        ),
    ),
    mutant(
        "who placed a stop lifts it",
        (CONTROL, "if principal.person == (stop.lift_asked_by or stop.placed_by):", "if False:"),
    ),
    mutant(
        "handing back leaves the credential alive",
        (
            ENDINGS,
            "    for lease in tx.leases(grant_id=grant.id, states=LIVE):",
            "    for lease in ():",
        ),
    ),
    mutant(
        "an order that was taken is a certificate of death",
        (
            LEASE,
            "return self.standing in {Standing.DENIED, Standing.GONE}",
            "return self.standing is not Standing.LIVE",
        ),
    ),
    mutant(
        "issuing goes on while the clock is behind",
        (ISSUER, "if tx.clock_behind > CLOCK_TOLERANCE:", "if False:"),
    ),
    mutant(
        "a request that nobody can approve is taken",
        (
            REVIEW,
            "requester=requester, directory=directory).reached",
            "requester=requester, directory=directory) is not None",
        ),
    ),
    mutant(
        "splitting one access into many meets no cap",
        (SUBMISSION, "+ asked > caps.seconds_per_person_day:", "< 0:"),
    ),
    mutant(
        "a counter-proposal may be longer than what was asked",
        (COUNTER, "    if duration > request.duration:\n", "    if False:\n"),
    ),
    mutant(
        "any other value counts as less",
        (COUNTER, "    for name, value in changed.items():\n", "    for name, value in ():\n"),
    ),
    mutant(
        "a counter-proposal is taken up again and again",
        (
            REQUESTS,
            "            if (taken := tx.taken_up_by(denied.id)) is not None:\n",
            "            if taken := None:\n",
        ),
        ("store/schema.py", 'column("counters", sa.String(20), unique=True,', 'column("counters", sa.String(20),'),
    ),
    mutant(
        "anybody takes a counter-proposal up for himself",
        (REQUESTS, "            if denied.person != principal.person:\n", "            if False:\n"),
    ),
    mutant(
        "a broker on other settings than the countersigned ones issues",
        (ISSUER, "            refuse_if_mistrusted(self.office.configured, rules.catalog.trust)\n", ""),
    ),
    mutant(
        "of several rules the last one wins",
        ("domain/entitlement.py", "max(factor.count, counts.get(factor.group, 0))", "factor.count"),
        (
            "domain/entitlement.py",
            "for rule in rules for factor in rule)",
            "for rule in rules[-1:] for factor in rule)",
        ),
    ),
    mutant(
        "who lets himself in asks",
        ("service/provenance.py", "        if brings_somebody_in(entitlement, was, now):\n", "        if False:\n"),
    ),
    mutant(
        "an author approves his own proposal",
        (MAKING, "if proposal.proposed_by == principal.person or not principal.human:", "if False:"),
    ),
    mutant(
        "who wrote a rule signs under it",
        (JUDGEMENT, "if person in self.rules.authors_of(self.entitlement.id):", "if False:"),
        (
            "service/rules.py",
            "self.directory_for(entitlement).without(self.authors_of(entitlement.id) | frozenset(behind))",
            "self.directory_for(entitlement)",
        ),
    ),
    mutant(
        "who wrote a rule asks under it",
        (GRANTING, "if person in rules.authors_of(entitlement_id):", "if False:"),
        (AUTOMATIC, "- rules.directory.machines_only - {person} - behind", "- rules.directory.machines_only - behind"),
    ),
    mutant(
        "a rule approves in the name of somebody who is no author any more",
        (AUTOMATIC, "(authors & rules.directory.holders(Role.CATALOG_AUTHOR))", "authors"),
    ),
    mutant(
        "whose approval it was is not compared at the draw",
        (AUTOMATIC, "or authors != approval.approvers or", "or"),
    ),
    mutant(
        "a rule need not be automatic to approve",
        (AUTOMATIC, "if not entitlement.approves_itself or authors != able", "if authors != able"),
    ),
    mutant(
        "production may be automatic",
        ("config/catalog.py", "item.environment is Environment.PRODUCTION", "False"),
    ),
)
