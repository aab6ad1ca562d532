"""Questions of auditors about the log: who had what and when, what was late, who could have signed, and what stands out."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import BeforeValidator

from countersign.api.answers import Answer, Moment
from countersign.api.bodies import NAME
from countersign.api.problems import documented
from countersign.api.route import Caller, TheBroker, guarded_router
from countersign.domain.refusals import Invalid
from countersign.domain.timestamps import EXAMPLE, NotATime, read
from countersign.service.inquiries import Held, Reconstruction, Signers

router = guarded_router("audit")

LONGEST_LATENESS_MS = 10**12

TimeText = Annotated[
    str,
    Query(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$",
        examples=[EXAMPLE],
        description=f"a time such as {EXAMPLE}",
    ),
]
AskedName = Annotated[str, Query(pattern=NAME)]
AskedRequest = Annotated[str, Path(pattern="^req_[a-z2-7]{16}$", description="a request's id")]


def _digits(text: object) -> object:
    if isinstance(text, str) and not (text.isascii() and text.isdigit() and len(text) <= len(str(LONGEST_LATENESS_MS))):
        raise ValueError("a whole number in plain digits is expected")
    return text


Milliseconds = Annotated[int, BeforeValidator(_digits), Query(ge=0, le=LONGEST_LATENESS_MS)]


class HeldAnswer(Answer):
    """A lease that somebody had: `since` it may have worked, `until` it was seen dead (null: not yet).

    `entries` are the indexes of the log entries that prove it.
    """

    lease: str
    grant: str | None
    request: str
    person: str
    entitlement: str
    provider: str
    target: str
    approvers: list[str]
    since: Moment
    not_after: Moment
    until: Moment | None
    cause: str | None
    evidence: str | None
    lateness_ms: int | None
    overdue: bool
    entries: list[int]


class HeldList(Answer):
    """Leases that answer a question, oldest request first."""

    items: list[HeldAnswer]


class SigningGroupAnswer(Answer):
    """One demand of the review rule, and who could have signed for it."""

    group: str
    count: int
    persons: list[str]


class SignersAnswer(Answer):
    """Who could approve, by rulebook number `rulebook`, which entry `entry` brought into force.

    `matches_log` says whether the rules' words in the log give the digests that it names, `enough` whether these persons
    could have filled the rule together.
    """

    rulebook: int
    entry: int
    matches_log: bool
    review: list[SigningGroupAnswer]
    enough: bool


class FactAnswer(Answer):
    """A fact, and its place in the log."""

    index: int
    at: Moment
    type: str
    actor: str
    subject: str
    data: dict[str, Any]


class ReconstructionAnswer(Answer):
    """A request as the facts up to a moment tell it, and those facts."""

    request: str
    person: str
    entitlement: str
    digest: str
    statement: dict[str, Any]
    state: str
    approvers: list[str]
    grant: str | None
    grant_state: str | None
    leases: list[HeldAnswer]
    facts: list[FactAnswer]


class FindingAnswer(Answer):
    """Something that stands out, and the entry that shows it."""

    index: int
    code: str
    severity: str
    detail: str


class FindingList(Answer):
    """What stands out, in the order of the entries."""

    items: list[FindingAnswer]


@router.get("/audit/questions/who-had", responses=documented(403), summary="Who had an entitlement at a moment")
def who_had(broker: TheBroker, caller: Caller, entitlement: AskedName, at: TimeText) -> HeldList:
    """Return the leases that may have worked at that moment. That it was asked is recorded, as for all of these."""
    return _held(broker.inquiries.who_had(caller, entitlement, at=moment(at, "at")))


@router.get("/audit/questions/had", responses=documented(403), summary="Everything that a person ever had")
def had(broker: TheBroker, caller: Caller, person: AskedName) -> HeldList:
    """Return every lease of a person."""
    return _held(broker.inquiries.had(caller, person))


@router.get("/audit/questions/late", responses=documented(403), summary="Everything that ended late")
def late(broker: TheBroker, caller: Caller, over_ms: Milliseconds = 0) -> HeldList:
    """Return every lease that was overdue, or died so much later than it should have."""
    return _held(broker.inquiries.late(caller, over=timedelta(milliseconds=over_ms)))


@router.get(
    "/audit/questions/who-could-approve",
    responses=documented(403, 404),
    summary="Who could approve an entitlement at a moment",
)
def who_could_approve(broker: TheBroker, caller: Caller, entitlement: AskedName, on: TimeText) -> SignersAnswer:
    """Return who could have signed, by the rules then in force; whoever asks cannot sign for himself."""
    return _signers(broker.inquiries.who_could_approve(caller, entitlement, on=moment(on, "on")))


@router.get(
    "/audit/questions/reconstruct/{request_id}",
    responses=documented(403, 404),
    summary="A request as it stood at a moment",
)
def reconstruct(broker: TheBroker, caller: Caller, request_id: AskedRequest, at: TimeText) -> ReconstructionAnswer:
    """Return a request as the facts up to then tell it."""
    return _reconstruction(broker.inquiries.reconstruct(caller, request_id, at=moment(at, "at")))


@router.get("/audit/findings", responses=documented(403), summary="What stands out in the log")
def findings(broker: TheBroker, caller: Caller) -> FindingList:
    """Return what the replay of all facts and the detectors find now."""
    found = broker.inquiries.findings(caller)
    items = [FindingAnswer(index=f.index, code=f.code, severity=f.severity.value, detail=f.detail) for f in found]
    return FindingList(items=items)


def moment(text: str, field: str) -> datetime:
    """Return the time that a query spells.

    Raises:
        Invalid: naming `field`.
    """
    try:
        return read(text)
    except NotATime as error:
        raise Invalid(str(error), field=field) from error


def _held(found: list[Held]) -> HeldList:
    return HeldList(items=[_one(each) for each in found])


def _one(held: Held) -> HeldAnswer:
    story, lease = held.story, held.lease
    return HeldAnswer(
        lease=lease.id,
        grant=story.grant,
        request=story.request,
        person=story.person,
        entitlement=story.entitlement,
        provider=lease.provider,
        target=lease.target,
        approvers=list(lease.approvers),
        since=lease.since or lease.prepared_at,
        not_after=lease.not_after,
        until=held.until,
        cause=lease.cause,
        evidence=lease.evidence,
        lateness_ms=lease.lateness_ms,
        overdue=lease.overdue,
        entries=held.entries,
    )


def _signers(found: Signers) -> SignersAnswer:
    return SignersAnswer(
        rulebook=found.rulebook,
        entry=found.entry,
        matches_log=found.matches_log,
        review=[SigningGroupAnswer(group=g, count=c, persons=list(p)) for g, c, p in found.groups],
        enough=found.enough,
    )


def _reconstruction(found: Reconstruction) -> ReconstructionAnswer:
    story = found.story
    return ReconstructionAnswer(
        request=story.request,
        person=story.person,
        entitlement=story.entitlement,
        digest=story.digest,
        statement=dict(story.statement),
        state=story.state,
        approvers=story.approvers,
        grant=story.grant,
        grant_state=story.grant_state,
        leases=[_one(Held(story=story, lease=lease)) for lease in story.leases.values()],
        facts=[
            FactAnswer(index=index, **{name: fact[name] for name in ("at", "type", "actor", "subject", "data")})
            for index, fact in found.facts
        ],
    )
