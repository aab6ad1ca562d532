"""What callers send: exact types, no other keys. What the values mean is judged by the service."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Path, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from countersign.domain.canonical import LARGEST_EXACT_INTEGER
from countersign.domain.entitlement import LONGEST_PARAMETER
from countersign.domain.passkey import LONGEST_PART, Assertion, NotASignature
from countersign.domain.refusals import Invalid
from countersign.service.office import LONGEST_TEXT

NAME = r"^[a-z0-9][a-z0-9_.-]{0,62}$"
INCIDENT = r"^[A-Za-z0-9][A-Za-z0-9._-]{1,39}$"
MOST_AT_ONCE = 200
USUALLY = 50

Name = Annotated[str, Field(pattern=NAME)]
Base64Url = Annotated[str, Field(pattern="^[A-Za-z0-9_-]+$", max_length=LONGEST_PART)]
Text = Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)]


class Body(BaseModel):
    """A body: strict, closed, never changed, and silent about its input when it does not fit."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


class EmergencyBody(Body):
    """That it is an emergency: the incident that it belongs to, and whether it is only practised."""

    incident: Annotated[str, Field(pattern=INCIDENT)]
    drill: bool = False


class AskBody(Body):
    """May I have this entitlement, with these parameters, for this long, because of this reason."""

    entitlement: Name
    parameters: dict[Name, Annotated[str, Field(max_length=LONGEST_PARAMETER)]]
    duration_s: int = Field(ge=1, le=LARGEST_EXACT_INTEGER, description="whole seconds")
    reason: Text
    ticket: Text | None = None
    emergency: EmergencyBody | None = None


class AssertionBody(Body):
    """A passkey's signature, as the browser gives it; all but `passkey` in base64url."""

    passkey: Annotated[str, Field(pattern="^psk_[a-z2-7]{16}$")]
    client_data: Base64Url
    authenticator_data: Base64Url
    signature: Base64Url

    def meaning(self) -> Assertion:
        """Return it as a value.

        Raises:
            Invalid: naming `signature`; loose bits at the end of a part.
        """
        try:
            return Assertion.read(self.model_dump())
        except NotASignature as error:
            raise Invalid(str(error), field="signature") from error


class CounterBody(Body):
    """What less a reviewer who denies would see asked: a shorter time, earlier values of ordered parameters, or both."""

    parameters: dict[Name, Annotated[str, Field(max_length=LONGEST_PARAMETER)]] = Field(default_factory=dict)
    duration_s: int | None = Field(default=None, ge=1, le=LARGEST_EXACT_INTEGER, description="whole seconds")


class ReviewBody(Body):
    """One person's word on exactly the digest that was shown; signed where the entitlement asks for it.

    `counter` goes with a denial.
    """

    decision: Literal["approve", "deny"]
    digest: str = Field(min_length=1, max_length=128)
    comment: Text | None = None
    counter: CounterBody | None = None
    signature: AssertionBody | None = None


class ReasonBody(Body):
    """Why access is taken away."""

    reason: Text


class StopBody(Body):
    """What is stopped, and why. `id` names the person, entitlement or provider; a stop of all takes none."""

    scope: Literal["all", "person", "entitlement", "provider"]
    id: Name | None = None
    reason: Text


class LockBody(Body):
    """What is locked, until when and why; `revoke` ends what lives as well."""

    scope: Literal["person", "entitlement", "provider"]
    id: Name
    until: Annotated[str, Field(min_length=24, max_length=24, json_schema_extra={"format": "date-time"})]
    reason: Text
    revoke: bool = False


def _decimal(text: object) -> object:
    """Let only plain digits pass: pydantic would also read signs, blanks and underscores."""
    if isinstance(text, str) and not text.isdigit():
        raise ValueError("a whole number in plain digits is expected")
    return text


RequestId = Annotated[str, Path(pattern="^req_[a-z2-7]{16}$")]
GrantId = Annotated[str, Path(pattern="^grt_[a-z2-7]{16}$")]
LeaseId = Annotated[str, Path(pattern="^lse_[a-z2-7]{16}$")]
StopId = Annotated[str, Path(pattern="^stp_[a-z2-7]{16}$")]
PersonId = Annotated[str, Path(pattern=NAME)]

Limit = Annotated[int, BeforeValidator(_decimal), Query(ge=1, le=MOST_AT_ONCE, description="at most so many items")]
After = Annotated[str | None, Query(max_length=63, pattern=NAME, description="`next` of the page before")]
AfterEntry = Annotated[
    int | None,
    BeforeValidator(_decimal),
    Query(ge=0, le=LARGEST_EXACT_INTEGER, description="`next` of the page before"),
]
Subject = Annotated[str | None, Query(pattern="^(req|grt|lse)_[a-z2-7]{16}$", description="only entries about this")]
