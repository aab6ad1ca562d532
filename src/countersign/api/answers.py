"""What callers get, in the shapes of the contract. Times are text, durations whole seconds."""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from countersign.domain.timestamps import EXAMPLE

Item = TypeVar("Item")

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
    comment: str | None = None
    passkey: str | None = _absent()


class CounterAnswer(Answer):
    """What the person who denied would rather see asked, and the request that took it up."""

    person: str
    parameters: dict[str, str]
    duration_s: int
    taken_up_by: str | None = _absent()


class OpeningAnswer(Answer):
    """What opens a commitment: `sha256(salt ‖ text)`, the salt in hex."""

    salt: str
    text: str


class PreviewAnswer(Answer):
    """What a request would give, in exact privileges, what of it could outlive `not_after`, and what is wider than it looks."""

    privileges: list[str]
    residual: list[str]
    dangers: list[str]


class EmergencyAnswer(Answer):
    """The mark of a break-glass request, as the statement holds it."""

    incident: str
    drill: bool
    envelope: str | None


class RequestAnswer(Answer):
    """A request. Its digest is recomputed from `statement`, whose commitments `openings` opens."""

    id: str
    digest: str
    fingerprint: str = Field(description="the digest's short form, the same in every channel")
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
    emergency: EmergencyAnswer | None = _absent()
    counters: str | None = Field(
        default=None,
        exclude_if=lambda value: value is None,
        description="the denied request whose counter-proposal this one takes up",
    )
    counter: CounterAnswer | None = _absent()
    signature: Literal["required"] | None = _absent()
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
    idle_s: int | None = _absent()
    last_used_at: Moment | None = _absent()


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

    kind: Literal["postgresql", "aws", "openbao-token", "wrapped", "sealed"]


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
    break_glass: dict[str, Any] | None = _absent()
    rules: list[dict[str, Any]] | None = Field(
        default=None,
        exclude_if=lambda value: value is None,
        description="where several rules hold: each of them; `review` is the strictest of all",
    )
    idle_s: int | None = _absent()
    signature: Literal["required"] | None = _absent()
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
    until: Moment | None = _absent()
    lift_asked_by: str | None = _absent()


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
