"""The broker's own token at OpenBao: got by AppRole, renewed long before its period ends, got anew when it was lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from countersign.providers.base import Away
from countersign.providers.vault.wire import TOTAL_S, Reply, Wire

FORBIDDEN = 403
_TRY_RENEWAL_EVERY_S = 5.0


@dataclass(frozen=True, kw_only=True)
class AppRole:
    """What the broker proves itself with."""

    role_id: str
    secret_id: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class _Token:
    text: str = field(repr=False)
    period_s: float
    renewed_at: float
    try_again_at: float = 0.0


class Broker:
    """Calls OpenBao as the broker; safe from several threads.

    A 403 means that nothing was done, so after one a new login and one repetition are safe.

    Args:
        wire: to OpenBao.
        role: what to log in with.
        monotonic: seconds for the token's age.
    """

    def __init__(self, wire: Wire, role: AppRole, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wire = wire
        self._role = role
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._token: _Token | None = None

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, object] | None = None,
        wrap_ttl_s: int | None = None,
        within_s: float = TOTAL_S,
    ) -> Reply:
        """Send one request with the broker's token; the arguments are those of `Wire.call`.

        Raises:
            Away: OpenBao is away, or refuses us even after a new login.
        """
        until = self._monotonic() + within_s
        for is_last in (False, True):
            token = self._current(until)
            reply = self._wire.call(
                method, path, token=token.text, body=body, wrap_ttl_s=wrap_ttl_s, within_s=until - self._monotonic()
            )
            if reply.status != FORBIDDEN:
                return reply
            if not is_last:
                self._forget(token)
        raise Away(f"OpenBao refuses the broker {method} {path}: its policy or its login is not as it should be")

    def _current(self, until: float) -> _Token:
        with self._lock:
            now = self._monotonic()
            if self._token is None:
                self._token = self._log_in(until)
            elif now - self._token.renewed_at >= self._token.period_s / 3 and now >= self._token.try_again_at:
                self._token = self._renew(self._token, until)
            return self._token

    def _forget(self, token: _Token) -> None:
        with self._lock:
            if self._token is not None and self._token.text == token.text:
                self._token = None

    def _log_in(self, until: float) -> _Token:
        reply = self._wire.call(
            "POST",
            "auth/approle/login",
            body={"role_id": self._role.role_id, "secret_id": self._role.secret_id},
            within_s=until - self._monotonic(),
        )
        auth = reply.table("auth")
        text, period = auth.get("client_token"), auth.get("lease_duration")
        if not reply.ok or not isinstance(text, str) or not isinstance(period, int) or period <= 0:
            raise Away(f"OpenBao does not let the broker in: {reply.complaint()}")
        return _Token(text=text, period_s=float(period), renewed_at=self._monotonic())

    def _renew(self, token: _Token, until: float) -> _Token:
        try:
            reply = self._wire.call(
                "POST", "auth/token/renew-self", token=token.text, within_s=until - self._monotonic()
            )
        except Away:
            return replace(token, try_again_at=self._monotonic() + _TRY_RENEWAL_EVERY_S)
        if not reply.ok:
            return self._log_in(until)
        return replace(token, renewed_at=self._monotonic())
