"""Passkeys within a transaction: enrolments that wait for their vouchers, counters, signatures of rules, and the chain itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa

from countersign.auditlog.merkle import leaf_hash
from countersign.domain.passkey import Enrolment, NotASignature, Passkey, Word
from countersign.domain.refusals import Conflict
from countersign.store import passkey_tables as tables
from countersign.store import rows, schema
from countersign.store.unit.part import Part

KEPT_AFTER = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class ChainFact:
    """One fact of the chain of what was signed, as the log's bytes say it, whatever the columns beside them say."""

    index: int
    hash: bytes
    type: str
    actor: str
    subject: str
    data: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class PageTicket:
    """One act that one principal may do once at the passkey page; `hash` is of the secret that stands for it."""

    id: str
    hash: str
    principal: str
    act: str
    subject: str
    wish: Mapping[str, Any]
    expires_at: datetime
    state: Literal["new", "open", "done", "over"]
    outcome: Mapping[str, Any] | None = None


class PasskeysPart(Part):
    """Passkeys."""

    def chain_facts(self, types: tuple[str, ...], *, after: int) -> list[ChainFact]:
        """Return the chain's facts behind an index, in order."""
        table = schema.facts
        leaf = sa.cast(table.c.leaf, sa.LargeBinary)
        query = sa.select(table.c.index, leaf).where(table.c.type.in_(types), table.c.index > after)
        found = self._connection.execute(query.order_by(table.c.index)).all()
        return [fact for index, raw in found if (fact := chain_fact(index, bytes(raw), types)) is not None]

    def add_enrolment(self, enrolment: Enrolment) -> None:
        """Keep an enrolment that waits for its vouchers; the table refuses a second one of the key."""
        row = {
            "passkey_id": enrolment.passkey.id,
            "person": enrolment.passkey.person,
            "passkey": enrolment.passkey.document(),
            "said_at": enrolment.said_at,
            "proof": enrolment.proof.document(),
            "at": self.now,
        }
        self._insert(tables.enrolments, row)

    def enrolment(self, passkey_id: str, *, lock: bool = False) -> Enrolment | None:
        """Return what was said of a key; with `lock`, nobody else vouches for it until the transaction ends."""
        row = self._one(tables.enrolments, tables.enrolments.c.passkey_id == passkey_id, lock=lock)
        return None if row is None else _to_enrolment(row)

    def enrolments(self, *, limit: int = 200) -> list[Enrolment]:
        """Return what was said of keys, newest first."""
        query = sa.select(tables.enrolments).order_by(tables.enrolments.c.at.desc()).limit(limit)
        found = [_to_enrolment(row) for row in self._connection.execute(query).mappings()]
        return [each for each in found if each is not None]

    def add_passkey_word(self, passkey_id: str, act: str, word: Word) -> None:
        """Keep one person's word, `vouch` or `remove`; the table refuses a second one."""
        row = {"passkey_id": passkey_id, "act": act, "person": word.person, "at": self.now}
        self._insert(tables.passkey_words, row | {"assertion": word.assertion.document()})

    def passkey_words(self, passkey_id: str, act: str) -> list[Word]:
        """Return the words on a key in the order they were given."""
        table = tables.passkey_words
        query = sa.select(table).where(table.c.passkey_id == passkey_id, table.c.act == act)
        found = []
        for row in self._connection.execute(query.order_by(table.c.at, table.c.person)).mappings():
            assertion = rows.to_assertion(row["assertion"])
            if assertion is not None:
                found.append(Word(person=row["person"], assertion=assertion))
        return found

    def passkey_counter(self, passkey_id: str) -> int:
        """Return the highest counter that was seen of a key; nobody else sees or moves it until the transaction ends."""
        self.serialise(f"passkey {passkey_id}")
        table = tables.passkey_counters
        found = self._connection.execute(sa.select(table.c.counter).where(table.c.passkey_id == passkey_id)).scalar()
        return 0 if found is None else int(found)

    def move_passkey_counter(self, passkey_id: str, counter: int) -> None:
        """Note the counter of a key as it was just seen."""
        table = tables.passkey_counters
        values = {"counter": counter, "at": self.now}
        moved = self._connection.execute(sa.update(table).where(table.c.passkey_id == passkey_id).values(**values))
        if moved.rowcount == 0:
            self._insert(table, {"passkey_id": passkey_id, **values})

    def add_rule_signature(self, proposal_id: str, act: str, word: Word) -> None:
        """Keep an author's signature of a proposal, `propose` or `approve`; the table refuses a second one."""
        row = {"proposal_id": proposal_id, "act": act, "person": word.person, "at": self.now}
        self._insert(tables.rule_signatures, row | {"assertion": word.assertion.document()})

    def rule_signature(self, proposal_id: str, act: str) -> Word | None:
        """Return an author's signature of a proposal."""
        table = tables.rule_signatures
        row = self._one(table, sa.and_(table.c.proposal_id == proposal_id, table.c.act == act))
        assertion = None if row is None else rows.to_assertion(row["assertion"])
        return None if row is None or assertion is None else Word(person=row["person"], assertion=assertion)

    def add_page_ticket(self, ticket: PageTicket) -> None:
        """Keep a ticket, and forget those that are long over."""
        table = tables.page_tickets
        self._connection.execute(sa.delete(table).where(table.c.expires_at < self.now - KEPT_AFTER))
        self._insert(table, {name: getattr(ticket, name) for name in PageTicket.__dataclass_fields__})

    def page_ticket(self, *, hashed: str | None = None, ticket_id: str = "") -> PageTicket | None:
        """Return a ticket by the hash of its secret, which nobody else uses until the transaction ends, or by its id."""
        table = tables.page_tickets
        where = table.c.id == ticket_id if hashed is None else table.c.hash == hashed
        row = self._one(table, where, lock=hashed is not None)
        return None if row is None else PageTicket(**{name: row[name] for name in PageTicket.__dataclass_fields__})

    def move_page_ticket(self, before: PageTicket, after: PageTicket) -> None:
        """Write what became of a ticket.

        Raises:
            Conflict: somebody else used it at the same moment.
        """
        table = tables.page_tickets
        query = sa.update(table).where(table.c.id == before.id, table.c.hash == before.hash)
        values = {"hash": after.hash, "state": after.state, "outcome": after.outcome, "wish": after.wish}
        if self._connection.execute(query.where(table.c.state == before.state).values(**values)).rowcount != 1:
            raise Conflict("this page was used by someone else at the same moment")


def chain_fact(index: int, leaf: bytes, types: tuple[str, ...]) -> ChainFact | None:
    """Return a leaf as a fact of the chain, if it is one."""
    try:
        said = json.loads(leaf)
        if said["type"] in types:
            return ChainFact(
                index=index,
                hash=leaf_hash(leaf),
                type=said["type"],
                actor=said["actor"],
                subject=said["subject"],
                data=said["data"],
            )
    except (ValueError, KeyError, TypeError):
        pass  # no leaf of ours; the verifier names such rows
    return None


def _to_enrolment(row: sa.RowMapping) -> Enrolment | None:
    proof = rows.to_assertion(row["proof"])
    try:
        passkey = Passkey.read(row["passkey"])
    except (NotASignature, AttributeError, TypeError):
        return None
    return None if proof is None else Enrolment(passkey=passkey, said_at=row["said_at"], proof=proof)
