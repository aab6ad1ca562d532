"""What callers get: the service's values in the shapes of the contract. Times are text, durations whole seconds."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from countersign.domain.entitlement import Entitlement
from countersign.domain.grant import Grant
from countersign.domain.lease import Lease
from countersign.domain.request import Sealed
from countersign.domain.timestamps import EXAMPLE, spell
from countersign.providers.base import Credential
from countersign.service.control import Ended
from countersign.service.questions import RequestView
from countersign.store import Stop

Item = TypeVar("Item")
Found = TypeVar("Found")

Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=[EXAMPLE])]


def _absent() -> Any:  # noqa: ANN401 - stands for the default of a field of any type
    """Return a field that is left out of the answer when there is nothing to say."""
    return Field(default=None, exclude_if=lambda value: value is None)


class Answer(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


class Page(Answer, Generic[Item]):
    """A page of a list. `next` goes into `after` of the next call; null at the end."""

    items: list[Item]
    next: str | None


class FactorAnswer(Answer):
    """One demand of the review rule, and how far it is filled."""

    group: str
    count: int
    have: int


class ReviewAnswer(Answer):
    """One person's word."""

    person: str
    decision: Literal["approve", "deny"]
    at: Moment


class OpeningAnswer(Answer):
    """What opens a commitment: `sha256(salt ‖ text)`, the salt in hex."""

    salt: str
    text: str


class PreviewAnswer(Answer):
    """What a request would give, in exact privileges, and what of it could outlive `not_after`."""

    privileges: list[str]
    residual: list[str]


class RequestAnswer(Answer):
    """A request. Its digest is recomputed from `statement`, whose commitments `openings` opens."""

    id: str
    digest: str
    state: str
    lapses_at: Moment
    latest_end: Moment | None = Field(
        description="the latest second at which access under it could still exist; null once it can lead to nothing"
    )
    review: list[FactorAnswer]
    grant_id: str | None = _absent()
    entitlement: str
    person: str
    parameters: dict[str, str]
    duration_s: int
    reason: str
    ticket: str | None = _absent()
    submitted_at: Moment
    statement: dict[str, Any]
    openings: dict[str, OpeningAnswer]
    reviews: list[ReviewAnswer]
    may_review: list[str]
    preview: PreviewAnswer | None = Field(description="null when the rule has changed since")


class LeaseAnswer(Answer):
    """A lease: never a secret, nor the handle that ends it."""

    id: str
    grant_id: str
    request_id: str
    person: str
    entitlement: str
    provider: str
    target: str
    state: str
    generation: int
    prepared_at: Moment
    not_after: Moment
    backstop_at: Moment
    cause: str | None = _absent()
    asked_at: Moment | None = _absent()
    written_at: Moment | None = _absent()
    dead_at: Moment | None = _absent()
    evidence: str | None = _absent()
    overdue: bool


class GrantAnswer(Answer):
    """A grant and its leases. `not_after` stands from the first draw on."""

    id: str
    request_id: str
    digest: str
    person: str
    entitlement: str
    target: str
    state: str
    duration_s: int
    draws: int
    draws_used: int
    opened_at: Moment
    draw_by: Moment
    not_after: Moment | None = _absent()
    leases: list[LeaseAnswer]


class DrawnLease(Answer):
    """The lease of a draw."""

    id: str
    grant_id: str
    state: str
    not_after: Moment


class CredentialAnswer(Answer):
    """The credential: its kind, and the fields of that kind. Handed over once and kept nowhere."""

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True)

    kind: Literal["postgresql", "aws", "openbao-token", "wrapped"]


class DrawAnswer(Answer):
    """What a draw gives."""

    lease: DrawnLease
    credential: CredentialAnswer


class ParameterAnswer(Answer):
    """What a request may say for a parameter: one of `values`, or what `pattern` matches as a whole."""

    values: list[str]
    pattern: str | None = _absent()
    default: str | None = _absent()


class EntitlementAnswer(Answer):
    """A catalog item, with whether the caller may request it and the digest of its rule."""

    id: str
    description: str
    owner: str
    environment: str
    provider: str
    target: dict[str, str]
    parameters: dict[str, ParameterAnswer]
    min_duration_s: int
    max_duration_s: int
    review_ttl_s: int
    draw_ttl_s: int
    draws: int
    backstop_s: int
    delivery: str
    review: list[dict[str, str | int]]
    requesters: list[str] | None = _absent()
    caps: dict[str, int]
    rule: str
    may_request: bool


class EntryAnswer(Answer):
    """An entry of the log: `leaf` in base64 is what was hashed to `leaf_hash` (hex), `data` what it says."""

    index: int
    at: Moment
    type: str
    actor: str
    subject: str
    data: dict[str, Any]
    leaf: str
    leaf_hash: str
    openings: dict[str, OpeningAnswer]


class EntryPage(Answer):
    """A page of the log. `next` goes into `after` of the next call; null at the end."""

    items: list[EntryAnswer]
    next: int | None


class StopAnswer(Answer):
    """A stop in force."""

    id: str
    scope: str
    target: str | None = _absent()
    placed_by: str
    placed_at: Moment


class EndedAnswer(Answer):
    """What a stop or a disablement ended."""

    stop: StopAnswer | None = _absent()
    grants_revoked: int
    requests_ended: int


class MeAnswer(Answer):
    """Who the caller is."""

    principal: str
    person: str
    human: bool
    groups: list[str]
    roles: list[str]


