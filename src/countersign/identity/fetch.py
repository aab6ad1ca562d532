"""Fetching JSON from an identity issuer: bounded in size, in time and in number, and never redirected."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import httpx2

from countersign.domain.signin_refusals import IdentityAway

LARGEST_ANSWER = 256 * 1024
WITHIN_S = 5.0
"""For a whole answer; a server that sends one byte at a time does not get longer."""
AT_ONCE = 8
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_HINT = "try again; if it stays so, the identity provider is down: see docs/sign-in.md"


class Twice(ValueError):
    """An object names a key twice, so two readers could read it differently."""


def strict_json(raw: bytes) -> Any:  # noqa: ANN401 - JSON of any shape; the caller judges it
    """Return what JSON says.

    Raises:
        ValueError: it is none, has a key twice, or holds NaN or infinity.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise Twice("a key stands twice")
        return found

    def refuse(text: str) -> float:
        raise ValueError(f"{text} is no JSON")

    try:
        return json.loads(raw.decode("utf-8"), object_pairs_hook=once, parse_constant=refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None


@dataclass(frozen=True, kw_only=True)
class Fetcher:
    """Asks one issuer; at most `AT_ONCE` calls at a time, so that a slow one does not take the broker's threads.

    Attributes:
        name: the issuer's id, for messages.
        within_s: seconds for a whole answer.
    """

    name: str
    within_s: float = WITHIN_S
    _slots: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(AT_ONCE), repr=False)

    def get(self, url: str, *, bearer: str | None = None) -> dict[str, Any]:
        """Return the object at an address.

        Raises:
            IdentityAway: there is none to be had.
        """
        headers = {"Accept": "application/json"} | ({} if bearer is None else {"Authorization": f"Bearer {bearer}"})
        status, body = self._call("GET", url, headers=headers)
        if status != httpx2.codes.OK:
            raise self._away(f"answers {status}")
        return body

    def post(
        self, url: str, form: Mapping[str, str], *, basic: tuple[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Send a form and return the status and the object that came back.

        Raises:
            IdentityAway: none came back.
        """
        return self._call("POST", url, form=form, basic=basic)

    def _call(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        basic: tuple[str, str] | None = None,
    ) -> tuple[int, dict[str, Any]]:
        with self._slot():
            try:
                status, raw = self._read(method, url, headers=headers, form=form, basic=basic)
            except httpx2.TimeoutException:
                raise self._away(f"did not answer within {self.within_s:g} s") from None
            except (httpx2.HTTPError, httpx2.InvalidURL):
                raise self._away("cannot be reached") from None
        try:
            body = strict_json(raw)
        except ValueError:
            raise self._away(f"answers {status} with what is no JSON") from None
        if not isinstance(body, dict):
            raise self._away(f"answers {status} with JSON that is no object")
        return status, body

    def _read(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None,
        form: Mapping[str, str] | None,
        basic: tuple[str, str] | None,
    ) -> tuple[int, bytes]:
        deadline = time.monotonic() + self.within_s
        client = self._direct if urlsplit(url).hostname in LOOPBACK else self._http
        with client.stream(method, url, headers=headers, data=form, auth=basic) as answer:
            if answer.is_redirect:
                raise self._away("sends elsewhere, which is not followed")
            parts, size = [], 0
            for part in answer.iter_bytes():
                size += len(part)
                if size > LARGEST_ANSWER:
                    raise self._away(f"answers with more than {LARGEST_ANSWER} bytes")
                if time.monotonic() > deadline:
                    raise self._away(f"did not answer within {self.within_s:g} s")
                parts.append(part)
            return answer.status_code, b"".join(parts)

    @contextmanager
    def _slot(self) -> Iterator[None]:
        if not self._slots.acquire(timeout=self.within_s / 4):
            raise self._away("is busy answering others")
        try:
            yield
        finally:
            self._slots.release()

    def _away(self, what: str) -> IdentityAway:
        return IdentityAway(f"the identity issuer {self.name} {what}", hint=_HINT)

    @cached_property
    def _http(self) -> httpx2.Client:
        return httpx2.Client(timeout=self.within_s, follow_redirects=False)

    @cached_property
    def _direct(self) -> httpx2.Client:
        # No proxy stands before this machine.
        return httpx2.Client(timeout=self.within_s, follow_redirects=False, trust_env=False)
