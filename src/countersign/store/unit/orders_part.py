"""What two halves that run apart tell each other, within a transaction."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from countersign.store.order_tables import issuing_processes
from countersign.store.unit.part import Part

FORGOTTEN_AFTER = timedelta(hours=1)


class OrdersPart(Part):
    """Which issuing processes are at work."""

    def see_issuing_process(self, name: str) -> None:
        """Note that an issuing process is at work now, and forget those that have not been for long."""
        table = issuing_processes
        over = sa.or_(table.c.name == name, table.c.seen_at < self.now - FORGOTTEN_AFTER)
        self._connection.execute(sa.delete(table).where(over))
        self._insert(table, {"name": name, "seen_at": self.now})

    def issuing_process_seen_at(self) -> datetime | None:
        """Return when an issuing process was last at work; None if none was lately."""
        seen: datetime | None = self._connection.execute(sa.select(sa.func.max(issuing_processes.c.seen_at))).scalar()
        return seen
