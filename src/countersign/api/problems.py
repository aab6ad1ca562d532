"""The one place that knows HTTP statuses: every refusal's code as a status and a problem document (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from countersign.domain.refusals import Invalid, NotFound, Refused

MEDIA_TYPE = "application/problem+json"
TYPE = "urn:countersign:problem:"
LONGEST_FIELD = 80
OUR_WORDS: Mapping[str, str] = {
    "string_too_short": "must say something",
    "missing": "is missing",
    "extra_forbidden": "is not known here",
}
"""What to say for pydantic's error types that speak of Python."""


class MethodNotAllowed(Refused):
    """The resource does not know the method."""

    code = "method-not-allowed"


class UnsupportedMediaType(Refused):
    """A body that is not said to be plain JSON."""

    code = "unsupported-media-type"


class TooSlow(Refused):
    """A body that does not arrive in time."""

    code = "too-slow"


class WrongHost(Refused):
    """A request for a host that is not this one; a page in a browser may have been made to send it."""

    code = "wrong-host"


class Internal(Refused):
    """A fault that nobody foresaw; what it was stands in the broker's own log under the incident."""

    code = "internal"


STATUSES: Mapping[str, tuple[int, str]] = {
    "invalid": (422, "The input is not allowed"),
    "unauthenticated": (401, "Not signed in"),
    "identity-refused": (401, "That proves nobody here"),
    "cross-site": (403, "Another site sent it"),
    "second-factor-missing": (403, "Signed in too weakly for it"),
    "self-review": (403, "Nobody reviews his own request"),
    "not-eligible": (403, "Not among those whom the rule names"),
    "not-permitted": (403, "Not among the verbs of the caller's roles"),
    "not-yours": (403, "It belongs to someone else"),
    "not-found": (404, "There is no such thing"),
    "method-not-allowed": (405, "The resource does not know this method"),
    "too-slow": (408, "The body did not arrive in time"),
    "signature-required": (403, "It must be signed with a passkey"),
    "order-required": (403, "A draw must be ordered by the requester's own device"),
    "order-void": (403, "The order is not the requester's own word, here and now"),
    "approval-unsigned": (409, "Only signed approvals count here"),
    "bad-signature": (403, "The signature does not count"),
    "cloned-authenticator": (403, "The authenticator may be a copy"),
    "wrong-digest": (409, "That is not the digest of the request"),
    "already-reviewed": (409, "Reviewed before"),
    "retention-holds": (409, "It is kept"),
    "wrong-state": (409, "It is past that"),
    "draws-exhausted": (409, "All draws are used"),
    "rule-changed": (409, "The rule has changed since"),
    "approval-void": (409, "The approvals no longer suffice"),
    "review-outstanding": (409, "An earlier break-glass is not reviewed yet"),
    "already-delivered": (409, "The secret was handed over before"),
    "idempotency-key-reused": (409, "The key was used for something else"),
    "conflict": (409, "Someone else was faster"),
    "window-over": (410, "Its time is over"),
    "too-large": (413, "The input is too large"),
    "unsupported-media-type": (415, "The body must be JSON"),
    "wrong-host": (421, "This is not the host that was asked for"),
    "nobody-can-approve": (422, "Nobody could approve it"),
    "limit": (429, "A cap is reached"),
    "internal": (500, "Something failed in a way nobody foresaw"),
    "provider-refused": (502, "The provider said no"),
    "identity-away": (503, "The identity issuer does not serve"),
    "provider-away": (503, "The provider does not serve"),
    "not-cosigned": (503, "The witnesses do not vouch"),
    "stopped": (503, "Access is stopped"),
    "log-rewound": (503, "The log is not what it was"),
    "rules-forged": (503, "The rules in the database are not those that were signed"),
    "rules-unsigned": (503, "Rules that nobody signed issue nothing here"),
    "issuer-away": (503, "The half that issues does not answer"),
    "log-unavailable": (503, "The log cannot be written"),
}

