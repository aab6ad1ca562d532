"""Device keys: an Ed25519 key of a person's own machine, bound to him by the nonce of a sign-in.

The nonce of the command line's sign-in commits to the key, so the issuer's signature over the ID token covers it. Whoever trusts
the issuer's keys can check the binding from the token alone, without trusting the part of the broker that faces people.
"""

from __future__ import annotations

import base64
import hashlib

from countersign.domain.canonical import canonical

LABEL = b"countersign/device/v1\n"
KEY_BYTES = 32
RANDOM_BYTES = 32


def nonce_for(*, key: str, random: str) -> str:
    """Return the nonce that commits to a device key: base64url(sha256(label ‖ JCS({key, random}))).

    Args:
        key: the Ed25519 public key, base64url without padding.
        random: 32 random bytes that nobody else knows before the sign-in is shown, base64url without padding.
    """
    return spelled(hashlib.sha256(LABEL + canonical({"key": key, "random": random})).digest())


def possession_of(*, key: str, token: str) -> bytes:
    """Return what the device signs when it shows an ID token, so that a token seen by others opens nothing for them."""
    said = canonical({"key": key, "token": hashlib.sha256(token.encode("ascii")).hexdigest()})
    return b"countersign/device/v1/possession\n" + said


def spelled(raw: bytes) -> str:
    """Spell bytes as base64url without padding."""
    return base64.urlsafe_b64encode(raw).decode("ascii").rstrip("=")


def read(text: str, *, size: int) -> bytes | None:
    """Return the bytes that a text spells in base64url without padding, None unless it is so many in their one spelling."""
    try:
        raw = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except ValueError:
        return None
    return raw if len(raw) == size and spelled(raw) == text else None
