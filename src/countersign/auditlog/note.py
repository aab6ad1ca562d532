"""Signed notes (C2SP signed-note v1.0.0): text, and the signatures of keys that somebody trusts.

A signature is found by key name and key ID. Those of unknown keys are ignored, so that logs can change keys and
witnesses can add theirs; one of a known key that fails condemns the whole note.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ED25519 = 0x01
COSIGNATURE_V1 = 0x04
KEY_ID_SIZE = 4
LARGEST_NOTE = 1_000_000
"""Bytes; post-quantum signatures take up to 5 kB each."""
MOST_SIGNATURES = 100
"""What Go's reader accepts; the specification asks for at least 16."""

_DASH = "\u2014"
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


class NoteRefused(ValueError):
    """Bytes that are no signed note, or a note that no trusted key vouches for."""


class NotAKey(ValueError):
    """A text that is not a verifier key of a kind known here."""


class Verifier(Protocol):
    """A trusted public key under its name."""

    @property
    def name(self) -> str:
        """The key's name; a log's equals its origin."""

    @property
    def key_id(self) -> bytes:
        """Four bytes that tell keys of one name apart."""

    def verify(self, text: bytes, signature: bytes) -> bool:
        """Return whether the key signed this note text."""


class Signer(Protocol):
    """A private key under its name, wherever it lives."""

    @property
    def name(self) -> str:
        """The key's name; a log's equals its origin."""

    @property
    def key_id(self) -> bytes:
        """Four bytes that tell keys of one name apart."""

    def sign(self, text: bytes) -> bytes:
        """Return the signature over a note text, without the key ID."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """One signature line: who claims to have signed, and the bytes without the key ID."""

    name: str
    key_id: bytes
    signature: bytes

    def line(self) -> str:
        """Return the line, with its newline, as it stands in a note."""
        return f"{_DASH} {self.name} {base64.b64encode(self.key_id + self.signature).decode()}\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class UnverifiedNote:
    """A note that is well-formed; nothing is known of its signatures."""

    text: str
    signatures: tuple[Signature, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """A note of which every signature in `verified` was checked and at least one is there; the rest were ignored."""

    text: str
    verified: tuple[Signature, ...]
    ignored: tuple[Signature, ...]

    def signed_by(self, verifier: Verifier) -> bool:
        """Return whether this key's signature was among the verified ones."""
        return any((item.name, item.key_id) == (verifier.name, verifier.key_id) for item in self.verified)


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


def parse_note(raw: bytes) -> UnverifiedNote:
    """Take a note apart without trusting it.

    Raises:
        NoteRefused: too long, not UTF-8, a control character, no blank line, no signature, or a bad signature line.
    """
    if len(raw) > LARGEST_NOTE:
        raise NoteRefused(f"a note is at most {LARGEST_NOTE} bytes long")
    try:
        whole = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NoteRefused("a note is UTF-8") from error
    if _CONTROL.search(whole):
        raise NoteRefused("a note holds no control character but newline")
    split = whole.rfind("\n\n")
    text, lines = whole[: split + 1], whole[split + 2 :]
    if split < 0 or not lines.endswith("\n"):
        raise NoteRefused("a note is text, a blank line and signature lines")
    rows = lines[:-1].split("\n")
    if len(rows) > MOST_SIGNATURES:
        raise NoteRefused(f"a note has at most {MOST_SIGNATURES} signatures")
    return UnverifiedNote(text=text, signatures=tuple(_signature(row) for row in rows))


def open_note(raw: bytes, verifiers: Iterable[Verifier]) -> Note:
    """Return the note once every signature of a known key was checked.

    Raises:
        NoteRefused: not a note; a signature of a known key fails; or none of a known key is there.
    """
    known = {(verifier.name, verifier.key_id): verifier for verifier in verifiers}
    note = parse_note(raw)
    text = note.text.encode()
    verified: dict[tuple[str, bytes], Signature] = {}
    ignored = []
    for item in note.signatures:
        verifier = known.get((item.name, item.key_id))
        if verifier is None:
            ignored.append(item)
        elif verifier.verify(text, item.signature):
            verified.setdefault((item.name, item.key_id), item)
        else:
            raise NoteRefused(f"the signature of {item.name} does not verify")
    if not verified:
        raise NoteRefused("no key that is trusted here signed the note")
    return Note(text=note.text, verified=tuple(verified.values()), ignored=tuple(ignored))


def sign_note(text: str, signers: Sequence[Signer], *, others: Sequence[Signature] = ()) -> str:
    """Return the note with the signers' lines first and others' lines, kept as they are, after them.

    Raises:
        NoteRefused: the text does not end in a newline, cannot stand in a note, or nobody signs.
    """
    own = [Signature(name=one.name, key_id=one.key_id, signature=one.sign(text.encode())) for one in signers]
    whole = f"{text}\n{''.join(item.line() for item in (*own, *others))}"
    if not text.endswith("\n") or parse_note(whole.encode()).text != text:
        raise NoteRefused("a note's text ends in a newline")
    return whole


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


def _signature(row: str) -> Signature:
    dash, _, rest = row.partition(" ")
    name, _, encoded = rest.partition(" ")
    if dash != _DASH or not _is_name(name):
        raise NoteRefused("a signature line is a dash, a name and base64")
    raw = unbase64(encoded)
    if len(raw) <= KEY_ID_SIZE:
        raise NoteRefused("a signature line holds a key ID and a signature")
    return Signature(name=name, key_id=raw[:KEY_ID_SIZE], signature=raw[KEY_ID_SIZE:])


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(char.isspace() for char in name)


def _require_name(name: str) -> None:
    if not _is_name(name) or _CONTROL.search(name):
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
