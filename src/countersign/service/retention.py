"""Erasing what people wrote once its time is over: two decide, one of them an auditor; the database's owner carries it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from countersign.domain.facts import BROKER
from countersign.domain.ids import ERASURE
from countersign.domain.people import Principal, Role
from countersign.domain.refusals import NotFound, NotPermitted
from countersign.domain.retention import Erasure, demand_erasable
from countersign.domain.retention_facts import ErasureApproved, ErasureAsked, TextsErased
from countersign.service.office import Office
from countersign.service.rules import RuleReader, Rules
from countersign.store import Store, Tx

DECIDE = (Role.AUDITOR, Role.OPERATOR)


@dataclass(frozen=True, kw_only=True)
class Retention:
    """Use cases of those who decide on erasures."""

    office: Office

    def ask(self, principal: Principal, *, before: datetime, reason: str) -> Erasure:
        """Ask that the texts of all entries before a moment be erased.

        Raises:
            NotPermitted: neither auditor nor operator, or no human.
            RetentionHolds: too early, or under legal hold.
        """
        with self.office.attempt(principal, act="erase", subject="texts"), self.office.store.begin() as tx:
            _judge(self.office.rules.current(tx), principal, before)
            erasure = Erasure(id=self.office.new_id(ERASURE), before=before, asked_by=principal.person, asked_at=tx.now)
            tx.add_erasure(erasure)
            tx.record(
                ErasureAsked(
                    actor=principal.person,
                    subject=erasure.id,
                    principal=principal.id,
                    before=before,
                    reason=self.office.seal(reason, field="reason"),
                )
            )
        return erasure

    def approve(self, principal: Principal, erasure_id: str) -> Erasure:
        """Approve another person's erasure; one of the two must be an auditor.

        Raises:
            NotPermitted, RetentionHolds: as for `ask`.
            NotEligible, WrongState, NotFound: as the erasure stands.
        """
        with self.office.attempt(principal, act="erase", subject=erasure_id), self.office.store.begin() as tx:
            rules, asked = self.office.rules.current(tx), tx.erasure(erasure_id)
            if asked is None:
                rules.directory.demand(principal, *DECIDE)
                raise NotFound(f"there is no erasure {erasure_id[:20]!r}")
            _judge(rules, principal, asked.before)
            approved = asked.approved(by=principal.person, at=tx.now, auditors=rules.directory.holders(Role.AUDITOR))
            tx.move_erasure(asked, approved)
            tx.record(
                ErasureApproved(
                    actor=principal.person,
                    subject=asked.id,
                    principal=principal.id,
                    before=asked.before,
                    asked_by=asked.asked_by,
                )
            )
        return approved

    def erasures(self, principal: Principal, *, limit: int) -> Sequence[Erasure]:
        """Return erasures, newest first.

        Raises:
            NotPermitted: neither auditor nor operator.
        """
        with self.office.store.read() as tx:
            self.office.rules.current(tx).directory.demand(principal, *DECIDE)
            return tx.erasures(limit=limit)


def carry_out(store: Store, rules: RuleReader) -> Sequence[Erasure]:
    """Erase what two people decided on and nobody carried out yet, and return that; the login must own the tables.

    Raises:
        RetentionHolds: the rules changed since it was approved; nothing is erased.
    """
    done = []
    with store.begin() as tx:
        for erasure in reversed(tx.erasures(limit=MOST)):
            if erasure.approved_by is not None and erasure.done_at is None:
                demand_erasable(erasure.before, now=tx.now, trust=rules.current(tx).catalog.trust)
                done.append(_carried_out(tx, erasure, approved_by=erasure.approved_by))
    return done


def _carried_out(tx: Tx, erasure: Erasure, *, approved_by: str) -> Erasure:
    done = erasure.carried_out(at=tx.now, texts=tx.erase_texts(erasure.before))
    tx.move_erasure(erasure, done)
    tx.record(
        TextsErased(
            actor=f"{BROKER}/retention",
            subject=erasure.id,
            before=erasure.before,
            asked_by=erasure.asked_by,
            approved_by=approved_by,
            texts=done.texts or 0,
        )
    )
    return done


def _judge(rules: Rules, principal: Principal, before: datetime) -> None:
    rules.directory.demand(principal, *DECIDE)
    if not principal.human:
        raise NotPermitted("a machine decides on no erasure", rule="two people decide on an erasure")
    demand_erasable(before, now=rules.now, trust=rules.catalog.trust)


MOST = 10_000
