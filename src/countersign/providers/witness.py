"""Speaks to witnesses: one submission, one answer, within a bound, and nothing of the environment's proxies."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from urllib.parse import urlsplit

from countersign.auditlog.witnessing import ADD_CHECKPOINT
from countersign.providers.bounded import BoundedConnection

_LARGEST_ANSWER = 64 * 1024


class WitnessAway(Exception):
    """No answer, or none in time. Whether the submission was seen is not known; it can be sent again."""


@dataclass(frozen=True, kw_only=True)
class WitnessAnswer:
    """What a witness said, not verified."""

    status: int
    body: bytes


class WitnessWire:
    """Connections to witnesses, one kept open for each; safe from several threads."""

    def __init__(
        self, *, context: ssl.SSLContext | None = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Connect to nobody yet.

        Args:
            context: TLS trust for `https`; the system's by default.
            monotonic: seconds for deadlines.
        """
        self._context = context
        self._monotonic = monotonic
        self._idle: dict[str, BoundedConnection] = {}
        self._lock = threading.Lock()

    def submit(self, url: str, body: bytes, within_s: float) -> WitnessAnswer:
        """Send one submission to the witness at `url` and return its answer, whatever its status.

        Raises:
            WitnessAway: no answer within so many seconds, or one that is too long.
        """
        connection = self._take(url)
        connection.until = self._monotonic() + within_s
        path = urlsplit(url).path.rstrip("/") + ADD_CHECKPOINT
        try:
            connection.request("POST", path, body=body, headers={"Content-Type": "text/plain; charset=utf-8"})
            answer = connection.getresponse()
            raw = answer.read(_LARGEST_ANSWER + 1)
            if len(raw) > _LARGEST_ANSWER or answer.will_close:
                connection.close()
            else:
                self._give_back(url, connection)
        except (OSError, HTTPException, ValueError) as error:
            connection.close()
            raise WitnessAway(f"no answer: {type(error).__name__}") from None
        except BaseException:
            connection.close()
            raise
        if len(raw) > _LARGEST_ANSWER:
            raise WitnessAway("an answer longer than any of a witness")
        return WitnessAnswer(status=answer.status, body=raw)

    def close(self) -> None:
        """Close what is idle."""
        with self._lock:
            idle, self._idle = self._idle, {}
        for connection in idle.values():
            connection.close()

    def _take(self, url: str) -> BoundedConnection:
        with self._lock:
            idle = self._idle.pop(url, None)
        if idle is not None and idle.is_quiet():
            return idle
        if idle is not None:
            idle.close()
        parts = urlsplit(url)
        is_tls = parts.scheme == "https"
        return BoundedConnection(
            parts.hostname or "",
            parts.port or (443 if is_tls else 80),
            (self._context or ssl.create_default_context()) if is_tls else None,
            self._monotonic,
        )

    def _give_back(self, url: str, connection: BoundedConnection) -> None:
        with self._lock:
            former = self._idle.get(url)
            self._idle[url] = connection
        if former is not None:
            former.close()
