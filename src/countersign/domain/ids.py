"""Identifiers: a prefix that says what it names, and 80 random bits in 16 lowercase base32 characters."""

from __future__ import annotations

import base64
import re

RANDOM_BYTES = 10
FINDING = "fnd_"
REQUEST, GRANT, LEASE, STOP, PROPOSAL, ENVELOPE = "req_", "grt_", "lse_", "stp_", "prp_", "env_"
SESSION = "ses_"
PASSKEY = "psk_"
PAGE = "pag_"
CAMPAIGN = "cmp_"
ERASURE = "ers_"

_ID = re.compile(r"(?:req|grt|lse|stp|prp|env|ses|psk|fnd|pag|cmp|ers)_[a-z2-7]{16}")
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")


def make_id(prefix: str, randomness: bytes) -> str:
    """Return `prefix` and 16 characters for exactly ten bytes of `randomness`."""
    if len(randomness) != RANDOM_BYTES:
        raise ValueError(f"an id takes {RANDOM_BYTES} random bytes, got {len(randomness)}")
    return prefix + base64.b32encode(randomness).decode("ascii").lower()


def is_id(text: str, prefix: str) -> bool:
    """Say whether `text` is a whole id of the kind that `prefix` names."""
    return text.startswith(prefix) and _ID.fullmatch(text) is not None


def is_name(text: str) -> bool:
    """Say whether `text` may name a person, a group, an entitlement or a target: short, lower-case, ASCII, no slash."""
    return _NAME.fullmatch(text) is not None
