"""Checkpoints (C2SP tlog-checkpoint v1.0.0): a log's name, size and root, as a signed note.

The log signs under a key whose name is its origin. Whoever trusts that key therefore knows which log he looks at.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass

from countersign.auditlog.merkle import HASH_SIZE, LARGEST_SIZE
from countersign.auditlog.note import Note, NoteRefused, Signature, Signer, Verifier, open_note, sign_note, unbase64

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,19}")


class CheckpointRefused(ValueError):
    """A text that is no checkpoint, or a checkpoint of another log."""


class OtherOrigin(CheckpointRefused):
    """A checkpoint that is signed, but not by the key of the log it names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """What a log commits to.

    Attributes:
        origin: the log's name, a schema-less URL.
        size: number of entries.
        root: root hash at that size.
        extensions: further lines; nobody audits them and we write none.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.size <= LARGEST_SIZE or len(self.root) != HASH_SIZE:
            raise CheckpointRefused("a checkpoint has a size and a root of 32 bytes")
        if any(not line or "\n" in line for line in (self.origin, *self.extensions)):
            raise CheckpointRefused("origin and extensions are lines that are not empty")

    def body(self) -> str:
        """Return the note text that is signed."""
        lines = (self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenedCheckpoint:
    """A checkpoint whose log's signature was verified, with the note it stood in."""

    checkpoint: Checkpoint
    note: Note


def parse_body(text: str) -> Checkpoint:
    """Return the checkpoint that a note text spells.

    Raises:
        CheckpointRefused: fewer than three lines, an empty line, a size with leading zeroes, a root that is no hash.
    """
    *lines, end = text.split("\n")
    if end or len(lines) < 3 or not all(lines):  # noqa: PLR2004 - origin, size and root
        raise CheckpointRefused("a checkpoint is three lines or more, none of them empty")
    origin, size, root, *extensions = lines
    if not _DECIMAL.fullmatch(size):
        raise CheckpointRefused("a checkpoint's size is a decimal number")
    try:
        raw = unbase64(root)
    except NoteRefused as error:
        raise CheckpointRefused("a checkpoint's root is base64") from error
    return Checkpoint(origin=origin, size=int(size), root=raw, extensions=tuple(extensions))


def sign_checkpoint(checkpoint: Checkpoint, signers: Sequence[Signer], *, others: Sequence[Signature] = ()) -> str:
    """Return the signed note. The caller has made sure that it contradicts no earlier one.

    Raises:
        OtherOrigin: no signer bears the origin's name.
    """
    if all(signer.name != checkpoint.origin for signer in signers):
        raise OtherOrigin(f"no signer is named {checkpoint.origin}")
    return sign_note(checkpoint.body(), signers, others=others)


def open_checkpoint(raw: bytes, verifiers: Sequence[Verifier]) -> OpenedCheckpoint:
    """Return a checkpoint that a trusted key of the log it names has signed.

    Args:
        raw: the signed note.
        verifiers: trusted keys; witnesses' keys may be among them but vouch for no origin.

    Raises:
        NoteRefused: not a note, a trusted key's signature fails, or none is there.
        CheckpointRefused: the text is no checkpoint.
        OtherOrigin: only keys of other names signed.
    """
    note = open_note(raw, verifiers)
    checkpoint = parse_body(note.text)
    if all(item.name != checkpoint.origin for item in note.verified):
        raise OtherOrigin(f"no trusted key named {checkpoint.origin} signed")
    return OpenedCheckpoint(checkpoint=checkpoint, note=note)
