"""The command line in a pipeline: each command shows a fresh token of the CI's own, and nothing is kept."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import quote

import httpx2

from countersign.cli.client import ANSWER_S, LARGEST_ANSWER, fit_address
from countersign.cli.failures import CommandFailed, Exit

URL_VARIABLE, TOKEN_VARIABLE = "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
AUDIENCE_VARIABLE = "COUNTERSIGN_AUDIENCE"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105 - the name of a kind


def pipeline_token(url: str) -> str | None:
    """Return an access token for the job that this command runs in; None outside a pipeline that can prove itself.

    Raises:
        CommandFailed: the CI gives no token, or the broker does not know the pipeline.
    """
    asked, bearer = os.environ.get(URL_VARIABLE), os.environ.get(TOKEN_VARIABLE)
    if not asked or not bearer:
        return None
    audience = os.environ.get(AUDIENCE_VARIABLE) or url
    where = f"{asked}{'&' if '?' in asked else '?'}audience={quote(audience, safe='')}"
    fit_address(asked.partition("?")[0], what=URL_VARIABLE)
    with httpx2.Client(timeout=ANSWER_S, follow_redirects=False) as client:
        made = _object(client, "GET", where, "the CI", headers={"Authorization": f"bearer {bearer}"})
        form = {"grant_type": EXCHANGE, "subject_token": str(made.get("value")), "subject_token_type": ID_TOKEN}
        told = _object(client, "POST", f"{url}/v1/token", "the broker", data=form)
    token = told.get("access_token")
    if not isinstance(token, str):
        raise _failed("the broker gave no access token")
    return token


def _object(client: httpx2.Client, method: str, url: str, who: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - as the client takes it
    try:
        answer = client.request(method, url, **more)
        said = answer.json() if len(answer.content) <= LARGEST_ANSWER else None
    except (httpx2.HTTPError, ValueError) as error:
        raise CommandFailed(
            f"{who} cannot be asked for a token ({type(error).__name__})", exit_code=Exit.AWAY, code="unreachable"
        ) from None
    if not answer.is_success or not isinstance(said, dict):
        told = said if isinstance(said, dict) else {}
        raise _failed(str(told.get("error_description") or f"{who} answered {answer.status_code}"), told)
    return said


def _failed(detail: str, told: dict[str, Any] | None = None) -> CommandFailed:
    said = {name: value for name, value in (told or {}).items() if isinstance(value, str)}
    return CommandFailed(
        detail,
        exit_code=Exit.NOT_SIGNED_IN,
        code=said.get("code", "unauthenticated"),
        rule=said.get("rule"),
        hint=said.get("next", "docs/pipelines.md says how a pipeline is made known"),
    )
