"""A PostgreSQL target's sessions as a source of last use: what `pg_stat_activity` shows of each lease's role while it is open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from countersign.domain.records import Act, Outcome, Record
from countersign.domain.timestamps import read, spell
from countersign.providers.base import Away, Declined, LeaseRef
from countersign.providers.records import Batch
from countersign.providers.target.client import PostgresTarget


class PostgresActivity:
    """Looks at the sessions of leases at one target; see `RecordSource`.

    A session that is at work now counts as used now, one that waits as used when it last finished something. What began and ended
    between two looks is not seen: the target's log tells of it.

    Args:
        target_id: the catalog's id of the target.
        target: our own account there.
    """

    delay = timedelta(seconds=10)
    every = timedelta(seconds=5)
    by_lease = True
    tells_acts = False

    def __init__(self, target_id: str, target: PostgresTarget) -> None:
        self.name = f"postgresql-activity {target_id}"
        self._target_id = target_id
        self._target = target

    def begin(self) -> Mapping[str, Any]:
        """Return an empty cursor: it holds, by lease, the last activity that was told."""
        return {}

    def read(self, cursor: Mapping[str, Any], leases: Sequence[LeaseRef]) -> Batch:
        """Return one record for each lease whose sessions did something since they were last looked at."""
        if not leases:
            return Batch(records=(), cursor={})
        try:
            standing = self._target.standing({ref.lease_id: ref.handle.get("role_oid") for ref in leases})
        except Declined as no:
            raise Away(str(no)) from None
        active = {lease: spell(role.last_activity) for lease, role in standing.items() if role.last_activity}
        records = tuple(
            Record(at=read(at), act=Act.USE, outcome=Outcome.DONE, what="session at work", lease_id=lease)
            for lease, at in sorted(active.items())
            if cursor.get(lease, "") < at
        )
        before = {lease: cursor[lease] for lease in standing if lease in cursor}
        return Batch(records=records, cursor=before | active, asked=frozenset(standing))

    def concerns(self, target: Mapping[str, Any]) -> bool:
        """Say whether it is this target."""
        return target.get("id") == self._target_id and target.get("kind") == "postgresql"

    def blind_to(self, grants: Mapping[str, Any]) -> str | None:  # noqa: ARG002 -- the seam's signature
        """Return None: whoever uses a login has a session."""
        return None
