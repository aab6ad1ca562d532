"""Facts of people's accounts: tokens made and withdrawn, and persons who were disabled."""

from __future__ import annotations

from dataclasses import dataclass

from countersign.domain.facts import Fact
from countersign.domain.request import Sealed


@dataclass(frozen=True, kw_only=True)
class TokenIssued(Fact):
    """A bearer token was made for a principal (embedded stack only); `token` is its public id."""

    type = "token.issued"
    principal: str
    token: str


@dataclass(frozen=True, kw_only=True)
class TokenRevoked(Fact):
    """A bearer token was withdrawn."""

    type = "token.revoked"
    principal: str
    token: str


@dataclass(frozen=True, kw_only=True)
class PersonDisabled(Fact):
    """A person was disabled; pending requests, open grants and live leases end with it."""

    type = "person.disabled"
    principal: str
    reason: Sealed
