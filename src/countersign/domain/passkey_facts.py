"""Facts of passkeys: whose they are, who vouched for them, and that one is no longer anybody's.

`passkey.founded`, `passkey.enrolled` and `passkey.removed` hold all it takes to check them again: `auditlog.keyring` replays
them, offline and at each draw.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from countersign.domain.facts import Fact
from countersign.domain.request import Sealed


@dataclass(frozen=True, kw_only=True)
class PasskeysFounded(Fact):
    """The first passkeys, as the genesis names them."""

    type = "passkey.founded"
    passkeys: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, kw_only=True)
class PasskeyProposed(Fact):
    """Somebody showed a new key of his own, which two persons are to vouch for."""

    type = "passkey.proposed"
    principal: str
    enrolment: str
    passkey: Mapping[str, Any]
    said_at: str
    proof: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class PasskeyVouched(Fact):
    """Somebody signed an enrolment."""

    type = "passkey.vouched"
    principal: str
    enrolment: str
    signature: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class PasskeyEnrolled(Fact):
    """A key counts from here on: its proof, and the words of two persons whose keys counted before."""

    type = "passkey.enrolled"
    passkey: Mapping[str, Any]
    said_at: str
    proof: Mapping[str, Any]
    vouches: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, kw_only=True)
class PasskeyRemovalAsked(Fact):
    """The first of two others signed that a key be removed."""

    type = "passkey.removal-asked"
    principal: str
    signature: Mapping[str, Any]
    reason: Sealed


@dataclass(frozen=True, kw_only=True)
class PasskeyRemoved(Fact):
    """A key counts no longer, on the word of its person or of two others."""

    type = "passkey.removed"
    principal: str
    words: tuple[Mapping[str, Any], ...]
    reason: Sealed
