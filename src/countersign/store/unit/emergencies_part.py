"""Break-glass within a transaction: envelopes and their signatures, and the reviews that are owed afterwards."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from countersign.domain.emergency import AfterReview, Verdict
from countersign.domain.envelope import Envelope, Signature
from countersign.domain.refusals import Conflict
from countersign.domain.review import Decision
from countersign.store import emergency_tables as tables
from countersign.store import rows, schema
from countersign.store.unit.part import Part


class EmergenciesPart(Part):
    """Envelopes, and reviews after the fact."""

    def add_envelope(self, envelope: Envelope) -> None:
        """Keep a new envelope."""
        row = {name: getattr(envelope, name) for name in Envelope.__dataclass_fields__ if name != "max_duration"}
        self._insert(tables.envelopes, row | {"max_duration_s": int(envelope.max_duration.total_seconds())})

    def envelope(self, envelope_id: str, *, lock: bool = False) -> Envelope | None:
        """Return an envelope; with `lock`, nobody else opens, signs or revokes it until the transaction ends."""
        row = self._one(tables.envelopes, tables.envelopes.c.id == envelope_id, lock=lock)
        return None if row is None else _to_envelope(row)

    def envelopes(self, *, limit: int = 100) -> list[Envelope]:
        """Return envelopes, newest first."""
        table = tables.envelopes
        query = sa.select(table).order_by(table.c.proposed_at.desc(), table.c.id.desc()).limit(limit)
        return [_to_envelope(row) for row in self._connection.execute(query).mappings()]

    def revoke_envelope(self, envelope: Envelope, *, by: str) -> None:
        """Make an envelope worth nothing.

        Raises:
            Conflict: it is so already.
        """
        table = tables.envelopes
        query = sa.update(table).where(table.c.id == envelope.id, table.c.revoked_at.is_(None))
        if self._connection.execute(query.values(revoked_by=by, revoked_at=self.now)).rowcount != 1:
            raise Conflict(f"{envelope.id} is revoked already")

    def add_signature(self, signature: Signature) -> None:
        """Keep a signature; the table refuses a second one by the person."""
        row = {name: getattr(signature, name) for name in Signature.__dataclass_fields__}
        assertion = None if signature.assertion is None else signature.assertion.document()
        self._insert(tables.envelope_signatures, row | {"assertion": assertion})

    def signatures(self, envelope_id: str) -> list[Signature]:
        """Return the signatures of an envelope in the order they were made."""
        table = tables.envelope_signatures
        query = sa.select(table).where(table.c.envelope_id == envelope_id).order_by(table.c.at, table.c.person)
        return [_to_signature(row) for row in self._connection.execute(query).mappings()]

    def times_opened(self, envelope_id: str) -> int:
        """Return how often an envelope was opened, counted from the requests that bear it; those are never removed."""
        table = schema.requests
        query = sa.select(sa.func.count()).select_from(table).where(table.c.envelope_id == envelope_id)
        return int(self._connection.execute(query).scalar_one())

    def granters(self, request_id: str) -> frozenset[str]:
        """Return who approved a request, or signed the envelope that it opened."""
        reviews, requests, signatures = schema.reviews, schema.requests, tables.envelope_signatures
        approved = sa.select(reviews.c.person).where(
            reviews.c.request_id == request_id, reviews.c.decision == Decision.APPROVE.value
        )
        signed = (
            sa.select(signatures.c.person)
            .join(requests, requests.c.envelope_id == signatures.c.envelope_id)
            .where(requests.c.id == request_id)
        )
        return frozenset(self._connection.execute(sa.union(approved, signed)).scalars())

    def add_after_review(self, owed: AfterReview) -> None:
        """Note that a review after the fact is owed."""
        row = {name: getattr(owed, name) for name in AfterReview.__dataclass_fields__}
        self._insert(tables.after_reviews, row | {"granters": list(owed.granters)})

    def after_review(self, grant_id: str, *, lock: bool = False) -> AfterReview | None:
        """Return the review after the fact of a grant, owed or given."""
        row = self._one(tables.after_reviews, tables.after_reviews.c.grant_id == grant_id, lock=lock)
        return None if row is None else _to_after_review(row)

    def after_reviews(self, *, person: str | None = None, owed: bool = False, limit: int = 100) -> list[AfterReview]:
        """Return reviews after the fact, newest grant first.

        Args:
            person: only of this requester's grants.
            owed: only those that nobody has given.
            limit: at most so many.
        """
        table = tables.after_reviews
        query = sa.select(table).order_by(table.c.opened_at.desc(), table.c.grant_id.desc()).limit(limit)
        if person is not None:
            query = query.where(table.c.person == person)
        if owed:
            query = query.where(table.c.verdict.is_(None))
        return [_to_after_review(row) for row in self._connection.execute(query).mappings()]

    def give_after_review(self, given: AfterReview) -> None:
        """Write somebody's word on a grant.

        Raises:
            Conflict: somebody else was faster.
        """
        table = tables.after_reviews
        query = sa.update(table).where(table.c.grant_id == given.grant_id, table.c.verdict.is_(None))
        values = {"reviewer": given.reviewer, "verdict": str(given.verdict), "reviewed_at": given.reviewed_at}
        if self._connection.execute(query.values(**values)).rowcount != 1:
            raise Conflict(f"{given.grant_id} was reviewed by someone else at the same moment")

    def unreviewed(self, *, limit: int) -> list[AfterReview]:
        """Return reviews that are past their time and were not escalated."""
        table = tables.after_reviews
        query = (
            sa.select(table)
            .where(table.c.verdict.is_(None), table.c.escalated_at.is_(None), table.c.due_at <= self.now)
            .order_by(table.c.due_at)
            .limit(limit)
        )
        return [_to_after_review(row) for row in self._connection.execute(self._skip_locked(query)).mappings()]

    def escalated(self, owed: AfterReview) -> None:
        """Note that an overdue review was escalated."""
        table = tables.after_reviews
        self._connection.execute(
            sa.update(table).where(table.c.grant_id == owed.grant_id).values(escalated_at=self.now)
        )


def _to_envelope(row: sa.RowMapping) -> Envelope:
    values = {name: row[name] for name in Envelope.__dataclass_fields__ if name != "max_duration"}
    return Envelope(**values, max_duration=timedelta(seconds=row["max_duration_s"]))


def _to_signature(row: sa.RowMapping) -> Signature:
    values = {name: row[name] for name in Signature.__dataclass_fields__}
    return Signature(**values | {"assertion": rows.to_assertion(row["assertion"])})


def _to_after_review(row: sa.RowMapping) -> AfterReview:
    values = {name: row[name] for name in AfterReview.__dataclass_fields__}
    verdict = None if row["verdict"] is None else Verdict(row["verdict"])
    return AfterReview(**values | {"granters": tuple(row["granters"]), "verdict": verdict})
