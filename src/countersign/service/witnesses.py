"""How far the witnesses have come with our log, for whoever watches over it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from countersign.auditlog.note import cosigned_at
from countersign.domain.people import Principal, Role
from countersign.service.office import Office


@dataclass(frozen=True, kw_only=True)
class WitnessStanding:
    """How far a witness has come with our log.

    Attributes:
        size: the largest size that it cosigned; zero for none.
        at: the time in that cosignature.
        behind: entries that it has not vouched for.
        trouble: what its last answer, or the lack of one, came to; None while all is well or nothing was asked.
    """

    name: str
    url: str
    size: int
    at: datetime | None
    behind: int
    trouble: str | None


@dataclass(frozen=True, kw_only=True)
class Witnesses:
    """The question who vouches for the log.

    Attributes:
        troubles: by witness, what was wrong when it was asked last; only the half that asks them knows.
    """

    office: Office
    troubles: Mapping[str, str] = field(default_factory=dict)

    def standings(self, principal: Principal) -> tuple[int, list[WitnessStanding]]:
        """Return the quorum, and how far each witness has come.

        Raises:
            NotPermitted: neither operator nor auditor.
        """
        with self.office.store.read() as tx:
            rules = self.office.rules.current(tx)
            rules.directory.demand(principal, Role.OPERATOR, Role.AUDITOR)
            trust, size = rules.catalog.trust, tx.head().size
            last = {each.vkey: tx.cosigned_last(each.vkey) for each in trust.witnesses}
        found = []
        for each in trust.witnesses:
            seen = last[each.vkey]
            found.append(
                WitnessStanding(
                    name=each.name,
                    url=each.url,
                    size=0 if seen is None else seen.size,
                    at=None if seen is None else datetime.fromtimestamp(cosigned_at(seen.signature), UTC),
                    behind=size - (0 if seen is None else seen.size),
                    trouble=self.troubles.get(each.name),
                )
            )
        return trust.witness_quorum, found
