"""What was done under a grant: the records of targets and providers, beside what was granted and what is missing."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path

from countersign.api.answers import Answer, LeaseAnswer, Moment
from countersign.api.problems import documented
from countersign.api.rendering import lease_answer
from countersign.api.route import Caller, TheBroker, guarded_router
from countersign.domain.records import Use
from countersign.domain.timestamps import spell
from countersign.service.done import Done, Told

router = guarded_router("audit")

AskedGrant = Annotated[str, Path(pattern="^grt_[a-z2-7]{16}$", description="a grant's id")]


class UseAnswer(Answer):
    """Alike acts of one lease together, as `source` tells them. `outside` is outside of the lease's life."""

    lease: str
    source: str
    act: str
    what: str
    outcome: str
    outside: bool
    count: int
    first_at: Moment
    last_at: Moment


class SourceAnswer(Answer):
    """A source that could tell of it, and how far it was followed; null where it never was."""

    name: str
    declared: bool
    followed_since: Moment | None
    read_at: Moment | None
    silent_since: Moment | None


class DoneAnswer(Answer):
    """What was granted, what was done as far as anybody told, and what is missing; without anything missing, all was told."""

    grant: str
    request: str
    person: str
    entitlement: str
    parameters: dict[str, str]
    privileges: list[str]
    leases: list[LeaseAnswer]
    uses: list[UseAnswer]
    refused: int
    outside: int
    sources: list[SourceAnswer]
    missing: list[str]


@router.get("/audit/questions/done/{grant_id}", responses=documented(403, 404), summary="What was done under a grant")
def done(broker: TheBroker, caller: Caller, grant_id: AskedGrant) -> DoneAnswer:
    """Return the records that declared sources told of a grant's leases. That it was asked is recorded."""
    return _answer(broker.doings.done(caller, grant_id))


def _answer(found: Done) -> DoneAnswer:
    return DoneAnswer(
        grant=found.grant.id,
        request=found.request.id,
        person=found.grant.person,
        entitlement=found.grant.entitlement,
        parameters=dict(found.request.parameters),
        privileges=list(found.privileges),
        leases=[lease_answer(lease) for lease in found.leases],
        uses=[_use(use) for use in found.uses],
        refused=sum(use.count for use in found.refused),
        outside=sum(use.count for use in found.outside),
        sources=[_source(told) for told in found.sources],
        missing=list(found.missing),
    )


def _use(use: Use) -> UseAnswer:
    return UseAnswer(
        lease=use.lease_id,
        source=use.source,
        act=use.act.value,
        what=use.what,
        outcome=use.outcome.value,
        outside=use.outside,
        count=use.count,
        first_at=spell(use.first_at),
        last_at=spell(use.last_at),
    )


def _source(told: Told) -> SourceAnswer:
    state = told.state
    silent = None if state is None else state.silent_since
    return SourceAnswer(
        name=told.name,
        declared=told.declared,
        followed_since=None if state is None else spell(state.since),
        read_at=None if state is None else spell(state.read_at),
        silent_since=None if silent is None else spell(silent),
    )
