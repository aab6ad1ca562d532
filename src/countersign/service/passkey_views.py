"""Keys as people see them: whose, who vouched, and whether they count."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from countersign.auditlog.keyring import Keyring
from countersign.domain.passkey import Enrolment, Passkey
from countersign.domain.timestamps import read
from countersign.store import Tx

LONGEST_WAIT = timedelta(days=7)
"""How long a key waits for those who vouch for it."""


@dataclass(frozen=True, kw_only=True)
class PasskeyView:
    """A key as people see it.

    Attributes:
        state: `enrolled`, `waiting`, `lapsed` or `removed`.
        vouched_by: who vouched so far; nobody did for the first keys, which the genesis names.
    """

    passkey: Passkey
    state: Literal["enrolled", "waiting", "lapsed", "removed"]
    said_at: str | None
    digest: str | None
    vouched_by: tuple[str, ...]


def view_of(tx: Tx, keyring: Keyring, enrolment: Enrolment) -> PasskeyView:
    """Return a key that was shown, as it stands now."""
    passkey_id = enrolment.passkey.id
    state: Literal["enrolled", "waiting", "lapsed", "removed"] = (
        "lapsed" if tx.now > read(enrolment.said_at) + LONGEST_WAIT else "waiting"
    )
    if passkey_id in keyring.keys:
        state = "enrolled"
    elif passkey_id in keyring.removed:
        state = "removed"
    return PasskeyView(
        passkey=enrolment.passkey,
        state=state,
        said_at=enrolment.said_at,
        digest=enrolment.digest,
        vouched_by=tuple(word.person for word in tx.passkey_words(passkey_id, "vouch")),
    )


def counts(passkey: Passkey, state: Literal["enrolled", "removed"]) -> PasskeyView:
    """Return a key of which only its standing matters: one of the first, or one that was just judged."""
    return PasskeyView(passkey=passkey, state=state, said_at=None, digest=None, vouched_by=())


def views_of(tx: Tx, keyring: Keyring) -> list[PasskeyView]:
    """Return every key that counts or waits."""
    said = {each.passkey.id: each for each in tx.enrolments()}
    founders = [counts(key, "enrolled") for name, key in keyring.keys.items() if name not in said]
    return [*founders, *(view_of(tx, keyring, each) for each in said.values())]
