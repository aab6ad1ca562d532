"""One identity issuer as it is reached: where its endpoints are, and its keys, kept for a bounded time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey, import_key

from countersign.domain.issuer import Issuer
from countersign.domain.signin_refusals import IdentityAway, IdentityRefused
from countersign.identity.fetch import LOOPBACK, Fetcher

FRESH_S = 600.0
"""So long keys are used without asking again."""
STALE_S = 3600.0
"""So long they are used at the most while the issuer is away: a key that was withdrawn is not believed for longer."""
ASK_AGAIN_S = 15.0
"""An unknown key id asks the issuer again no more often than this, whoever makes key ids up."""
MOST_KEYS = 64
SMALLEST_RSA_BITS = 2048

Key = RSAKey | ECKey | OKPKey


@dataclass(frozen=True, kw_only=True)
class Endpoints:
    """Where an issuer is asked, as its own document says."""

    authorization: str
    token: str
    keys: str
    names_itself: bool
    """Whether its answers to browsers bear `iss`."""


@dataclass(frozen=True, kw_only=True)
class _Known:
    endpoints: Endpoints
    keys: Mapping[str, Key]
    at: float


class IdentityProvider:
    """An issuer, asked when needed.

    Args:
        issuer: what is countersigned about it.
        fetcher: how it is asked.
        monotonic: seconds that never run back.
    """

    def __init__(
        self, issuer: Issuer, *, fetcher: Fetcher | None = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Ask nobody yet."""
        self.issuer = issuer
        self.fetcher = fetcher or Fetcher(name=issuer.id)
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._known: _Known | None = None
        self._asked: float | None = None

    def endpoints(self) -> Endpoints:
        """Return where it is asked.

        Raises:
            IdentityAway: it cannot be reached, or describes itself as somebody else.
        """
        return self._current(wanted=None).endpoints

    def key(self, kid: str | None) -> Key:
        """Return the key of an id; without an id, its only key.

        Raises:
            IdentityAway: its keys cannot be had.
            IdentityRefused: it has no such key.
        """
        keys = self._current(wanted=kid).keys
        if kid is None and len(keys) == 1:
            return next(iter(keys.values()))
        found = keys.get(kid or "")
        if found is None:
            raise IdentityRefused(
                f"{self.issuer.id} has no key of that id", rule=f"issuer {self.issuer.id}: its own keys sign"
            )
        return found

    def _current(self, *, wanted: str | None) -> _Known:
        """Return what is known, asked anew when it is old or, seldom enough, when a key is wanted that it lacks."""
        known = self._known
        if known is not None and self._is_fresh(known, wanted):
            return known
        if not self._lock.acquire(timeout=self.fetcher.within_s):
            raise IdentityAway(f"the identity issuer {self.issuer.id} is slow", hint="try again")
        try:
            known, now = self._known, self._monotonic()
            if known is not None and self._is_fresh(known, wanted):
                return known
            self._asked = now
            try:
                self._known = self._ask(now)
            except IdentityAway:
                if known is None or now - known.at > STALE_S:
                    raise
                return known
            return self._known
        finally:
            self._lock.release()

    def _is_fresh(self, known: _Known, wanted: str | None) -> bool:
        now = self._monotonic()
        lately = self._asked is not None and now - self._asked < ASK_AGAIN_S
        if now - known.at > STALE_S:
            return False
        return lately or (now - known.at <= FRESH_S and (wanted is None or wanted in known.keys))

    def _ask(self, now: float) -> _Known:
        document = self.fetcher.get(self.issuer.url.rstrip("/") + "/.well-known/openid-configuration")
        if document.get("issuer") != self.issuer.url:
            raise IdentityAway(
                f"the identity issuer {self.issuer.id} calls itself something else",
                rule=f"issuer {self.issuer.id}: url = {self.issuer.url}",
            )
        endpoints = Endpoints(
            authorization=self._address(document, "authorization_endpoint", optional=True),
            token=self._address(document, "token_endpoint", optional=True),
            keys=self._address(document, "jwks_uri"),
            names_itself=document.get("authorization_response_iss_parameter_supported") is True,
        )
        return _Known(endpoints=endpoints, keys=self._keys(self.fetcher.get(endpoints.keys)), at=now)

    def _address(self, document: Mapping[str, Any], name: str, *, optional: bool = False) -> str:
        """Return an address that the issuer gives: https, or on this machine as the issuer itself is."""
        given = document.get(name)
        if optional and given is None:
            return ""
        parts = urlsplit(given) if isinstance(given, str) else urlsplit("")
        local = parts.hostname in LOOPBACK and urlsplit(self.issuer.url).hostname in LOOPBACK
        if parts.scheme != "https" and not (parts.scheme == "http" and local):
            raise IdentityAway(f"the identity issuer {self.issuer.id} gives no usable {name}")
        return str(given)

    def _keys(self, document: Mapping[str, Any]) -> dict[str, Key]:
        listed = document.get("keys")
        if not isinstance(listed, list) or len(listed) > MOST_KEYS:
            raise IdentityAway(f"the identity issuer {self.issuer.id} gives no list of keys")
        found: dict[str, Key] = {}
        for position, each in enumerate(listed):
            key = _public_key(each)
            if key is None:
                continue
            name = each.get("kid", f"#{position}")
            if not isinstance(name, str) or name in found:
                raise IdentityAway(f"the identity issuer {self.issuer.id} gives two keys of one id")
            found[name] = key
        if not found:
            raise IdentityAway(f"the identity issuer {self.issuer.id} gives no key that can be used")
        return found


def _public_key(given: object) -> Key | None:
    """Return a key that may verify signatures; None for what is none, is secret, too short or for something else."""
    if not isinstance(given, dict) or given.get("use", "sig") != "sig" or given.get("kty") not in {"RSA", "EC", "OKP"}:
        return None
    try:
        key = import_key(
            {name: value for name, value in given.items() if name not in {"x5c", "x5t", "x5u", "x5t#S256"}}
        )
        if key.is_private or not isinstance(key, Key):
            return None
        if isinstance(key, RSAKey) and key.public_key.key_size < SMALLEST_RSA_BITS:
            return None
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return key
