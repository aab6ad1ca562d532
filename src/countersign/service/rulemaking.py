"""Changing the rules by the rules: one author proposes, another approves exactly that, and neither profits from it.

What is proposed is always the whole: a catalog and a directory that make sense together, built on the rulebook in force.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from countersign.config.catalog import parse_catalog
from countersign.config.crosscheck import check_together
from countersign.config.directory import parse_directory
from countersign.config.problems import ConfigError, Severity
from countersign.domain.entitlement import Catalog
from countersign.domain.ids import PROPOSAL
from countersign.domain.passkey import Assertion, Word, rules_challenge
from countersign.domain.passkey_facts import PasskeysFounded
from countersign.domain.people import Directory, Principal, Role
from countersign.domain.proposal import Proposal, ProposalEvent, ProposalState
from countersign.domain.refusals import (
    AlreadyReviewed,
    Invalid,
    NotEligible,
    NotFound,
    NotPermitted,
    RuleChanged,
    SelfReview,
    WrongDigest,
    WrongState,
)
from countersign.domain.rule_facts import ProposalDecided, ProposalSigned, RulebookAdopted, RulebookProposed
from countersign.domain.trust import Trust
from countersign.service.office import Office
from countersign.service.provenance import are_signed, demand_author_s
from countersign.service.rehearsal import Rehearsal
from countersign.service.rule_changes import ProposalView, view_of
from countersign.service.rules import Rules, rule_texts
from countersign.service.signatures import demand_signature, take_signature
from countersign.store import Rulebook, Tx

READERS = (Role.CATALOG_AUTHOR, Role.AUDITOR, Role.OPERATOR)


@dataclass(frozen=True, kw_only=True)
class Rulemaking:
    """Use cases of catalog authors.

    Attributes:
        rehearsal: says what of a catalog could never be served here, and what in it is dangerous.
        demand_keys: refuses that the log's key is left out before another signs.
    """

    office: Office
    rehearsal: Rehearsal = field(default_factory=Rehearsal)
    demand_keys: Callable[[Trust, Trust], None] = lambda _before, _after: None

    def propose(
        self, principal: Principal, *, catalog: Mapping[str, Any], directory: Mapping[str, Any] | None, reason: str
    ) -> ProposalView:
        """Propose another catalog, and with it another directory if one is given.

        Raises:
            NotPermitted: not a catalog author.
            Invalid: the files are wrong, do not go together, or change nothing; `catalog` or `directory` is named.
        """
        with self.office.attempt(principal, act="propose", subject="rulebook"), self.office.store.begin() as tx:
            rules = self.office.rules.current(tx)
            rules.directory.demand(principal, Role.CATALOG_AUTHOR)
            current = _in_force(tx)
            source = current.directory if directory is None else directory
            parsed = _parsed(catalog, source)
            remarks = self.rehearsal.demand_servable(parsed[0])
            self.demand_keys(rules.catalog.trust, parsed[0].trust)
            _demand_first_keys(rules.catalog, parsed[0])
            proposal = Proposal(
                id=self.office.new_id(PROPOSAL),
                base=current.seq,
                catalog=catalog,
                directory=source,
                catalog_digest=parsed[0].digest,
                directory_digest=parsed[1].digest,
                proposed_by=principal.person,
                proposed_at=tx.now,
            )
            if (proposal.catalog_digest, proposal.directory_digest) == (
                current.catalog_digest,
                current.directory_digest,
            ):
                raise Invalid("the proposal changes nothing", field="catalog")
            # What the log cannot hold is refused now, and not only when it is approved.
            rule_texts((rules.catalog, rules.directory), parsed, actor=principal.person)
            tx.add_proposal(proposal)
            tx.record(
                RulebookProposed(
                    actor=principal.person,
                    subject=proposal.id,
                    principal=principal.id,
                    digest=proposal.digest,
                    catalog=proposal.catalog_digest,
                    directory=proposal.directory_digest,
                    base=proposal.base,
                    reason=self.office.seal(reason, field="reason"),
                )
            )
            return view_of(proposal, rules, parsed, remarks=remarks)

    def sign(self, principal: Principal, proposal_id: str, *, digest: str, signature: Assertion) -> ProposalView:
        """Sign one's own proposal with a passkey, which the rules may ask for before another author approves it.

        Raises:
            NotEligible: another author's proposal.
            SignatureRefused, ClonedAuthenticator: as the signature stands.
            AlreadyReviewed: it is signed.
            WrongDigest, WrongState, NotFound: as the proposal stands.
        """
        with self.office.attempt(principal, act="sign", subject=proposal_id), self.office.store.begin() as tx:
            rules = self.office.rules.current(tx)
            rules.directory.demand(principal, Role.CATALOG_AUTHOR)
            proposal = _known(tx, proposal_id)
            if proposal.proposed_by != principal.person:
                raise NotEligible("everybody signs what he proposed himself", rule="the author signs his proposal")
            if digest != proposal.digest:
                raise WrongDigest(f"that is not the digest of {proposal.id}", hint="read what it says now")
            if proposal.state is not ProposalState.PENDING:
                raise WrongState(f"{proposal.id} is {proposal.state}", hint="propose again")
            if tx.rule_signature(proposal.id, "propose") is not None:
                raise AlreadyReviewed(f"{proposal.id} is signed", rule="one signature per author")
            _take(tx, rules, proposal, signature, act="propose", person=principal.person)
            tx.record(
                ProposalSigned(
                    actor=principal.person,
                    subject=proposal.id,
                    principal=principal.id,
                    digest=proposal.digest,
                    signature=signature.document(),
                )
            )
            return self._view(proposal, rules)

    def approve(
        self, principal: Principal, proposal_id: str, *, digest: str, signature: Assertion | None = None
    ) -> ProposalView:
        """Bring a proposal into force; a different author than the one who made it, both signing where the rules ask for it.

        Raises:
            SelfReview: the principal's person made it, by whatever principal.
            NotPermitted: not a catalog author, neither before nor by the proposal.
            WrongDigest, WrongState, NotFound: as the proposal stands.
            RuleChanged: another rulebook came into force since it was made.
            SignatureRequired, SignatureRefused, ClonedAuthenticator: as the signatures of both stand.
        """
        with self.office.attempt(principal, act="approve", subject=proposal_id), self.office.store.begin() as tx:
            rules = self.office.rules.current(tx)
            rules.directory.demand(principal, Role.CATALOG_AUTHOR)
            proposal = _known(tx, proposal_id)
            if proposal.proposed_by == principal.person or not principal.human:
                raise SelfReview("nobody approves his own proposal", rule="another author approves")
            if digest != proposal.digest:
                raise WrongDigest(f"that is not the digest of {proposal.id}", hint="read what it says now")
            current = _in_force(tx)
            if proposal.base != current.seq and proposal.state is ProposalState.PENDING:
                raise RuleChanged(
                    f"{proposal.id} was built on rulebook {proposal.base}, and {current.seq} is in force",
                    rule="a proposal is approved against the rules it was shown with",
                    hint="propose it again",
                )
            parsed = _parsed(proposal.catalog, proposal.directory)
            remarks = self.rehearsal.demand_servable(parsed[0])
            self.demand_keys(rules.catalog.trust, parsed[0].trust)
            if are_signed(rules.catalog.trust):
                demand_signature(signature, rule="trust.signing.signed_rules = true")
                demand_author_s(tx.rule_signature(proposal.id, "propose"), proposal)
            if signature is not None:
                _take(tx, rules, proposal, signature, act="approve", person=principal.person)
            approved = self._decide(tx, principal, proposal, ProposalEvent.APPROVE, signature=signature)
            self._adopt(tx, approved, current, rules, parsed, by=principal.person)
            return view_of(approved, rules, parsed, remarks=remarks)

    def reject(self, principal: Principal, proposal_id: str) -> Proposal:
        """Reject another's proposal, or withdraw one's own.

        Raises:
            NotPermitted: not a catalog author.
            WrongState, NotFound: as the proposal stands.
        """
        with self.office.attempt(principal, act="reject", subject=proposal_id), self.office.store.begin() as tx:
            self.office.rules.current(tx).directory.demand(principal, Role.CATALOG_AUTHOR)
            proposal = _known(tx, proposal_id)
            own = proposal.proposed_by == principal.person
            return self._decide(tx, principal, proposal, ProposalEvent.WITHDRAW if own else ProposalEvent.REJECT)

    def proposals(self, principal: Principal, *, limit: int) -> list[Proposal]:
        """Return proposals, newest first.

        Raises:
            NotPermitted: neither author, auditor nor operator.
        """
        with self.office.store.read() as tx:
            self.office.rules.current(tx).directory.demand(principal, *READERS)
            return tx.proposals(limit=limit)

    def proposal(self, principal: Principal, proposal_id: str) -> ProposalView:
        """Return a proposal and what it would change.

        Raises:
            NotPermitted: neither author, auditor nor operator.
            NotFound: none such.
        """
        with self.office.store.read() as tx:
            rules = self.office.rules.current(tx)
            rules.directory.demand(principal, *READERS)
            proposal = _known(tx, proposal_id, lock=False)
        return self._view(proposal, rules)

    def in_force(self, principal: Principal) -> Rulebook:
        """Return the rulebook in force, as it was proposed.

        Raises:
            NotPermitted: neither author, auditor nor operator.
        """
        with self.office.store.read() as tx:
            self.office.rules.current(tx).directory.demand(principal, *READERS)
            return _in_force(tx)

    def _view(self, proposal: Proposal, rules: Rules) -> ProposalView:
        parsed = _parsed(proposal.catalog, proposal.directory)
        remarks = tuple(map(str, self.rehearsal.remarks(parsed[0])))
        return view_of(proposal, rules, parsed, remarks=remarks)

    def _decide(
        self,
        tx: Tx,
        principal: Principal,
        proposal: Proposal,
        event: ProposalEvent,
        *,
        signature: Assertion | None = None,
    ) -> Proposal:
        decided = proposal.after(event, by=principal.person)
        tx.move_proposal(proposal, decided)
        tx.record(
            ProposalDecided(
                actor=principal.person,
                subject=proposal.id,
                principal=principal.id,
                digest=proposal.digest,
                state=decided.state.value,
                signature=None if signature is None else signature.document(),
            )
        )
        return decided

    def _adopt(
        self, tx: Tx, proposal: Proposal, current: Rulebook, rules: Rules, parsed: tuple[Catalog, Directory], *, by: str
    ) -> None:
        tx.add_rulebook(
            Rulebook(
                seq=current.seq + 1,
                catalog=proposal.catalog,
                directory=proposal.directory,
                catalog_digest=proposal.catalog_digest,
                directory_digest=proposal.directory_digest,
                proposed_by=proposal.proposed_by,
                approved_by=by,
                proposal=proposal.id,
            )
        )
        for entitlement in parsed[0].entitlements.values():
            before = rules.catalog.entitlements.get(entitlement.id)
            if before is None or before.rule_digest != entitlement.rule_digest:
                tx.set_rule_authors(entitlement.id, {proposal.proposed_by, by})
        tx.absorb_removals(parsed[1])
        written = rule_texts((rules.catalog, rules.directory), parsed, actor=by)
        tx.record(
            *written,
            RulebookAdopted(
                actor=by,
                subject="rulebook",
                catalog=proposal.catalog_digest,
                directory=proposal.directory_digest,
                genesis=False,
                proposed_by=proposal.proposed_by,
                approved_by=by,
                written=len(written),
            ),
        )
        if not rules.catalog.trust.passkeys and parsed[0].trust.passkeys:
            first = tuple(passkey.document() for passkey in parsed[0].trust.passkeys)
            tx.record(PasskeysFounded(actor=by, subject="passkeys", passkeys=first))


def _demand_first_keys(before: Catalog, after: Catalog) -> None:
    """Demand that the first keys stay as they were named: what comes later is enrolled, and goes by being removed.

    Raises:
        Invalid: naming `catalog`.
    """
    if before.trust.passkeys and before.trust.passkeys != after.trust.passkeys:
        raise Invalid(
            "the first passkeys, and where they are used, stay as they were named",
            field="catalog",
            rule="trust.passkey and trust.signing are part of the genesis",
            hint="enrol further keys with countersign passkey enrol",
        )


def _take(tx: Tx, rules: Rules, proposal: Proposal, signature: Assertion, *, act: str, person: str) -> None:
    challenge = rules_challenge(proposal=proposal.id, digest=proposal.digest, act=act, author=person)
    take_signature(tx, rules, signature, person=person, challenge=challenge)
    tx.add_rule_signature(proposal.id, act, Word(person=person, assertion=signature))


def _in_force(tx: Tx) -> Rulebook:
    current = tx.rulebook()
    if current is None:
        raise NotPermitted("there are no rules yet", hint="start the broker with a catalog and a directory")
    return current


def _known(tx: Tx, proposal_id: str, *, lock: bool = True) -> Proposal:
    proposal = tx.proposal(proposal_id, lock=lock)
    if proposal is None:
        raise NotFound(f"there is no proposal {proposal_id[:20]!r}")
    return proposal


def _parsed(catalog: Mapping[str, Any], directory: Mapping[str, Any]) -> tuple[Catalog, Directory]:
    try:
        parsed_catalog = parse_catalog(catalog)
    except ConfigError as error:
        raise Invalid(str(error), field="catalog") from error
    try:
        parsed_directory = parse_directory(directory)
    except ConfigError as error:
        raise Invalid(str(error), field="directory") from error
    errors = [p for p in check_together(parsed_catalog, parsed_directory) if p.severity is Severity.ERROR]
    if errors:
        raise Invalid("\n".join(str(problem) for problem in errors), field="catalog")
    return parsed_catalog, parsed_directory
