"""The spelling of a webhook's secret, as Standard Webhooks has it."""

from __future__ import annotations

import base64

PREFIX = "whsec_"
SHORTEST, LONGEST = 24, 64
"""Bytes of a secret."""


class UnfitSecret(ValueError):
    """A text that is no webhook secret."""


def read_webhook_secret(text: str) -> bytes:
    """Return the bytes of a secret that is spelled `whsec_` and base64.

    Raises:
        UnfitSecret: it is spelled otherwise, or too short to keep anybody from guessing.
    """
    try:
        secret = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except ValueError:
        secret = b""
    if not text.startswith(PREFIX) or not SHORTEST <= len(secret) <= LONGEST:
        raise UnfitSecret(f"expected a secret of whsec_ and {SHORTEST} to {LONGEST} bytes in base64")
    return secret
