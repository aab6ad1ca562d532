"""Sealing a credential to the key of one order: whoever carries it, or keeps the database, reads nothing of it.

HPKE (RFC 9180), base mode: X25519, HKDF-SHA256, ChaCha20-Poly1305. What it is the answer to is bound as `info`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from countersign.domain.device import KEY_BYTES, read

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


class NotSealed(ValueError):
    """What was given does not open: it is for another key or order, or was changed."""


def seal(document: Mapping[str, Any], *, to: str, context: bytes) -> str:
    """Return a document that the holder of a key alone can open, in base64.

    Args:
        document: plain JSON.
        to: the public X25519 key, base64url.
        context: what it is the answer to.

    Raises:
        NotSealed: nothing can be sealed to that key.
    """
    try:
        key = X25519PublicKey.from_public_bytes(read(to, size=KEY_BYTES) or b"")
        sealed = _SUITE.encrypt(json.dumps(document).encode("utf-8"), key, context)
    except ValueError as error:
        raise NotSealed("nothing can be sealed to this key") from error
    return base64.b64encode(sealed).decode("ascii")


def unseal(sealed: str, *, key: X25519PrivateKey, context: bytes) -> dict[str, Any]:
    """Return what was sealed.

    Raises:
        NotSealed: it is for another key, in another context, or was changed.
    """
    try:
        document = json.loads(_SUITE.decrypt(base64.b64decode(sealed, validate=True), key, context))
    except (InvalidTag, ValueError) as error:
        raise NotSealed("it does not open") from error
    if not isinstance(document, dict):
        raise NotSealed("it holds no document")
    return document
