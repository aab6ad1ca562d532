"""What is due, within a transaction: found by one narrow index and taken on by one statement.

A claim is a fence: it moves `due` and `version` in the statement that reads, so that whoever read before writes nothing any more,
and on PostgreSQL it leaves out what another broker is claiming at the same moment.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.dml import ReturningUpdate

from countersign.domain.lease import Cause, Due, Lease, LeaseState
from countersign.store import rows, schema
from countersign.store.unit.part import Part

_LEASES = schema.leases
_OF = _LEASES.c
_NOW, _UNTIL = sa.bindparam("at_present", type_=schema.Moment), sa.bindparam("until", type_=schema.Moment)
_AT = (_OF.provider == sa.bindparam("of_provider"), _OF.target_id == sa.bindparam("of_target"))
_ACTIVE = _OF.state == LeaseState.ACTIVE.value
_REVOKING = _OF.state == LeaseState.REVOKING.value
_IS_DUE = (schema.NOT_DEAD, _OF.due <= _NOW)
_OVER, _NOT_OVER = _OF.not_after <= _NOW, _OF.not_after > _NOW


class DuePart(Part):
    """What is due."""

    def due(self) -> list[tuple[str, str, Due]]:
        """Return (provider, target id, what) of everything that is due now, longest due first."""
        return [
            (provider, target, Due(what))
            for provider, target, what in self._connection.execute(_what_is_due(), {"at_present": self.now})
        ]

    def claim_expired(self, *, provider: str, target: str, until: datetime, limit: int) -> list[Lease]:
        """Send active leases whose time is over on their way and claim them: `Lease.revoking` and `Lease.claimed` in one."""
        return self._claim(_expire(), provider, target, until, limit)

    def claim_revoking(self, *, provider: str, target: str, again: bool, until: datetime, limit: int) -> list[Lease]:
        """Claim leases that are on their way already: those that were never tried, or those that were."""
        return self._claim(_take_on(again=again), provider, target, until, limit)

    def claim_unreceived(self, *, provider: str, target: str, until: datetime, limit: int) -> list[Lease]:
        """Claim active leases of which it is time to ask whether they were picked up; none beyond its own end."""
        return self._claim(_ask(), provider, target, until, limit)

    def stillborn(self, *, limit: int) -> list[Lease]:
        """Return leases whose draw came to no outcome in its time, longest due first."""
        query = sa.select(_LEASES).where(_OF.state == LeaseState.PREPARED.value, schema.NOT_DEAD, _OF.due <= self.now)
        query = self._skip_locked(query.order_by(_OF.due).limit(limit))
        return [rows.to_lease(row) for row in self._connection.execute(query).mappings()]

    def _claim(
        self, statement: ReturningUpdate[Any], provider: str, target: str, until: datetime, limit: int
    ) -> list[Lease]:
        told = {
            "of_provider": provider,
            "of_target": target,
            "at_present": self.now,
            "until": until,
            "at_most": limit,
        }
        claimed = [rows.to_lease(row) for row in self._connection.execute(statement, told).mappings()]
        return sorted(claimed, key=lambda lease: lease.not_after)


@cache
def _what_is_due() -> sa.Select[Any]:
    what = sa.case(
        (sa.and_(_ACTIVE, _NOT_OVER), Due.RECEIPT.value),
        (sa.and_(_REVOKING, _OF.tries > 0), Due.AGAIN.value),
        else_=Due.END.value,
    ).label("what")
    living = _OF.state.in_([LeaseState.ACTIVE.value, LeaseState.REVOKING.value])
    return (
        sa.select(_OF.provider, _OF.target_id, what)
        .where(*_IS_DUE, living)
        .group_by(_OF.provider, _OF.target_id, sa.literal_column("what"))
        .order_by(sa.func.min(_OF.due))
    )


def _update(*which: sa.ColumnElement[bool], **values: Any) -> ReturningUpdate[Any]:  # noqa: ANN401 - values of columns
    """Return an update of the longest due of these, which gives back what it wrote."""
    found = sa.select(_OF.id).where(*_IS_DUE, *_AT, *which).order_by(_OF.due).limit(sa.bindparam("at_most"))
    # As a table of its own: PostgreSQL might run a subquery with a limit more than once.
    chosen = found.with_for_update(skip_locked=True).cte("chosen")
    update = sa.update(_LEASES).where(_OF.id.in_(sa.select(chosen.c.id)))
    return update.values(**values, version=_OF.version + 1).returning(_LEASES)


@cache
def _expire() -> ReturningUpdate[Any]:
    return _update(
        _ACTIVE, _OVER, state=LeaseState.REVOKING.value, cause=Cause.EXPIRED.value, asked_at=_NOW, due=_UNTIL
    )


@cache
def _take_on(*, again: bool) -> ReturningUpdate[Any]:
    return _update(_REVOKING, _OF.tries > 0 if again else _OF.tries == 0, due=_UNTIL)


@cache
def _ask() -> ReturningUpdate[Any]:
    return _update(_ACTIVE, _NOT_OVER, due=sa.case((_OF.not_after < _UNTIL, _OF.not_after), else_=_UNTIL))
