"""Sessions: one sign-in of one principal, and how long it lasts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class SessionKind(StrEnum):
    """Through what somebody calls."""

    WEB = "web"
    CLI = "cli"
    PIPELINE = "pipeline"


class TokenUse(StrEnum):
    """What a session's secret is good for."""

    COOKIE = "cookie"
    ACCESS = "access"
    REFRESH = "refresh"


LASTS = {
    SessionKind.WEB: timedelta(hours=8),
    SessionKind.CLI: timedelta(hours=8),
    SessionKind.PIPELINE: timedelta(minutes=10),
}
"""How long a session lasts at the most, whatever it does."""
IDLE = timedelta(minutes=30)
"""A web session that nobody used for so long is over."""
ACCESS_LASTS = timedelta(minutes=5)
"""How long an access token is good."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """One sign-in.

    Attributes:
        issuer: who vouched for the principal, as `subject`; both are compared with the directory at every call.
        issuer_session: the issuer's own name (`sid`) of its session, if it gave one.
        device_key: the Ed25519 key that the sign-in's nonce commits to, base64url; only of the command line.
        factors: how the person proved who he is.
        behind: the persons who made a pipeline run.
        revision: the commit that it runs on, by the word of its CI.
        seen_at: when it was last used, to the minute.
        ends_at: when it ends, whatever it does.
    """

    id: str
    kind: SessionKind
    principal: str
    person: str
    issuer: str
    subject: str
    issuer_session: str | None
    device_key: str | None
    factors: frozenset[str]
    behind: frozenset[str]
    opened_at: datetime
    seen_at: datetime
    ends_at: datetime
    ended_at: datetime | None = None
    revision: str | None = None

    def holds_at(self, now: datetime) -> bool:
        """Say whether it is in force."""
        idle = self.kind is SessionKind.WEB and now - self.seen_at > IDLE
        return self.ended_at is None and now < self.ends_at and not idle


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionToken:
    """One secret of a session, known by its hash."""

    hash: str
    session: str
    use: TokenUse
    expires_at: datetime
    used_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class IdentityProof:
    """What an issuer signed for a session, kept to be checked again by whoever trusts the issuer's keys.

    It opens nothing: it is bound to its audience, was shown once, and has soon expired.

    Attributes:
        signed: the token's header and claims, as they were signed.
        signature: the issuer's signature over them.
        device_key: the key that its nonce commits to, base64url; None on the web.
        random: the other half of what the nonce commits to.
    """

    session: str
    issuer: str
    subject: str
    signed: str
    signature: str
    device_key: str | None
    random: str | None
    at: datetime
