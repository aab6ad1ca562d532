"""The broker's API as the command line calls it: one origin, no redirects, bounded waiting, a token that is never shown."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2

from countersign import __version__
from countersign.cli.failures import CommandFailed, Exit, of_problem, usage

URL_VARIABLE, TOKEN_VARIABLE, TOKEN_FILE_VARIABLE = "COUNTERSIGN_URL", "COUNTERSIGN_TOKEN", "COUNTERSIGN_TOKEN_FILE"
CONNECT_S, ANSWER_S = 5.0, 30.0
"""A draw may take the broker ten seconds at each of two steps."""
LARGEST_ANSWER = 8 * 1024 * 1024
LARGEST_TOKEN_FILE = 4096
PAGE = 100

_TOKEN = re.compile(r"[\x21-\x7e]{1,1024}")
_MAY_HAVE_ACTED = "it may have acted: look with countersign ls and countersign show before trying again"
_REACH = "check COUNTERSIGN_URL and that the broker runs (GET /readyz)"


def broker_address(given: str | None) -> str:
    """Return the broker's address.

    Raises:
        CommandFailed: none is given, or it is not one that a token may be sent to.
    """
    if not given:
        raise usage(f"{URL_VARIABLE} is not set", hint=f"export {URL_VARIABLE}=https://broker.example")
    return fit_address(given, what=URL_VARIABLE)


def fit_address(given: str, *, what: str) -> str:
    """Return an address that secrets may travel to: https, or http that does not leave this machine.

    Raises:
        CommandFailed: it is another.
    """
    try:
        parts = urlsplit(given)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if not host or parts.scheme not in {"http", "https"} or parts.username is not None or parts.password is not None:
        raise usage(f"{what} is not an address such as https://broker.example (without user and password)")
    if parts.query or parts.fragment:
        raise usage(f"{what} holds a query or a fragment")
    if parts.scheme == "http" and not is_loopback(host):
        raise usage(f"{what} is plain http to another machine; tokens travel by https only")
    return given.rstrip("/")


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def find_token(url: str) -> str:
    """Return the caller's token: from the environment, the file that it names, or the session that `countersign login` kept.

    Raises:
        CommandFailed: there is none, or it cannot be one.
    """
    token = os.environ.get(TOKEN_VARIABLE) or _read_token_file() or _kept_token(url)
    if token is None:
        raise CommandFailed(
            "not signed in: there is no token",
            exit_code=Exit.NOT_SIGNED_IN,
            code="unauthenticated",
            hint=f"countersign login (or, in the embedded stack, set {TOKEN_VARIABLE})",
        )
    if not _TOKEN.fullmatch(token):
        raise _unusable("the token holds characters that no token has")
    return token


def _kept_token(url: str) -> str | None:
    from countersign.cli.pipeline_way import pipeline_token  # noqa: PLC0415 - it calls the broker through this module
    from countersign.cli.signed_in import access_token  # noqa: PLC0415 - as above

    return access_token(url) or pipeline_token(url)


def _read_token_file() -> str | None:
    named = os.environ.get(TOKEN_FILE_VARIABLE)
    if not named:
        return None
    try:
        with Path(named).open("rb") as file:
            if os.fstat(file.fileno()).st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise _unusable(f"{named} can be written by others; chmod 600 it")
            raw = file.read(LARGEST_TOKEN_FILE)
        return raw.decode("ascii").strip()
    except OSError as error:
        raise _unusable(f"{named} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _unusable(f"{named} holds no token") from None


def _unusable(detail: str) -> CommandFailed:
    return CommandFailed(detail, exit_code=Exit.NOT_SIGNED_IN, code="unauthenticated")


def new_key() -> str:
    """Return an idempotency key for one act of this process."""
    return secrets.token_hex(16)


@dataclass(frozen=True, kw_only=True)
class Client:
    """Calls one broker as one principal, or without a token as nobody in particular."""

    url: str
    token: str = field(repr=False)

    def get(self, path: str, **query: str | int | None) -> dict[str, Any]:
        """Return the object at a path below `/v1`.

        Raises:
            CommandFailed: the broker refuses or cannot be reached.
        """
        given = {name: str(value) for name, value in query.items() if value is not None}
        return self._call("GET", path, query=given)

    def post(self, path: str, body: Mapping[str, Any] | None = None, *, key: str | None = None) -> dict[str, Any]:
        """Do something and return the answer.

        Args:
            path: below `/v1`.
            body: the call's input, if it takes one.
            key: idempotency key, where the call takes one.

        Raises:
            CommandFailed: the broker refuses or cannot be reached; `answer-lost` when it may have acted.
        """
        return self._call("POST", path, body=body, key=key)

    def pages(self, path: str, **query: str | int | None) -> Iterator[dict[str, Any]]:
        """Yield a list's items, page by page."""
        after: str | None = None
        while True:
            page = self.get(path, after=after, limit=PAGE, **query)
            items, following = page.get("items"), page.get("next")
            if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
                raise CommandFailed("the broker's answer is no list", code="strange-answer", hint="compare versions")
            yield from items
            if following is None or not items or str(following) == after:
                return
            after = str(following)

    def text(self, path: str) -> str:
        """Return a text below `/v1`, such as a signed note."""
        with self._answered("GET", path) as answer:
            return _whole(answer).decode("utf-8", "replace")

    def stream(self, path: str, *, patience_s: float = ANSWER_S, **query: object) -> Iterator[bytes]:
        """Yield a long answer's bytes as they arrive, waiting so long for each piece."""
        asked = {name: str(value) for name, value in query.items()}
        with self._answered("GET", path, query=asked or None, patience_s=patience_s) as answer:
            yield from answer.iter_bytes()

    def _call(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> dict[str, Any]:
        with self._answered(method, path, body=body, query=query, key=key) as answer:
            raw = _whole(answer)
        if not raw:
            return {}
        document = _object(raw)
        if document is None:
            raise CommandFailed("the broker's answer is not JSON", code="strange-answer", hint=_REACH)
        return document

    @contextmanager
    def _answered(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        key: str | None = None,
        patience_s: float = ANSWER_S,
    ) -> Iterator[httpx2.Response]:
        headers = {"Idempotency-Key": key} if key else {}
        try:
            with self._http.stream(
                method,
                f"/v1{path}",
                json=body,
                params=query,
                headers=headers,
                follow_redirects=False,
                timeout=httpx2.Timeout(patience_s, connect=CONNECT_S),
            ) as answer:
                if answer.is_redirect:
                    raise CommandFailed(
                        f"{self.url} sends elsewhere; the token stays here", code="redirected", hint=_REACH
                    )
                if not answer.is_success:
                    raise of_problem(answer.status_code, _object(_whole(answer)) or {})
                yield answer
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            raise CommandFailed(
                f"the broker at {self.url} cannot be reached", exit_code=Exit.AWAY, code="unreachable", hint=_REACH
            ) from None
        except httpx2.HTTPError as error:
            raise CommandFailed(
                f"the broker's answer was lost on the way ({type(error).__name__})",
                exit_code=Exit.AWAY,
                code="answer-lost",
                hint="nothing was asked for but an answer: try again" if method == "GET" else _MAY_HAVE_ACTED,
            ) from None

    @cached_property
    def _http(self) -> httpx2.Client:
        return httpx2.Client(
            base_url=self.url,
            headers={"User-Agent": f"countersign/{__version__}"}
            | ({"Authorization": f"Bearer {self.token}"} if self.token else {}),
            timeout=httpx2.Timeout(ANSWER_S, connect=CONNECT_S),
            follow_redirects=False,
            trust_env=not is_loopback(urlsplit(self.url).hostname or ""),  # no proxy stands before this machine
        )


def segment(text: str) -> str:
    """Return a text as one segment of a path, whatever it holds."""
    quoted = quote(text, safe="")
    return quoted.replace(".", "%2E") if set(text) <= {"."} else quoted


def _whole(answer: httpx2.Response) -> bytes:
    """Read an answer of bounded size."""
    parts, size = [], 0
    for part in answer.iter_bytes():
        size += len(part)
        if size > LARGEST_ANSWER:
            raise CommandFailed("the broker's answer is larger than any that it gives", code="strange-answer")
        parts.append(part)
    return b"".join(parts)


def _object(raw: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
