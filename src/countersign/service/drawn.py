"""What the log says of open grants, read leaf by leaf: until when each may be drawn, how often it was, and when its time ends.

The same stands in columns, which whoever writes into the database can set back; what the log said cannot be unsaid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from countersign.domain.grant import Grant
from countersign.domain.grant_facts import GrantClosed, GrantOpened
from countersign.domain.lease_facts import LeaseEndAsked, LeasePrepared
from countersign.domain.refusals import ApprovalVoid
from countersign.domain.timestamps import read, spell

TYPES = (GrantOpened.type, GrantClosed.type, LeasePrepared.type, LeaseEndAsked.type)


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """One grant that the log opened and did not close.

    Attributes:
        index: where the log opened it.
        bound: request, its digest, and the person.
        draw_by: as the log spells it.
        ends: by lease that counts as a draw, the end of the access time.
    """

    index: int
    bound: tuple[str, str, str]
    draw_by: str
    ends: Mapping[str, datetime]


@dataclass(kw_only=True)
class DrawBook:
    """All open grants, as far as the log was read."""

    _open: dict[str, Opened] = field(default_factory=dict)
    _grant_of: dict[str, str] = field(default_factory=dict)

    @property
    def since(self) -> int | None:
        """The index at which the oldest open grant was opened; None where there is none."""
        # Grants are opened in the log's order, and a dict keeps it.
        oldest = next(iter(self._open.values()), None)
        return None if oldest is None else oldest.index

    def read(self, index: int, type_: str, subject: str, data: Mapping[str, Any]) -> None:
        """Take in one fact of `TYPES`; one that says nothing of an open grant changes nothing."""
        if type_ == GrantOpened.type:
            bound = (data["request"], data["digest"], data["person"])
            self._open[subject] = Opened(index=index, bound=bound, draw_by=data["draw_by"], ends={})
        elif type_ == GrantClosed.type:
            closed = self._open.pop(subject, None)
            for lease in () if closed is None else closed.ends:
                self._grant_of.pop(lease, None)
        elif type_ == LeasePrepared.type:
            opened = self._open.get(data["grant"])
            if opened is not None:
                self._count(data["grant"], opened, {**opened.ends, subject: read(data["not_after"])})
                self._grant_of[subject] = data["grant"]
        elif subject in self._grant_of:
            # A lease is sent to its end once: of what served, nobody gives the draw back later.
            grant = self._grant_of.pop(subject)
            opened = self._open[grant]
            if data["draw_given_back"]:
                self._count(grant, opened, {lease: end for lease, end in opened.ends.items() if lease != subject})

    def as_logged(self, grant: Grant) -> Grant:
        """Return a grant with its draws and its end as the log says them; one that the log did not open, as it is."""
        opened = self._open.get(grant.id)
        if opened is None:
            return grant
        return replace(grant, draws_used=len(opened.ends), not_after=min(opened.ends.values(), default=None))

    def demand_opened(self, grant: Grant) -> None:
        """Demand that the log opened a grant, for this request and until this moment, and did not close it.

        Raises:
            ApprovalVoid: it is a row that somebody wrote or changed.
        """
        opened = self._open.get(grant.id)
        said = None if opened is None else (opened.bound, opened.draw_by)
        if said != ((grant.request_id, grant.request_digest, grant.person), spell(grant.draw_by)):
            raise ApprovalVoid(
                f"{grant.id} is not an open grant of the log",
                rule="a grant is what the log opened and did not close",
                hint="tell security: somebody wrote into the database",
            )

    def _count(self, grant: str, opened: Opened, ends: Mapping[str, datetime]) -> None:
        self._open[grant] = replace(opened, ends=ends)
