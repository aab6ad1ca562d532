"""The identity issuers in force, as they are reached: one connection to each, made anew when its countersigned terms change."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from countersign.domain.issuer import Issuer, Use
from countersign.domain.refusals import NotFound
from countersign.identity import IdentityProvider
from countersign.service.rules import Rules


@dataclass(frozen=True, kw_only=True)
class Identities:
    """Reaches issuers.

    Attributes:
        public_url: where browsers reach the broker, without a slash at the end; sign-ins come back there.
        client_secrets: by issuer, what the broker proves itself with; a public client has none.
        commits_tokens: by issuer of pipelines, what its source of commits is asked with.
    """

    public_url: str
    client_secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    commits_tokens: Mapping[str, str] = field(default_factory=dict, repr=False)
    _known: dict[str, IdentityProvider] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def redirect_uri(self) -> str:
        """Where a web sign-in comes back."""
        return f"{self.public_url}/sign-in/callback"

    def provider(self, rules: Rules, issuer_id: str, *, use: Use = Use.PEOPLE) -> IdentityProvider:
        """Return an issuer as the rules in force describe it.

        Raises:
            NotFound: they know none of that name for that use.
        """
        issuer = rules.catalog.trust.issuers.get(issuer_id)
        if issuer is None or issuer.use is not use:
            raise NotFound(f"there is no issuer {issuer_id[:63]!r} for {use}", hint="see GET /v1/sign-in/issuers")
        return self._provider(issuer)

    def provider_at(self, rules: Rules, url: str, *, use: Use) -> IdentityProvider | None:
        """Return the issuer of an address, which some token claims to be of; None for one that is not believed."""
        found = (each for each in rules.catalog.trust.issuers.values() if (each.url, each.use) == (url, use))
        issuer = next(found, None)
        return None if issuer is None else self._provider(issuer)

    def _provider(self, issuer: Issuer) -> IdentityProvider:
        with self._lock:
            known = self._known.get(issuer.id)
            if known is None or known.issuer != issuer:
                known = self._known[issuer.id] = IdentityProvider(issuer)
            return known
