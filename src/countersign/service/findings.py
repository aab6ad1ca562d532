"""Findings as people deal with them: who sees them, and who may say that he has looked. Never somebody whom they concern."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from countersign.auditlog.meaning.notebook import OPERATORS
from countersign.domain.finding_facts import FindingAcknowledged
from countersign.domain.people import Principal, Role
from countersign.domain.refusals import NotEligible, NotFound, SelfReview, WrongState
from countersign.service.office import Office
from countersign.service.rules import Rules
from countersign.store import RaisedFinding, Tx


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Use cases of those who look at findings."""

    office: Office

    def findings(
        self, principal: Principal, *, open_only: bool, before: int | None, limit: int
    ) -> tuple[list[RaisedFinding], int | None]:
        """Return findings that the caller may see, newest entry first, and before which entry the next page begins."""
        with self.office.store.read() as tx:
            rules = self.office.rules.current(tx)
            found = tx.findings(open_only=open_only, before=before, limit=limit)
            following = found[-1].index if len(found) >= limit else None
            return [each for each in found if _sees(principal, rules, each)], following

    def acknowledge(self, principal: Principal, finding_id: str, *, comment: str) -> RaisedFinding:
        """Say that somebody independent has looked at a finding, and what comes of it.

        Raises:
            NotFound: no such finding, or the caller is a stranger to it.
            SelfReview: it concerns the principal's person, by itself or by what shows it.
            NotEligible: neither an auditor nor one of those who answer for it, or a machine.
            WrongState: somebody has said so before.
        """
        with self.office.attempt(principal, act="acknowledge", subject=finding_id), self.office.store.begin() as tx:
            rules = self.office.rules.current(tx)
            finding = tx.finding(finding_id, lock=True)
            if finding is None or not _sees(principal, rules, finding):
                raise NotFound(f"there is no finding {finding_id[:20]!r} for you")
            if principal.person in _concerned(tx, finding):
                raise SelfReview(
                    f"{finding.id} concerns {principal.person}",
                    rule="findings are acknowledged by somebody whom they do not concern",
                    hint="an auditor can",
                )
            if not principal.human or not _answers(principal, rules, finding):
                raise NotEligible(
                    f"{principal.person} does not answer for {finding.id}",
                    rule=f"findings are acknowledged by an auditor or {finding.owner}",
                )
            if finding.acknowledged_by is not None:
                raise WrongState(f"{finding.acknowledged_by} has acknowledged {finding.id}")
            acknowledged = tx.acknowledge_finding(finding, by=principal.person)
            tx.record(
                FindingAcknowledged(
                    actor=principal.person,
                    subject=finding.id,
                    principal=principal.id,
                    comment=self.office.seal(comment, field="comment"),
                )
            )
        return acknowledged


def _sees(principal: Principal, rules: Rules, finding: RaisedFinding) -> bool:
    roles = rules.directory.roles_of(principal.person)
    return bool(roles & {Role.AUDITOR, Role.OPERATOR}) or finding.owner in rules.directory.groups_of(principal.person)


def _answers(principal: Principal, rules: Rules, finding: RaisedFinding) -> bool:
    roles = rules.directory.roles_of(principal.person)
    if finding.owner == OPERATORS and Role.OPERATOR in roles:
        return True
    return Role.AUDITOR in roles or finding.owner in rules.directory.groups_of(principal.person)


def _concerned(tx: Tx, finding: RaisedFinding) -> frozenset[str]:
    """Return whom a finding concerns: those that it names, and who acted in the entries that show it."""
    shown = (row for index in finding.evidence for row in tx.facts(after=index - 1, limit=1))
    return frozenset(finding.persons) | frozenset(_acting(json.loads(row["leaf"]) for row in shown))


def _acting(facts: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    for fact in facts:
        yield fact["actor"]
        data = fact["data"]
        yield from (str(data[name]) for name in ("person", "proposed_by", "approved_by") if data.get(name))
        yield from map(str, data.get("approvers") or ())