class TokenAnswer(Answer):
    """The caller's new token; those before are withdrawn. It is shown this once."""

    token: str


def page(
    found: Sequence[Found], limit: int, shape: Callable[[Found], Item], name: Callable[[Found], str]
) -> Page[Item]:
    """Return the first `limit` of what was found; one more than that was asked for, to know whether there is more."""
    shown = found[:limit]
    return Page(items=[shape(each) for each in shown], next=name(shown[-1]) if len(found) > limit else None)


def _spelled(moment: datetime | None) -> str | None:
    return None if moment is None else spell(moment)


def _opening(sealed: Sealed) -> OpeningAnswer:
    return OpeningAnswer(salt=sealed.salt.hex(), text=sealed.text)


def request_answer(view: RequestView) -> RequestAnswer:
    """Return a request as its parties see it."""
    request, quorum, preview = view.request, view.quorum, view.preview
    sealed = {"reason": request.reason} | ({} if request.ticket is None else {"ticket": request.ticket})
    return RequestAnswer(
        id=request.id,
        digest=request.digest,
        state=request.state.value,
        lapses_at=spell(request.lapses_at),
        latest_end=_spelled(view.latest_end),
        review=[FactorAnswer(group=f.group, count=f.count, have=f.have) for f in (quorum.factors if quorum else ())],
        grant_id=None if view.grant is None else view.grant.id,
        entitlement=request.entitlement,
        person=request.person,
        parameters=dict(request.parameters),
        duration_s=int(request.duration.total_seconds()),
        reason=request.reason.text,
        ticket=None if request.ticket is None else request.ticket.text,
        submitted_at=spell(request.submitted_at),
        statement=request.statement(),
        openings={name: _opening(text) for name, text in sealed.items()},
        reviews=[ReviewAnswer(person=r.person, decision=r.decision.value, at=spell(r.at)) for r in view.reviews],
        may_review=list(view.may_review),
        preview=PreviewAnswer(privileges=list(preview.privileges), residual=list(preview.residual))
        if preview
        else None,
    )


def lease_answer(lease: Lease) -> LeaseAnswer:
    """Return a lease."""
    return LeaseAnswer(
        id=lease.id,
        grant_id=lease.grant_id,
        request_id=lease.request_id,
        person=lease.person,
        entitlement=lease.entitlement,
        provider=lease.provider,
        target=lease.target["id"],
        state=lease.state.value,
        generation=lease.generation,
        prepared_at=spell(lease.prepared_at),
        not_after=spell(lease.not_after),
        backstop_at=spell(lease.backstop_at),
        cause=None if lease.cause is None else lease.cause.value,
        asked_at=_spelled(lease.asked_at),
        written_at=_spelled(lease.written_at),
        dead_at=_spelled(lease.dead_at),
        evidence=None if lease.evidence is None else lease.evidence.value,
        overdue=lease.overdue,
    )


def grant_answer(found: tuple[Grant, Sequence[Lease]]) -> GrantAnswer:
    """Return a grant with its leases."""
    grant, leases = found
    return GrantAnswer(
        id=grant.id,
        request_id=grant.request_id,
        digest=grant.request_digest,
        person=grant.person,
        entitlement=grant.entitlement,
        target=grant.target,
        state=grant.state.value,
        duration_s=int(grant.duration.total_seconds()),
        draws=grant.draws,
        draws_used=grant.draws_used,
        opened_at=spell(grant.opened_at),
        draw_by=spell(grant.draw_by),
        not_after=_spelled(grant.not_after),
        leases=[lease_answer(lease) for lease in leases],
    )


def draw_document(lease: Lease, credential: Credential) -> dict[str, Any]:
    """Return what a draw gives, as plain JSON: no model of ours holds the secret, lest an error shows it."""
    return {
        "lease": {
            "id": lease.id,
            "grant_id": lease.grant_id,
            "state": lease.state.value,
            "not_after": spell(lease.not_after),
        },
        "credential": {**credential.fields, "kind": credential.kind},
    }


def entitlement_answer(found: tuple[Entitlement, bool]) -> EntitlementAnswer:
    """Return a catalog item: what asking and reviewing need, without the target's addresses."""
    entitlement, may_request = found
    document = entitlement.document()
    target = document.pop("target")
    return EntitlementAnswer.model_validate(
        document
        | {
            "target": {"id": target["id"], "kind": target["kind"]},
            "rule": entitlement.rule_digest,
            "may_request": may_request,
        }
    )


def entry_answer(row: Mapping[str, Any]) -> EntryAnswer:
    """Return an entry of the log."""
    leaf = bytes(row["leaf"])
    return EntryAnswer(
        index=row["index"],
        at=spell(row["at"]),
        type=row["type"],
        actor=row["actor"],
        subject=row["subject"],
        data=json.loads(leaf)["data"],
        leaf=base64.b64encode(leaf).decode("ascii"),
        leaf_hash=bytes(row["leaf_hash"]).hex(),
        openings={name: OpeningAnswer(**opening) for name, opening in row["openings"].items()},
    )


def stop_answer(stop: Stop) -> StopAnswer:
    """Return a stop."""
    return StopAnswer(
        id=stop.id, scope=stop.scope, target=stop.target, placed_by=stop.placed_by, placed_at=spell(stop.placed_at)
    )


def ended_answer(ended: Ended) -> EndedAnswer:
    """Return what was ended."""
    return EndedAnswer(
        stop=None if ended.stop is None else stop_answer(ended.stop),
        grants_revoked=ended.grants,
        requests_ended=ended.requests,
    )
