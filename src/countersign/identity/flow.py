"""The authorization code flow with PKCE, for the web and for the command line alike.

Everything that one sign-in must keep apart (state, nonce, code verifier) is derived from one secret that the client holds, so
nothing of it rests in the broker.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from countersign.domain.device import spelled
from countersign.domain.signin_refusals import IdentityAway, IdentityRefused
from countersign.identity.provider import IdentityProvider

LONGEST_CODE = 2048
_KNOWN_TROUBLE = frozenset(
    {
        "access_denied",
        "interaction_required",
        "invalid_request",
        "invalid_scope",
        "login_required",
        "server_error",
        "temporarily_unavailable",
        "unauthorized_client",
        "unsupported_response_type",
    }
)
"""What is named back to a person (RFC 6749, 4.1.2.1); anything else could be anybody's words."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the issuer handed over for a code."""

    id_token: str
    access_token: str | None

    def __repr__(self) -> str:
        return "Answer(…)"


@dataclass(frozen=True, kw_only=True)
class CodeFlow:
    """One sign-in of one client at one issuer.

    Attributes:
        secret: 32 random bytes that only this client has.
        client_id: as the issuer knows the client.
        client_secret: what the client proves itself with; None for a public client.
        redirect_uri: where the browser comes back, exactly.
        nonce: what the ID token must bear; derived from the secret unless it commits to a device key.
    """

    provider: IdentityProvider
    secret: bytes
    client_id: str
    redirect_uri: str
    client_secret: str | None = None
    nonce: str | None = None

    def __repr__(self) -> str:
        return f"CodeFlow({self.provider.issuer.id})"

    @property
    def state(self) -> str:
        """What the issuer sends back with the browser."""
        return self._derived("state")

    @property
    def expected_nonce(self) -> str:
        """What the ID token must bear."""
        return self.nonce or self._derived("nonce")

    def location(self) -> str:
        """Return where the browser is sent to sign in.

        Raises:
            IdentityAway: the issuer cannot be asked, or signs nobody in.
        """
        endpoint = self.provider.endpoints().authorization
        if not endpoint:
            raise IdentityAway(f"the identity issuer {self.provider.issuer.id} signs nobody in")
        extra: dict[str, str] = {
            "nonce": self.expected_nonce,
            "code_challenge": create_s256_code_challenge(self._derived("verifier")),
            "code_challenge_method": "S256",
        }
        return str(
            prepare_grant_uri(
                endpoint,
                self.client_id,
                "code",
                redirect_uri=self.redirect_uri,
                scope=" ".join(self.provider.issuer.scopes),
                state=self.state,
                **extra,
            )
        )

    def redeem(self, query: Mapping[str, str]) -> Answer:
        """Return what the issuer gives for the code that the browser brought back.

        Raises:
            IdentityRefused: the answer is of another sign-in or another issuer, or the issuer refused.
            IdentityAway: the issuer cannot be asked.
        """
        issuer = self.provider.issuer
        if not hmac.compare_digest(query.get("state", "").encode(), self.state.encode()):
            raise _refused("this answer belongs to another sign-in", "state")
        endpoints = self.provider.endpoints()
        named = query.get("iss")
        if (named is not None and named != issuer.url) or (named is None and endpoints.names_itself):
            raise _refused(f"this answer is not {issuer.id}'s", "iss (RFC 9207)")
        if "error" in query:
            told = query["error"] if query["error"] in _KNOWN_TROUBLE else "an error"
            raise _refused(f"{issuer.id} answered {told}", "the issuer signs people in")
        code = query.get("code", "")
        if not 0 < len(code) <= LONGEST_CODE or not code.isascii() or not code.isprintable():
            raise _refused("the answer bears no code", "code")
        return self._exchange(endpoints.token, code)

    def _exchange(self, endpoint: str, code: str) -> Answer:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "client_id": self.client_id,
            "code_verifier": self._derived("verifier"),
        }
        basic = None if self.client_secret is None else (self.client_id, self.client_secret)
        status, body = self.provider.fetcher.post(endpoint, form, basic=basic)
        id_token, access_token = body.get("id_token"), body.get("access_token")
        if status != 200:  # noqa: PLR2004 - a token endpoint's one success (RFC 6749, 5.1)
            raise _refused(
                f"{self.provider.issuer.id} gives nothing for this code", "a code is good once, for its client"
            )
        if not isinstance(id_token, str) or not isinstance(access_token, str | None):
            raise _refused(f"{self.provider.issuer.id} gave no ID token", "id_token")
        return Answer(id_token=id_token, access_token=access_token)

    def _derived(self, what: str) -> str:
        issuer = self.provider.issuer.url
        return spelled(hmac.digest(self.secret, f"countersign/sign-in/v1/{what}\n{issuer}".encode(), hashlib.sha256))


def is_own_path(text: str) -> bool:
    """Say whether a text is a path of this site and nothing else: where a sign-in may lead back to."""
    parts = urlsplit(text)
    plain = text.isascii() and text.isprintable() and "\\" not in text
    return plain and text.startswith("/") and not text.startswith("//") and not parts.scheme and not parts.netloc


def _refused(what: str, rule: str) -> IdentityRefused:
    return IdentityRefused(what, rule=f"sign-in: {rule}", hint="begin again")
