"""Requests and reviews within a transaction."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from countersign.domain.request import Request, RequestState
from countersign.domain.review import Review
from countersign.store import rows, schema
from countersign.store.unit.part import Part

# Built once, as every draw asks.
_STORED_DIGEST = sa.select(schema.requests.c.digest).where(schema.requests.c.id == sa.bindparam("request"))
_REVIEWS = (
    sa.select(schema.reviews)
    .where(schema.reviews.c.request_id == sa.bindparam("request"))
    .order_by(schema.reviews.c.at, schema.reviews.c.person)
)


class RequestsPart(Part):
    """Requests and reviews."""

    def add_request(self, request: Request, *, target: str) -> None:
        """Keep a new request."""
        row = rows.request_row(request, target=target)
        self._insert(schema.requests, row)

    def request(self, request_id: str, *, lock: bool = False) -> Request | None:
        """Return a request; with `lock`, nobody else decides on it until the transaction ends."""
        row = self._keyed(schema.requests, id=request_id, lock=lock)
        return None if row is None else rows.to_request(row)

    def stored_digest(self, request_id: str) -> str | None:
        """Return the digest that was written with the request, to be compared with the computed one."""
        return self._connection.execute(_STORED_DIGEST, {"request": request_id}).scalar_one_or_none()

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
            "signature": None if review.signature is None else review.signature.document(),
        }
        self._insert(schema.reviews, row)

    def reviews(self, request_id: str) -> list[Review]:
        """Return the reviews of a request in the order they were made."""
        return [rows.to_review(row) for row in self._connection.execute(_REVIEWS, {"request": request_id}).mappings()]
