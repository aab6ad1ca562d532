"""The command line as somebody signed in: his access token, renewed when it is about to end."""

from __future__ import annotations

import base64
import hashlib
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from countersign.cli.client import Client
from countersign.cli.failures import CommandFailed, Exit
from countersign.cli.keeping import Kept, alone, forget, load, save
from countersign.cli.output import text_of

SECRET_BYTES = 32
SPARE_S = 30.0
"""An access token is not used in its last seconds: a call takes some, and clocks differ."""


def access_token(url: str) -> str | None:
    """Return the access token of who is signed in at a broker; None if nobody is.

    Raises:
        CommandFailed: the session is over, or the broker cannot be reached.
    """
    kept = load(url)
    if kept is None:
        return None
    if time.time() < kept.access_until - SPARE_S:
        return kept.access_token
    with alone(url):
        kept = load(url)
        if kept is None:
            return None
        if time.time() < kept.access_until - SPARE_S:
            return kept.access_token
        return _renewed(kept).access_token


def _renewed(kept: Kept) -> Kept:
    """Exchange the refresh token, whose successor is made and kept here first: a lost answer is then asked for again."""
    following = kept.next_refresh_token or _new_refresh_token()
    save(replace(kept, next_refresh_token=following))
    body = {"refresh_token": kept.refresh_token, "next": hashlib.sha256(following.encode("ascii")).hexdigest()}
    try:
        told = Client(url=kept.url, token="").post("/sign-in/refresh", body)
    except CommandFailed as failed:
        if failed.exit_code is not Exit.NOT_SIGNED_IN:
            raise
        forget(kept.url)
        raise CommandFailed(
            "the session is over", exit_code=Exit.NOT_SIGNED_IN, code="unauthenticated", hint="countersign login"
        ) from None
    fresh = replace(kept, **secrets_in({**told, "refresh_token": following}), next_refresh_token=None)
    save(fresh)
    return fresh


def _new_refresh_token() -> str:
    return "csr_" + base64.b32encode(os.urandom(SECRET_BYTES)).decode("ascii").lower().rstrip("=")


def secrets_in(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the broker's answer says of a session's secrets, as it is kept.

    Raises:
        CommandFailed: it says something else.
    """
    lasts = told.get("expires_in")
    if not isinstance(lasts, int):
        raise CommandFailed("the broker's answer holds no expires_in", code="strange-answer", hint="compare versions")
    return {
        "access_token": text_of(told, "access_token"),
        "access_until": time.time() + lasts,
        "refresh_token": text_of(told, "refresh_token"),
        "ends_at": text_of(told, "ends_at"),
    }
