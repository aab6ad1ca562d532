"""Changing the rules by the rules: one author proposes, another approves exactly that, and neither profits from it.

What is proposed is always the whole: a catalog and a directory that make sense together, built on the rulebook in force.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from countersign.config.catalog import parse_catalog
from countersign.config.crosscheck import check_together
from countersign.config.directory import parse_directory
from countersign.config.problems import ConfigError, Severity
from countersign.domain.entitlement import Catalog, Entitlement
from countersign.domain.facts import ProposalDecided, RulebookAdopted, RulebookProposed
from countersign.domain.ids import PROPOSAL
from countersign.domain.people import Directory, Principal, Role
from countersign.domain.proposal import Proposal, ProposalEvent, ProposalState
from countersign.domain.refusals import Invalid, NotFound, NotPermitted, RuleChanged, SelfReview, WrongDigest
from countersign.service.office import Office
from countersign.service.rules import Rules, rule_texts
from countersign.store import Rulebook, Tx

READERS = (Role.CATALOG_AUTHOR, Role.AUDITOR, Role.OPERATOR)


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a proposal does to one thing: `added`, `removed` or `changed`, with each key before and after."""

    kind: str
    id: str
    what: Literal["added", "removed", "changed"]
    keys: Mapping[str, tuple[object, object]]


@dataclass(frozen=True, kw_only=True)
class ProposalView:
    """A proposal, and what it would change in the rules in force."""

    proposal: Proposal
    changes: tuple[Change, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Rulemaking:
    """Use cases of catalog authors.

    Attributes:
        objection: says why an entitlement cannot be served here as it stands; None when it can.
    """

    office: Office
    objection: Callable[[Entitlement], str | None] = lambda _: None

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
            self._demand_servable(parsed[0])
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
            return _view(proposal, rules, parsed)

    def approve(self, principal: Principal, proposal_id: str, *, digest: str) -> ProposalView:
        """Bring a proposal into force; a different author than the one who made it.

        Raises:
            SelfReview: the principal's person made it, by whatever principal.
            NotPermitted: not a catalog author, neither before nor by the proposal.
            WrongDigest, WrongState, NotFound: as the proposal stands.
            RuleChanged: another rulebook came into force since it was made.
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
            self._demand_servable(parsed[0])
            approved = self._decide(tx, principal, proposal, ProposalEvent.APPROVE)
            self._adopt(tx, approved, current, rules, parsed, by=principal.person)
            return _view(approved, rules, parsed)

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
        return _view(proposal, rules, _parsed(proposal.catalog, proposal.directory))

    def in_force(self, principal: Principal) -> Rulebook:
        """Return the rulebook in force, as it was proposed.

        Raises:
            NotPermitted: neither author, auditor nor operator.
        """
        with self.office.store.read() as tx:
            self.office.rules.current(tx).directory.demand(principal, *READERS)
            return _in_force(tx)

    def _demand_servable(self, catalog: Catalog) -> None:
        for entitlement in catalog.entitlements.values():
            why = self.objection(entitlement)
            if why is not None:
                raise Invalid(f"entitlement {entitlement.id}: {why}", field="catalog")

    def _decide(self, tx: Tx, principal: Principal, proposal: Proposal, event: ProposalEvent) -> Proposal:
        decided = proposal.after(event, by=principal.person)
        tx.move_proposal(proposal, decided)
        tx.record(
            ProposalDecided(
                actor=principal.person,
                subject=proposal.id,
                principal=principal.id,
                digest=proposal.digest,
                state=decided.state.value,
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
            )
        )
        for entitlement in parsed[0].entitlements.values():
            before = rules.catalog.entitlements.get(entitlement.id)
            if before is None or before.rule_digest != entitlement.rule_digest:
                tx.set_rule_authors(entitlement.id, {proposal.proposed_by, by})
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


def _view(proposal: Proposal, rules: Rules, parsed: tuple[Catalog, Directory]) -> ProposalView:
    warnings = tuple(str(problem) for problem in check_together(*parsed))
    return ProposalView(proposal=proposal, changes=tuple(_changes(rules, parsed)), warnings=warnings)


def _changes(rules: Rules, parsed: tuple[Catalog, Directory]) -> list[Change]:
    changes = []
    for kind, before, after in (
        ("trust", _whole(rules.catalog), _whole(parsed[0])),
        ("entitlement", _by_id(rules.catalog.document()["entitlements"]), _by_id(parsed[0].document()["entitlements"])),
        *(
            (name[:-1], _by_id(rules.directory.document()[name]), _by_id(parsed[1].document()[name]))
            for name in ("persons", "principals", "groups")
        ),
    ):
        for thing in sorted(before.keys() | after.keys()):
            old, new = before.get(thing, {}), after.get(thing, {})
            keys = {key: (old.get(key), new.get(key)) for key in sorted(old.keys() | new.keys())}
            differing = {key: pair for key, pair in keys.items() if pair[0] != pair[1]}
            if differing:
                changes.append(Change(kind=kind, id=thing, what=_what(old, new), keys=differing))
    return changes


def _what(old: Mapping[str, Any], new: Mapping[str, Any]) -> Literal["added", "removed", "changed"]:
    if not old:
        return "added"
    return "changed" if new else "removed"


def _whole(catalog: Catalog) -> dict[str, dict[str, Any]]:
    """Return the trust settings as the one thing of their kind; none where nothing is said."""
    said = catalog.trust.document()
    return {"trust": said} if said else {}


def _by_id(items: Any) -> dict[str, dict[str, Any]]:  # noqa: ANN401 - documents are plain JSON
    return {item["id"]: item for item in items}
