"""The seam to sources of records: whoever wrote down by himself what was done at a provider or target.

A source is read from a cursor that the service keeps, so that a restart goes on where it was left. It reads, matches what its
text shows in clear, and returns values; what follows from them is the service's to judge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from countersign.domain.records import Record
from countersign.providers.base import LeaseRef


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Records from one reading.

    Attributes:
        cursor: where to go on.
        gaps: what was lost on the way, one line each.
        more: whether there is more to be read at once.
        asked: the leases that a source which is asked lease by lease was asked about lately.
    """

    records: tuple[Record, ...]
    cursor: Mapping[str, Any]
    gaps: tuple[str, ...] = ()
    more: bool = False
    asked: frozenset[str] = frozenset()


class RecordSource(Protocol):
    """One source of records. Calls bound their own time and are made by one thread at a time.

    Attributes:
        name: tells it from every other; stands in facts.
        delay: by so much at most a record appears after the act it tells of.
        every: how often it is worth reading.
        by_lease: whether it is asked lease by lease; others are handed no leases.
        tells_acts: whether it tells what was done, and not only that something was.
    """

    name: str
    delay: timedelta
    every: timedelta
    by_lease: bool
    tells_acts: bool

    def begin(self) -> Mapping[str, Any]:
        """Return a cursor for what is told from now on.

        Raises:
            Away: the source cannot be read.
        """

    def read(self, cursor: Mapping[str, Any], leases: Sequence[LeaseRef]) -> Batch:
        """Return what was told since the cursor.

        Args:
            cursor: of `begin` or of the last reading.
            leases: those that live or died lately, where it is asked lease by lease.

        Raises:
            Away: the source cannot be read.
        """

    def concerns(self, target: Mapping[str, Any]) -> bool:
        """Say whether it tells of uses at this target (plain JSON, as in an order)."""

    def blind_to(self, grants: Mapping[str, Any]) -> str | None:
        """Say what of an entitlement's uses at such a target it cannot see, in a few words; None when it sees all.

        Args:
            grants: the entitlement's own table.
        """
