"""The outermost layer: which host is meant, one line of log per call, headers for all answers, and the last resort."""

from __future__ import annotations

import secrets
import time
import traceback
from collections.abc import Collection
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from countersign.api.problems import Internal, WrongHost, problem

logger = structlog.get_logger(__name__)


class Rim:
    """Wraps the application.

    Args:
        app: what it wraps.
        allowed_hosts: names (without port) by which the broker may be addressed, against DNS rebinding.
    """

    def __init__(self, app: ASGIApp, *, allowed_hosts: Collection[str]) -> None:
        self._app = app
        self._allowed_hosts = frozenset(host.lower() for host in allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = secrets.token_hex(8)
        state = scope.setdefault("state", {})
        begun = time.perf_counter()
        status: int | None = None

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                headers["X-Content-Type-Options"] = "nosniff"
                headers.setdefault("Cache-Control", "no-store")  # the log's files say themselves how long they hold
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                if self._is_meant(scope):
                    await self._app(scope, receive, answer)
                else:
                    await problem(WrongHost("this broker does not go by that name"))(scope, receive, answer)
            except ClientDisconnect:
                pass  # nobody is left to be answered
            except Exception as fault:  # noqa: BLE001 - the outermost handler
                logger.error("a call failed in a way nobody foresaw", incident=request_id, **described(fault))  # noqa: TRY400 - no messages, no locals
                if status is None:
                    await problem(Internal(""), incident=request_id)(scope, receive, answer)
            finally:
                principal = state.get("principal")
                logger.info(
                    "call",
                    method=scope["method"],
                    route=state.get("route") or getattr(scope.get("route"), "path", None),
                    status=status,
                    ms=round((time.perf_counter() - begun) * 1000, 1),
                    principal=None if principal is None else principal.id,
                )

    def _is_meant(self, scope: Scope) -> bool:
        named = Headers(scope=scope).getlist("host")
        if len(named) != 1:
            return False
        host = named[0].lower()
        name, colon, port = host.rpartition(":")
        return host in self._allowed_hosts or (colon == ":" and port.isdecimal() and name in self._allowed_hosts)


def described(fault: BaseException) -> dict[str, Any]:
    """Return where a fault came from: types and places only, for a message may quote what must not be logged."""
    chain: list[BaseException] = []
    link: BaseException | None = fault
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return {
        "error": [type(each).__name__ for each in chain],
        "trace": [
            f"{frame.filename}:{frame.lineno} in {frame.name}"
            for each in reversed(chain)
            for frame in traceback.extract_tb(each.__traceback__)
        ],
    }
