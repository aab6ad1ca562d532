"""The unit of work: everything a use case may read and write within one transaction, facts included.

Moves are compare-and-set on `version`: who read an older row gets `Conflict`, and nothing of the transaction remains.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from countersign.domain.facts import Fact
from countersign.domain.grant import Grant, GrantState
from countersign.domain.lease import Lease, LeaseState
from countersign.domain.refusals import Conflict
from countersign.domain.request import Request, RequestState
from countersign.domain.review import Review
from countersign.store import log, rows, schema
from countersign.store.log import LogHead


@dataclass(frozen=True, kw_only=True, slots=True)
class Stop:
    """A stop in force: of everything, or of one person, entitlement or provider."""

    id: str
    scope: str
    target: str | None
    placed_by: str
    placed_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Rulebook:
    """The catalog and directory in force, as they were read from their files."""

    seq: int
    catalog: Mapping[str, Any]
    directory: Mapping[str, Any]
    catalog_digest: str
    directory_digest: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Remembered:
    """What an idempotency key was first used for."""

    call: str
    body: str
    result: str


class Tx:
    """One transaction. `now` is fixed for all of it; facts are written at its end, in order, or not at all.

    Attributes:
        now: the time of the transaction: the database's clock on PostgreSQL, and never behind the log's newest entry.
        clock_behind: how far the clock was behind that entry; a clock that ran back.
    """

    def __init__(self, connection: sa.Connection, *, clock: datetime) -> None:
        """Bind to an open transaction whose clock says `clock`."""
        self._connection = connection
        self._facts: list[Fact] = []
        newest = log.read_head(connection).at
        self.now = clock if newest is None else max(clock, newest)
        self.clock_behind = self.now - clock

    # --- the log -------------------------------------------------------------------------------------------------------

    def record(self, *facts: Fact) -> None:
        """Record facts; they reach the log when the transaction commits."""
        self._facts += facts

    def flush(self) -> LogHead | None:
        """Write the recorded facts and the new head; the store calls it as the last act of the transaction."""
        if not self._facts:
            return None
        facts, self._facts = self._facts, []
        return log.append(self._connection, facts, now=self.now)

    def head(self) -> LogHead:
        """Return the log's head."""
        return log.read_head(self._connection)

    def facts(
        self, *, after: int = -1, limit: int = 100, subject: str | None = None, type_: str | None = None
    ) -> list[Mapping[str, Any]]:
        """Return log rows in order after an index, with their openings under `openings`."""
        table = schema.facts
        query = sa.select(table).where(table.c.index > after).order_by(table.c.index).limit(limit)
        if subject is not None:
            query = query.where(table.c.subject == subject)
        if type_ is not None:
            query = query.where(table.c.type == type_)
        found = [dict(row) for row in self._connection.execute(query).mappings()]
        opened = sa.select(schema.openings).where(schema.openings.c.index.in_([row["index"] for row in found]))
        by_index: dict[int, dict[str, Any]] = {}
        for row in self._connection.execute(opened).mappings():
            by_index.setdefault(row["index"], {})[row["field"]] = {
                "salt": bytes(row["salt"]).hex(),
                "text": row["text"],
            }
        return [row | {"openings": by_index.get(row["index"], {})} for row in found]

    def newest_checkpoint(self) -> tuple[int, str] | None:
        """Return size and signed note of the newest checkpoint."""
        table = schema.checkpoints
        query = sa.select(table.c.size, table.c.note).order_by(table.c.size.desc()).limit(1)
        row = self._connection.execute(query).one_or_none()
        return None if row is None else (row[0], row[1])

    def checkpoints(self) -> list[str]:
        """Return every signed note that was kept, smallest first."""
        table = schema.checkpoints
        return list(self._connection.execute(sa.select(table.c.note).order_by(table.c.size)).scalars())

    def add_checkpoint(self, head: LogHead, note: str) -> None:
        """Keep a signed checkpoint; a second one of the same size is refused by the table."""
        self._insert(schema.checkpoints, {"size": head.size, "root": head.root, "note": note, "at": self.now})

    # --- rules, people, tokens ------------------------------------------------------------------------------------------

    def rulebook(self) -> Rulebook | None:
        """Return the rulebook in force."""
        table = schema.rulebooks
        row = self._connection.execute(sa.select(table).order_by(table.c.seq.desc()).limit(1)).mappings().one_or_none()
        if row is None:
            return None
        return Rulebook(**{name: row[name] for name in Rulebook.__dataclass_fields__})

    def rulebook_seq(self) -> int:
        """Return the number of the rulebook in force, 0 for none: cheap, to know whether a parsed one still holds."""
        query = sa.select(sa.func.coalesce(sa.func.max(schema.rulebooks.c.seq), 0))
        return int(self._connection.execute(query).scalar_one())

    def add_rulebook(self, rulebook: Rulebook) -> None:
        """Bring a rulebook into force."""
        values = {name: getattr(rulebook, name) for name in Rulebook.__dataclass_fields__}
        self._insert(schema.rulebooks, values | {"at": self.now})

    def disabled_persons(self) -> frozenset[str]:
        """Return the persons who were disabled at run time."""
        return frozenset(self._connection.execute(sa.select(schema.disabled.c.person)).scalars())

    def disable_person(self, person: str) -> bool:
        """Disable a person; False when he was already."""
        if person in self.disabled_persons():
            return False
        self._insert(schema.disabled, {"person": person, "at": self.now})
        return True

    def add_token(self, *, token_id: str, hashed: str, principal: str) -> None:
        """Keep the hash of a token."""
        row = {"id": token_id, "hash": hashed, "principal": principal, "issued_at": self.now, "revoked_at": None}
        self._insert(schema.tokens, row)

    def principal_of_token(self, hashed: str) -> str | None:
        """Return the principal of a token in force."""
        table = schema.tokens
        query = sa.select(table.c.principal).where(table.c.hash == hashed, table.c.revoked_at.is_(None))
        return self._connection.execute(query).scalar_one_or_none()

    def revoke_tokens(self, principal: str) -> list[str]:
        """Withdraw all tokens of a principal and return their public ids."""
        table = schema.tokens
        query = (
            sa.update(table)
            .where(table.c.principal == principal, table.c.revoked_at.is_(None))
            .values(revoked_at=self.now)
            .returning(table.c.id)
        )
        return sorted(self._connection.execute(query).scalars())

    # --- requests and reviews ------------------------------------------------------------------------------------------

    def add_request(self, request: Request, *, target: str) -> None:
        """Keep a new request."""
        row = rows.request_row(request, target=target)
        self._insert(schema.requests, row)

    def request(self, request_id: str, *, lock: bool = False) -> Request | None:
        """Return a request; with `lock`, nobody else decides on it until the transaction ends."""
        row = self._one(schema.requests, schema.requests.c.id == request_id, lock=lock)
        return None if row is None else rows.to_request(row)

    def stored_digest(self, request_id: str) -> str | None:
        """Return the digest that was written with the request, to be compared with the computed one."""
        query = sa.select(schema.requests.c.digest).where(schema.requests.c.id == request_id)
        return self._connection.execute(query).scalar_one_or_none()

    def move_request(self, before: Request, after: Request) -> None:
        """Write the state of a request.

        Raises:
            Conflict: it is no longer as `before` was read.
        """
        self._move(schema.requests, before, {"state": after.state.value, "version": after.version})

    def requests(
        self,
        *,
        person: str | None = None,
        state: RequestState | None = None,
        entitlements: Iterable[str] | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[Request]:
        """Return requests, newest first; `before` is the id after which the page begins.

        Args:
            person: only this requester's.
            state: only in this state.
            entitlements: also those of these entitlements, whoever asked (with `person`: either).
            before: the last id of the page before.
            limit: at most so many.
        """
        table = schema.requests
        query = sa.select(table).order_by(table.c.submitted_at.desc(), table.c.id.desc()).limit(limit)
        mine = [] if person is None else [table.c.person == person]
        if entitlements is not None:
            mine.append(table.c.entitlement.in_(sorted(entitlements)))
        if mine:
            query = query.where(sa.or_(*mine))
        if state is not None:
            query = query.where(table.c.state == state.value)
        query = self._page(query, table, table.c.submitted_at, before)
        return [rows.to_request(row) for row in self._connection.execute(query).mappings()]

    def lapsing_requests(self, *, limit: int) -> list[Request]:
        """Return pending requests whose time for review has run out."""
        table = schema.requests
        query = (
            sa.select(table)
            .where(table.c.state == RequestState.PENDING.value, table.c.lapses_at <= self.now)
            .order_by(table.c.lapses_at)
            .limit(limit)
        )
        return [rows.to_request(row) for row in self._connection.execute(self._skip_locked(query)).mappings()]

    def add_review(self, review: Review, *, requester: str) -> None:
        """Keep a review; the tables refuse a second one by the person, and one by the requester."""
        row = {
            "request_id": review.request_id,
            "person": review.person,
            "requester_person": requester,
            "principal": review.principal,
            "decision": review.decision.value,
            "digest": review.digest,
            "at": review.at,
        }
        self._insert(schema.reviews, row)

    def reviews(self, request_id: str) -> list[Review]:
        """Return the reviews of a request in the order they were made."""
        table = schema.reviews
        query = sa.select(table).where(table.c.request_id == request_id).order_by(table.c.at, table.c.person)
        return [rows.to_review(row) for row in self._connection.execute(query).mappings()]

    # --- grants --------------------------------------------------------------------------------------------------------

    def add_grant(self, grant: Grant) -> None:
        """Keep a new grant."""
        self._insert(schema.grants, rows.grant_row(grant))

    def grant(self, grant_id: str, *, lock: bool = False) -> Grant | None:
        """Return a grant; with `lock`, nobody else draws under it until the transaction ends."""
        row = self._one(schema.grants, schema.grants.c.id == grant_id, lock=lock)
        return None if row is None else rows.to_grant(row)

    def grant_of_request(self, request_id: str) -> Grant | None:
        """Return the grant that a request's approval created."""
        row = self._one(schema.grants, schema.grants.c.request_id == request_id)
        return None if row is None else rows.to_grant(row)

    def move_grant(self, before: Grant, after: Grant) -> None:
        """Write a grant.

        Raises:
            Conflict: it is no longer as `before` was read.
        """
        self._move(schema.grants, before, rows.grant_row(after))

    def grants(
        self,
        *,
        person: str | None = None,
        entitlements: Iterable[str] | None = None,
        state: GrantState | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[Grant]:
        """Return grants, newest first, filtered as `requests` are."""
        table = schema.grants
        query = sa.select(table).order_by(table.c.opened_at.desc(), table.c.id.desc()).limit(limit)
        mine = [] if person is None else [table.c.person == person]
        if entitlements is not None:
            mine.append(table.c.entitlement.in_(sorted(entitlements)))
        if mine:
            query = query.where(sa.or_(*mine))
        if state is not None:
            query = query.where(table.c.state == state.value)
        query = self._page(query, table, table.c.opened_at, before)
        return [rows.to_grant(row) for row in self._connection.execute(query).mappings()]

    def open_grants(self, *, scope: str, target: str | None) -> list[Grant]:
        """Return every open grant that a stop of this scope concerns."""
        table = schema.grants
        query = sa.select(table).where(table.c.state == GrantState.OPEN.value)
        if scope == "person":
            query = query.where(table.c.person == target)
        elif scope == "entitlement":
            query = query.where(table.c.entitlement == target)
        return [rows.to_grant(row) for row in self._connection.execute(query).mappings()]

    def count_open_grants(
        self, *, person: str | None = None, entitlement: str | None = None, target: str | None = None
    ) -> int:
        """Return how many open grants match."""
        table = schema.grants
        query = sa.select(sa.func.count()).select_from(table).where(table.c.state == GrantState.OPEN.value)
        for column, value in ((table.c.person, person), (table.c.entitlement, entitlement), (table.c.target, target)):
            if value is not None:
                query = query.where(column == value)
        return self._connection.execute(query).scalar_one()

    def granted_seconds(self, *, person: str, target: str, since: datetime) -> int:
        """Return the time asked for (pending) and granted to a person on a target since a moment, in seconds."""
        table = schema.requests
        counted = (RequestState.PENDING.value, RequestState.APPROVED.value)
        query = sa.select(sa.func.coalesce(sa.func.sum(table.c.duration_s), 0)).where(
            table.c.person == person,
            table.c.target == target,
            table.c.submitted_at > since,
            table.c.state.in_(counted),
        )
        return int(self._connection.execute(query).scalar_one())

    def ending_grants(self, *, limit: int) -> list[Grant]:
        """Return open grants whose time is over."""
        table = schema.grants
        query = (
            sa.select(table)
            .where(table.c.state == GrantState.OPEN.value, table.c.due <= self.now)
            .order_by(table.c.due)
            .limit(limit)
        )
        return [rows.to_grant(row) for row in self._connection.execute(self._skip_locked(query)).mappings()]

    # --- leases --------------------------------------------------------------------------------------------------------

    def add_lease(self, lease: Lease) -> None:
        """Keep a new lease."""
        self._insert(schema.leases, rows.lease_row(lease))

    def lease(self, lease_id: str) -> Lease | None:
        """Return a lease."""
        row = self._one(schema.leases, schema.leases.c.id == lease_id)
        return None if row is None else rows.to_lease(row)

    def move_lease(self, before: Lease, after: Lease) -> None:
        """Write a lease.

        Raises:
            Conflict: it is no longer as `before` was read; whoever moved it since has the say.
        """
        self._move(schema.leases, before, rows.lease_row(after))

    def leases(
        self,
        *,
        grant_id: str | None = None,
        person: str | None = None,
        entitlements: Iterable[str] | None = None,
        states: Sequence[LeaseState] | None = None,
        before: str | None = None,
        limit: int = 1000,
    ) -> list[Lease]:
        """Return leases, newest first."""
        table = schema.leases
        query = sa.select(table).order_by(table.c.prepared_at.desc(), table.c.id.desc()).limit(limit)
        if grant_id is not None:
            query = query.where(table.c.grant_id == grant_id)
        mine = [] if person is None else [table.c.person == person]
        if entitlements is not None:
            mine.append(table.c.entitlement.in_(sorted(entitlements)))
        if mine:
            query = query.where(sa.or_(*mine))
        if states is not None:
            query = query.where(table.c.state.in_([state.value for state in states]))
        query = self._page(query, table, table.c.prepared_at, before)
        return [rows.to_lease(row) for row in self._connection.execute(query).mappings()]

    def due_targets(self) -> list[tuple[str, str]]:
        """Return (provider, target id) of everything that has a lease due now, longest due first."""
        table = schema.leases
        query = (
            sa.select(table.c.provider, table.c.target_id)
            .where(table.c.state != LeaseState.REVOKED.value, table.c.due <= self.now)
            .group_by(table.c.provider, table.c.target_id)
            .order_by(sa.func.min(table.c.due))
        )
        return [(provider, target) for provider, target in self._connection.execute(query)]

    def due_leases(self, *, provider: str, target: str, limit: int) -> list[Lease]:
        """Return leases due at one target, longest due first, leaving out what another broker holds."""
        table = schema.leases
        query = (
            sa.select(table)
            .where(
                table.c.state != LeaseState.REVOKED.value,
                table.c.due <= self.now,
                table.c.provider == provider,
                table.c.target_id == target,
            )
            .order_by(table.c.due)
            .limit(limit)
        )
        return [rows.to_lease(row) for row in self._connection.execute(self._skip_locked(query)).mappings()]

    def count_overdue(self, *, target: str | None = None) -> int:
        """Return how many leases are past their time and not seen dead, at one target or everywhere."""
        table = schema.leases
        query = sa.select(sa.func.count()).select_from(table).where(table.c.overdue.is_(True))
        if target is not None:
            query = query.where(table.c.target_id == target)
        return self._connection.execute(query).scalar_one()

    def make_due(self) -> int:
        """Make every lease on its way to death due at once; a start forgets who had claimed what."""
        table = schema.leases
        query = sa.update(table).where(table.c.state == LeaseState.REVOKING.value, table.c.due > self.now)
        return int(self._connection.execute(query.values(due=self.now)).rowcount)

    def live_targets(self) -> list[Mapping[str, Any]]:
        """Return the targets (plain JSON, as drawn) of all leases that are not seen dead."""
        table = schema.leases
        query = sa.select(table.c.target).where(table.c.state != LeaseState.REVOKED.value)
        unique = {target["id"]: target for target in self._connection.execute(query).scalars()}
        return list(unique.values())

    # --- stops and idempotency -----------------------------------------------------------------------------------------

    def stops(self) -> list[Stop]:
        """Return the stops in force."""
        query = sa.select(schema.stops).where(schema.stops.c.lifted_at.is_(None)).order_by(schema.stops.c.placed_at)
        return [
            Stop(**{name: row[name] for name in Stop.__dataclass_fields__})
            for row in self._connection.execute(query).mappings()
        ]

    def add_stop(self, stop: Stop) -> None:
        """Place a stop."""
        values = {name: getattr(stop, name) for name in Stop.__dataclass_fields__}
        self._insert(schema.stops, values | {"lifted_by": None, "lifted_at": None})

    def lift_stop(self, stop: Stop, *, by: str) -> None:
        """Lift a stop.

        Raises:
            Conflict: it is lifted already.
        """
        table = schema.stops
        query = sa.update(table).where(table.c.id == stop.id, table.c.lifted_at.is_(None))
        if self._connection.execute(query.values(lifted_by=by, lifted_at=self.now)).rowcount != 1:
            raise Conflict(f"{stop.id} is lifted already")

    def remembered(self, principal: str, key: str) -> Remembered | None:
        """Return what an idempotency key was first used for."""
        table = schema.idempotency
        row = self._one(table, sa.and_(table.c.principal == principal, table.c.key == key))
        return None if row is None else Remembered(call=row["call"], body=row["body"], result=row["result"])

    def remember(self, principal: str, key: str, what: Remembered) -> None:
        """Keep what an idempotency key was used for, replacing a use that came to nothing."""
        table = schema.idempotency
        self._connection.execute(sa.delete(table).where(table.c.principal == principal, table.c.key == key))
        row = {"principal": principal, "key": key, "call": what.call, "body": what.body, "result": what.result}
        self._insert(table, row | {"at": self.now})

    def serialise(self, name: str) -> None:
        """Let only one transaction at a time pass for `name`: counting and then adding must not race."""
        if self._connection.dialect.name == "postgresql":
            self._connection.execute(
                sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name}
            )

    # --- how ------------------------------------------------------------------------------------------------------------

    def _insert(self, table: sa.Table, row: Mapping[str, Any]) -> None:
        self._connection.execute(sa.insert(table).values(**row))

    def _one(self, table: sa.Table, where: sa.ColumnElement[bool], *, lock: bool = False) -> sa.RowMapping | None:
        query = sa.select(table).where(where)
        return self._connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()

    def _move(self, table: sa.Table, before: Request | Grant | Lease, values: Mapping[str, Any]) -> None:
        query = sa.update(table).where(table.c.id == before.id, table.c.version == before.version)
        if self._connection.execute(query.values(**values)).rowcount != 1:
            raise Conflict(
                f"{before.id} was moved by someone else at the same moment; nothing was done", hint="try again"
            )

    def _skip_locked(self, query: sa.Select[Any]) -> sa.Select[Any]:
        return query.with_for_update(skip_locked=True)

    def _page(
        self, query: sa.Select[Any], table: sa.Table, order: sa.Column[Any], before: str | None
    ) -> sa.Select[Any]:
        if before is None:
            return query
        last = sa.select(order).where(table.c.id == before).scalar_subquery()
        return query.where(sa.or_(order < last, sa.and_(order == last, table.c.id < before)))