HEADERS: Mapping[str, Mapping[str, str]] = {
    "unauthenticated": {"WWW-Authenticate": 'Bearer realm="countersign"'},
    "too-large": {"Connection": "close"},  # the rest of such a body is not waited for
    "too-slow": {"Connection": "close"},
    "provider-away": {"Retry-After": "5"},
    "identity-away": {"Retry-After": "5"},
    "not-cosigned": {"Retry-After": "5"},
    "issuer-away": {"Retry-After": "5"},
    "log-unavailable": {"Retry-After": "1"},
}


class Problem(BaseModel):
    """Why not: the code to act on, a sentence for a person, the rule that refused and what to do next."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(description="`urn:countersign:problem:` and the code")
    title: str
    status: int
    detail: str
    code: str = Field(description="stable; clients act on it", json_schema_extra={"enum": list(STATUSES)})
    rule: str | None = Field(default=None, description="the rule that refused")
    next: str | None = Field(default=None, description="what the caller can do next")
    field: str | None = Field(default=None, description="the part of the input at fault, with dots")
    incident: str | None = Field(default=None, description="under which the operator finds it in the broker's log")


def problem(refused: Refused, *, incident: str | None = None, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return a refusal as an answer."""
    status, title = STATUSES[refused.code]
    body = Problem(
        type=TYPE + refused.code,
        title=title,
        status=status,
        detail=refused.detail,
        code=refused.code,
        rule=refused.rule,
        next=refused.hint,
        field=refused.field,
        incident=incident,
    )
    return JSONResponse(
        body.model_dump(exclude_none=True),
        status_code=status,
        headers={**HEADERS.get(refused.code, {}), **(headers or {})},
        media_type=MEDIA_TYPE,
    )


def shown(text: str, *, longest: int = LONGEST_FIELD) -> str:
    """Return what a caller sent as it may be named back to him: short, and in plain ASCII."""
    return text[:longest].encode("unicode_escape").decode("ascii")[:longest]


def refusal_of(errors: Sequence[Mapping[str, Any]]) -> Refused:
    """Return what pydantic found as a refusal that names the first field at fault and echoes no value."""
    first = errors[0]
    place, *path = first["loc"]
    if place == "path":
        return NotFound("there is nothing at this address for you")
    name = shown(".".join(str(part) for part in path) or str(place))
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    said = OUR_WORDS.get(first["type"], first["msg"])
    if first["type"] == "string_pattern_mismatch":
        said = f"must have the form {first['ctx']['pattern']}"
    return Invalid(f"{name}: {said}{more}", field=name)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what a call's description says of its problems: these statuses and those that every call can have."""
    described: dict[int | str, dict[str, Any]] = {}
    for status in sorted({401, 421, 422, 500, 503, *statuses}):
        codes = ", ".join(f"`{code}`" for code, (its, _) in STATUSES.items() if its == status)
        described[status] = {
            "description": codes,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    return described


def install(app: FastAPI) -> None:
    """Let the application answer every refusal as a problem."""

    async def refused(request: Request, error: Exception) -> JSONResponse:
        del request
        return problem(error if isinstance(error, Refused) else Internal(""))

    async def malformed(request: Request, error: Exception) -> JSONResponse:
        del request
        return problem(refusal_of(error.errors()) if isinstance(error, RequestValidationError) else Internal(""))

    async def unrouted(request: Request, error: Exception) -> JSONResponse:
        if isinstance(error, HTTPException) and error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            known = app.openapi()["paths"].get(getattr(request.scope.get("route"), "path", None), {})
            allowed = ", ".join(sorted(method.upper() for method in known))
            return problem(
                MethodNotAllowed(f"this resource knows {allowed}"), headers={"Allow": allowed} if allowed else None
            )
        return problem(NotFound("there is nothing at this address"))

    app.add_exception_handler(Refused, refused)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(HTTPException, unrouted)
