"""How far whoever follows the log has come."""

from __future__ import annotations

from countersign.api.answers import Answer, Moment
from countersign.api.problems import documented
from countersign.api.route import Caller, TheBroker, guarded_router
from countersign.domain.timestamps import spell
from countersign.service.followers import Lag

router = guarded_router("audit")


class FollowerAnswer(Answer):
    """A follower of the log: `next` is the first entry that it has not handled, of a log of `size` entries.

    `behind_s` is how long that entry has waited. `failures` counts the tries in a row that went wrong, with the last `error`.
    `attended` says whether the process that answers follows with it; another replica may.
    """

    name: str
    next: int
    size: int
    behind: int
    behind_s: float
    updated_at: Moment
    failures: int
    failing_since: Moment | None
    retry_at: Moment | None
    error: str | None
    attended: bool
    alarming: bool


class FollowerList(Answer):
    """All followers that there ever were, by name."""

    items: list[FollowerAnswer]


@router.get("/followers", responses=documented(403), summary="Who follows the log, and how far each has come")
def followers(broker: TheBroker, caller: Caller) -> FollowerList:
    """Return every follower with its lag, to operators and auditors."""
    return FollowerList(items=[_answer(lag) for lag in broker.followers.lags(caller)])


def _answer(lag: Lag) -> FollowerAnswer:
    return FollowerAnswer(
        name=lag.name,
        next=lag.next,
        size=lag.size,
        behind=lag.behind,
        behind_s=round(lag.behind_s, 3),
        updated_at=spell(lag.updated_at),
        failures=lag.failures,
        failing_since=spell(lag.failing_since) if lag.failing_since else None,
        retry_at=spell(lag.retry_at) if lag.retry_at else None,
        error=lag.error,
        attended=lag.attended,
        alarming=lag.alarming,
    )
