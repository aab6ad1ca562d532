"""How far the witnesses have come with our log."""

from __future__ import annotations

from countersign.api.answers import Answer, Moment
from countersign.api.problems import documented
from countersign.api.route import Caller, TheBroker, guarded_router
from countersign.domain.timestamps import spell

router = guarded_router("audit")


class WitnessAnswer(Answer):
    """A witness: the largest `size` that it cosigned, `at` when by its own clock, and how many entries it has not vouched for.

    `trouble` is what its last answer to this process came to, or the lack of one.
    """

    name: str
    url: str
    size: int
    at: Moment | None
    behind: int
    trouble: str | None


class WitnessList(Answer):
    """The witnesses that the catalog trusts, and how many of them make a checkpoint cosigned."""

    quorum: int
    items: list[WitnessAnswer]


@router.get("/witnesses", responses=documented(403), summary="Who cosigns the log, and how far each has come")
def witnesses(broker: TheBroker, caller: Caller) -> WitnessList:
    """Return every witness with its lag, to operators and auditors."""
    quorum, found = broker.witnesses.standings(caller)
    items = [
        WitnessAnswer(
            name=each.name,
            url=each.url,
            size=each.size,
            at=None if each.at is None else spell(each.at),
            behind=each.behind,
            trouble=each.trouble,
        )
        for each in found
    ]
    return WitnessList(quorum=quorum, items=items)
