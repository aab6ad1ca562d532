"""Reading the public key of a log where a configuration names one."""

from __future__ import annotations

from countersign.auditlog.note import Ed25519Verifier, NotAKey, read_vkey
from countersign.config.problems import expected


def is_log_key(text: str) -> str:
    """Return a log's public key as it was written, for pydantic.

    Raises:
        PydanticCustomError: it is no vkey of type 0x01.
    """
    try:
        verifier = read_vkey(text)
    except NotAKey:
        raise expected("a log's public key (name+id+key)") from None
    if not isinstance(verifier, Ed25519Verifier):
        raise expected("a log's public key, of type 0x01")
    return text


def log_verifier(vkey: str) -> Ed25519Verifier:
    """Return the key that `is_log_key` let pass."""
    verifier = read_vkey(vkey)
    if not isinstance(verifier, Ed25519Verifier):
        raise NotAKey("not a log's key")
    return verifier
