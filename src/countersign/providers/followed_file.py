"""A file of lines that somebody else writes, followed as a source of records: what all such sources do alike."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from countersign.domain.records import Record
from countersign.providers.base import LeaseRef
from countersign.providers.records import Batch, RecordSource
from countersign.providers.tail import Place, Tail

UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)
"""What reading a line raises where it is none of the kind that is followed, or holds values of no use."""


class FollowedFile(RecordSource):
    """Follows one file, or a folder of files; see `RecordSource`. Which record a line is, the source itself says.

    Args:
        name: tells the source from every other.
        path: the file, with those that it is rotated to, or the folder.
    """

    delay = timedelta(seconds=2)
    every = timedelta(0)
    by_lease = False
    tells_acts = True

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self._tail = Tail(path)

    def begin(self) -> Mapping[str, Any]:
        """Return where the newest file ends."""
        return _cursor(self._tail.end())

    def read(self, cursor: Mapping[str, Any], leases: Sequence[LeaseRef]) -> Batch:  # noqa: ARG002 -- the seam's signature
        """Return what was written since."""
        found = self._tail.read(Place.of(cursor))
        records, unread = [], 0
        for line in found.lines:
            try:
                record = self.record_of(line)
            except UNREADABLE:
                unread += 1
                continue
            records += [record] if record is not None else []
        gaps = (*found.gaps, *([f"{unread} lines could not be read"] if unread else []))
        return Batch(records=tuple(records), cursor=_cursor(found.place), gaps=gaps, more=found.more)

    @abstractmethod
    def record_of(self, line: bytes) -> Record | None:
        """Return what a line tells that was not told yet; None for what is no use.

        Raises:
            ValueError: it is no line of the kind that is followed (others of `UNREADABLE` where its values are of no use).
        """


def _cursor(place: Place | None) -> Mapping[str, Any]:
    return {} if place is None else place.plain()
