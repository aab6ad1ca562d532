"""Opening a commitment: shows that a text kept beside the log is the one the log speaks of."""

from __future__ import annotations

from hmac import compare_digest

from countersign.domain.canonical import commitment


def check_opening(commitment_hex: str, salt: bytes, text: str) -> bool:
    """Return whether `sha256(salt ‖ text)` is the commitment; a commitment that is not lower-case hex never matches."""
    try:
        made = commitment(salt, text)
    except UnicodeEncodeError:
        return False
    return compare_digest(made.encode(), commitment_hex.encode("utf-8", "replace"))
