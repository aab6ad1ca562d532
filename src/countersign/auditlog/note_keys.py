"""Keys of signed notes under their names: plain Ed25519 and a witness's cosignature, spelled `name+id+key` (C2SP signed-note)."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ED25519 = 0x01
COSIGNATURE_V1 = 0x04
KEY_ID_SIZE = 4

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
"""What neither a note nor a name holds; a newline is judged apart."""


class NoteRefused(ValueError):
    """Bytes that are no signed note, or a note that no trusted key vouches for."""


class NotAKey(ValueError):
    """A text that is not a verifier key of a kind known here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ed25519Verifier:
    """A plain Ed25519 note key (type 0x01)."""

    name: str
    public_key: bytes

    def __post_init__(self) -> None:
        _require_name(self.name)
        _ed25519(self.public_key)

    @property
    def key_id(self) -> bytes:
        """SHA-256 over name and key, cut to four bytes."""
        return key_id(self.name, ED25519, self.public_key)

    def verify(self, text: bytes, signature: bytes) -> bool:
        """Return whether the key signed the text itself."""
        return _verifies(self.public_key, signature, text)

    def vkey(self) -> str:
        """Return the key as other implementations read it: `name+id+key`."""
        return _spell_vkey(self.name, ED25519, self.public_key)


@dataclass(frozen=True, kw_only=True, slots=True)
class CosignatureVerifier:
    """A witness's key (type 0x04): vouches that, at a time, this was the largest consistent tree it had seen."""

    name: str
    public_key: bytes

    def __post_init__(self) -> None:
        _require_name(self.name)
        _ed25519(self.public_key)

    @property
    def key_id(self) -> bytes:
        """SHA-256 over name and key, cut to four bytes."""
        return key_id(self.name, COSIGNATURE_V1, self.public_key)

    def verify(self, text: bytes, signature: bytes) -> bool:
        """Return whether the key signed the text together with the time that leads the signature."""
        try:
            message = cosigned_message(cosigned_at(signature), text)
        except NoteRefused:
            return False
        return _verifies(self.public_key, signature[8:], message)

    def vkey(self) -> str:
        """Return the key as other implementations read it: `name+id+key`."""
        return _spell_vkey(self.name, COSIGNATURE_V1, self.public_key)


def cosigned_message(at: int, text: bytes) -> bytes:
    """Return what a witness signs under cosignature/v1 at `at`, in seconds since 1970."""
    return b"cosignature/v1\ntime %d\n" % at + text


def cosigned_at(signature: bytes) -> int:
    """Return the time that leads a cosignature/v1, in seconds since 1970.

    Raises:
        NoteRefused: the signature is not as long as one of that kind, or the time is beyond 2^63 - 1.
    """
    at = int.from_bytes(signature[:8], "big")
    if len(signature) != 72 or at >= 2**63:  # noqa: PLR2004 - eight bytes of time and 64 of Ed25519; tlog-cosignature's bound
        raise NoteRefused("a cosignature is 72 bytes long, and its time is of this world")
    return at


def key_id(name: str, kind: int, public_key: bytes) -> bytes:
    """Return SHA-256(name ‖ 0x0A ‖ kind ‖ key)[:4]."""
    return sha256(name.encode() + b"\n" + bytes([kind]) + public_key).digest()[:KEY_ID_SIZE]


def read_vkey(text: str) -> Ed25519Verifier | CosignatureVerifier:
    """Return the key that `name+id+key` spells.

    Raises:
        NotAKey: the text has another form, its ID does not fit its key, or its kind is neither 0x01 nor 0x04.
    """
    name, _, rest = text.partition("+")
    shown_id, _, encoded = rest.partition("+")
    try:
        raw = unbase64(encoded)
    except NoteRefused as error:
        raise NotAKey("a key is spelled name+id+key") from error
    if not raw or not re.fullmatch(r"[0-9a-f]{8}", shown_id):
        raise NotAKey("a key is spelled name+id+key")
    kind, public_key = raw[0], raw[1:]
    if kind not in {ED25519, COSIGNATURE_V1}:
        raise NotAKey(f"keys of kind 0x{kind:02x} are not known here")
    verifier = (Ed25519Verifier if kind == ED25519 else CosignatureVerifier)(name=name, public_key=public_key)
    if verifier.key_id.hex() != shown_id:
        raise NotAKey("the key's ID does not fit the key")
    return verifier


def unbase64(text: str) -> bytes:
    """Return the bytes that standard base64 spells; the spelling must be the only one.

    Raises:
        NoteRefused: anything else.
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteRefused("not base64") from error
    if base64.b64encode(raw).decode() != text:
        raise NoteRefused("not the one spelling of base64")
    return raw


def is_name(name: str) -> bool:
    """Say whether a key can bear this name in a signature line."""
    return bool(name) and "+" not in name and not any(char.isspace() for char in name)


def _require_name(name: str) -> None:
    if not is_name(name) or CONTROL.search(name):
        raise NotAKey("a key's name is not empty and holds no space and no plus")


def _ed25519(public_key: bytes) -> Ed25519PublicKey:
    try:
        return Ed25519PublicKey.from_public_bytes(public_key)
    except ValueError as error:
        raise NotAKey("an Ed25519 key is 32 bytes long") from error


def _verifies(public_key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        _ed25519(public_key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _spell_vkey(name: str, kind: int, public_key: bytes) -> str:
    encoded = base64.b64encode(bytes([kind]) + public_key).decode()
    return f"{name}+{key_id(name, kind, public_key).hex()}+{encoded}"
