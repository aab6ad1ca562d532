"""The token exchange of pipelines (RFC 8693): a form in, and the RFC's own answers and errors out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio.to_thread
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from countersign.api.forms import read_form
from countersign.api.problems import STATUSES
from countersign.api.route import broker_of
from countersign.domain.refusals import Invalid, Refused
from countersign.identity.tokens import LONGEST_TOKEN

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS = "urn:ietf:params:oauth:token-type:access_token"
SUBJECTS = frozenset({"urn:ietf:params:oauth:token-type:id_token", "urn:ietf:params:oauth:token-type:jwt"})
KNOWN = frozenset(
    {"grant_type", "subject_token", "subject_token_type", "requested_token_type", "audience", "resource", "scope"}
)
ERRORS: Mapping[str, str] = {
    "identity-refused": "invalid_grant",
    "identity-away": "temporarily_unavailable",
    "log-unavailable": "temporarily_unavailable",
}
"""RFC 6749's words for our codes; whatever else is wrong is an invalid request."""
BAD_REQUEST, FIRST_FAULT = 400, 500

router = APIRouter(prefix="/v1", tags=["sign-in"], include_in_schema=False)


@router.post("/token")
async def exchange(request: Request) -> JSONResponse:
    """Exchange a pipeline's ID token for a short access token."""
    request.state.route = "/v1/token"
    try:
        token = _subject(await read_form(request))
        tokens = await anyio.to_thread.run_sync(broker_of(request).pipelines.exchange, token)
    except Refused as refused:
        return _error(refused)
    answer = {
        "access_token": tokens.access,
        "issued_token_type": ACCESS,
        "token_type": "Bearer",
        "expires_in": int(tokens.access_lasts.total_seconds()),
    }
    return JSONResponse(answer, headers={"Cache-Control": "no-store"})


def _subject(form: Mapping[str, str]) -> str:
    """Return the token to be exchanged.

    Raises:
        Invalid: naming the field.
    """
    for name in form.keys() - KNOWN:
        raise Invalid("an unknown field; actors and delegation are not known here", field=name[:40])
    if form.get("grant_type") != EXCHANGE:
        raise Invalid(f"grant_type is {EXCHANGE}", field="grant_type")
    if form.get("subject_token_type") not in SUBJECTS:
        raise Invalid(f"subject_token_type is one of {', '.join(sorted(SUBJECTS))}", field="subject_token_type")
    if form.get("requested_token_type", ACCESS) != ACCESS:
        raise Invalid(f"requested_token_type is {ACCESS}", field="requested_token_type")
    token = form.get("subject_token", "")
    if not 0 < len(token) <= LONGEST_TOKEN or not token.isascii():
        raise Invalid("subject_token is a signed token", field="subject_token")
    return token


def _error(refused: Refused) -> JSONResponse:
    status = STATUSES[refused.code][0]
    body: dict[str, Any] = {
        "error": ERRORS.get(refused.code, "invalid_request"),
        "error_description": refused.detail,
        "code": refused.code,
    }
    if refused.rule is not None:
        body["rule"] = refused.rule
    if refused.hint is not None:
        body["next"] = refused.hint
    return JSONResponse(
        body, status_code=status if status >= FIRST_FAULT else BAD_REQUEST, headers={"Cache-Control": "no-store"}
    )
