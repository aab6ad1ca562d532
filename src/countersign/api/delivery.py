"""Delivery of a credential: it counts as handed over only if the answer that bears it went out to a caller who was there.

Whatever happens instead (the caller hung up, the answer could not be written, the server is being stopped), the lease is revoked
and the draw given back. What no server can know is whether bytes that reached the caller's machine were read there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

import anyio
import anyio.to_thread
import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from countersign.domain.refusals import Refused
from countersign.service.draws import Handed

logger = structlog.get_logger(__name__)

PARCEL = "countersign.parcel"
DRAWS_AT_ONCE = 32
"""Draws wait for providers; with threads of their own they never keep anybody from stopping or revoking."""
ASKED = 3
"""How often the server is asked whether the caller is there: that he left is read, acted on and told in turns of the loop."""
TRIES = 6
FIRST_PAUSE_S = 0.2


class CallerGone(Exception):
    """The caller hung up before his credential was sent."""


class Parcel:
    """What one call may bring forth, from the draw to its delivery. Safe between the event loop and a worker thread."""

    def __init__(self, *, undelivered: Callable[[str], None], workers: anyio.CapacityLimiter) -> None:
        self._undelivered = undelivered
        self._workers = workers
        self._lock = Lock()
        self._lease_id: str | None = None
        self._closed = False
        self._sent = False

    @property
    def is_filled(self) -> bool:
        """Say whether a credential is on its way."""
        return self._lease_id is not None

    async def fetch(self, draw: Callable[[], Handed]) -> Handed:
        """Draw in a worker thread and take responsibility for what comes of it."""
        return await anyio.to_thread.run_sync(self._fetch, draw, limiter=self._workers)

    def _fetch(self, draw: Callable[[], Handed]) -> Handed:
        drawn = draw()
        with self._lock:
            self._lease_id = drawn.lease_id
            nobody_waits = self._closed
        if nobody_waits:
            self.give_up()
        return drawn

    def sent(self) -> None:
        """Note that the answer went out."""
        self._sent = True

    def close(self) -> bool:
        """Accept no more; return whether a credential was drawn that did not go out."""
        with self._lock:
            self._closed = True
            return self._lease_id is not None and not self._sent

    def give_up(self) -> None:
        """Have the lease revoked and the draw given back; should even that fail, try again for a while."""
        for tried in range(1, TRIES + 1):
            try:
                self._undelivered(str(self._lease_id))
            except Refused as refused:
                logger.warning("giving a draw back failed", lease=self._lease_id, code=refused.code, tried=tried)
                time.sleep(FIRST_PAUSE_S * 2 ** (tried - 1))
            else:
                logger.warning("a credential did not reach its caller and is revoked", lease=self._lease_id)
                return
        logger.error("a credential that reached nobody lives until its end", lease=self._lease_id)


class Delivery:
    """The layer around all routes that gives each call a parcel and sees whether it went out."""

    def __init__(self, app: ASGIApp, *, undelivered: Callable[[str], None]) -> None:
        self._app = app
        self._undelivered = undelivered
        self._workers = anyio.CapacityLimiter(DRAWS_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        parcel = scope[PARCEL] = Parcel(undelivered=self._undelivered, workers=self._workers)
        successful = False

        async def hand_over(message: Message) -> None:
            nonlocal successful
            if parcel.is_filled and await _is_gone(receive):
                raise CallerGone
            await send(message)
            if message["type"] == "http.response.start":
                successful = message["status"] == 200  # noqa: PLR2004 - the one status of an answer to a draw
            elif successful and not message.get("more_body", False):
                parcel.sent()

        try:
            await self._app(scope, receive, hand_over)
        except CallerGone:
            return
        finally:
            # A thread cannot be cancelled: once begun, this goes through even if the server stops waiting for it.
            if parcel.close():
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(parcel.give_up)


async def _is_gone(receive: Receive) -> bool:
    """Say whether the caller has hung up. Asking lets a paused connection be read on, and the event loop take a turn or two."""
    for _ in range(ASKED):
        message = await _poll(receive)
        if message is not None and message["type"] == "http.disconnect":
            return True
    return False


async def _poll(receive: Receive) -> Message | None:
    """Return what the server has to say about the connection right now, if anything."""
    with anyio.CancelScope() as at_once:
        at_once.cancel()
        return await receive()
    return None
