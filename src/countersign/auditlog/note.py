"""Signed notes (C2SP signed-note v1.0.0): text, and the signatures of keys that somebody trusts.

A signature is found by key name and key ID. Those of unknown keys are ignored, so that logs can change keys and
witnesses can add theirs; one of a known key that fails condemns the whole note.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from countersign.auditlog.note_keys import (
    CONTROL,
    COSIGNATURE_V1,
    ED25519,
    KEY_ID_SIZE,
    CosignatureVerifier,
    Ed25519Verifier,
    NotAKey,
    NoteRefused,
    cosigned_at,
    cosigned_message,
    is_name,
    key_id,
    read_vkey,
    unbase64,
)

__all__ = [
    "COSIGNATURE_V1",
    "ED25519",
    "LARGEST_NOTE",
    "CosignatureVerifier",
    "Ed25519Verifier",
    "NotAKey",
    "Note",
    "NoteRefused",
    "Signature",
    "Signer",
    "UnverifiedNote",
    "Verifier",
    "cosigned_at",
    "cosigned_message",
    "key_id",
    "open_note",
    "parse_note",
    "read_vkey",
    "sign_note",
    "unbase64",
]

LARGEST_NOTE = 1_000_000
"""Bytes; post-quantum signatures take up to 5 kB each."""
MOST_SIGNATURES = 100
"""What Go's reader accepts; the specification asks for at least 16."""

_DASH = "\u2014"


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
    if CONTROL.search(whole):
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


def _signature(row: str) -> Signature:
    dash, _, rest = row.partition(" ")
    name, _, encoded = rest.partition(" ")
    if dash != _DASH or not is_name(name):
        raise NoteRefused("a signature line is a dash, a name and base64")
    raw = unbase64(encoded)
    if len(raw) <= KEY_ID_SIZE:
        raise NoteRefused("a signature line holds a key ID and a signature")
    return Signature(name=name, key_id=raw[:KEY_ID_SIZE], signature=raw[KEY_ID_SIZE:])
