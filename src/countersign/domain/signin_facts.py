"""Facts of sign-in: sessions, what issuers said of groups, and what was shown and refused."""

from __future__ import annotations

from dataclasses import dataclass

from countersign.domain.facts import Fact


@dataclass(frozen=True, kw_only=True)
class SessionOpened(Fact):
    """Somebody signed in, or a pipeline came in: who vouched for it, and whom the session stands for.

    Attributes:
        kind: `web`, `cli` or `pipeline`.
        proof: sha256 of what the issuer signed: his token less the signature, which can be spelled in more than one way.
        device: the device key that the proof binds to the person; only for `cli`.
        behind: the persons who made a pipeline run.
        revision: the commit that it runs on, by the word of its CI.
    """

    type = "session.opened"
    principal: str
    session: str
    kind: str
    issuer: str
    proof: str
    factors: frozenset[str] = frozenset()
    device: str | None = None
    behind: frozenset[str] = frozenset()
    revision: str | None = None


@dataclass(frozen=True, kw_only=True)
class SessionEnded(Fact):
    """A session was ended: `cause` is `left`, `revoked`, `issuer` (back-channel logout), `disabled` or `reuse`.

    Attributes:
        proof: of the token that had opened it, as there; it opens and bears out nothing from now on.
    """

    type = "session.ended"
    session: str
    cause: str
    proof: str | None = None


@dataclass(frozen=True, kw_only=True)
class RefreshReused(Fact):
    """A refresh token that was used before was shown again: somebody has a copy, and the session ended."""

    type = "session.refresh-reused"
    session: str


@dataclass(frozen=True, kw_only=True)
class GroupsSaid(Fact):
    """An issuer's word on a person's groups changed; `groups` are the directory's groups that it confirms."""

    type = "issuer.groups-said"
    issuer: str
    groups: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class SignInRefused(Fact):
    """An issuer vouched for somebody who may not come in; `who` is a hash of what it calls him."""

    type = "sign-in.refused"
    issuer: str
    who: str
    code: str


@dataclass(frozen=True, kw_only=True)
class IssuerLogout(Fact):
    """An issuer said that a person has left: sessions, and with them grants and requests, ended."""

    type = "issuer.logout"
    issuer: str
    sessions: int
    grants_revoked: int
    requests_ended: int
