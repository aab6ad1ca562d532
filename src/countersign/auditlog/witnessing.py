"""What a log and a witness say to each other (C2SP tlog-witness v1.0.0), and the checkpoint that bears their cosignatures.

A witness signs only trees that grow out of the one it signed last; so that whoever trusts it sees one history, and not one
of two.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from countersign.auditlog.merkle import HASH_SIZE, LARGEST_SIZE
from countersign.auditlog.note import (
    COSIGNATURE_V1,
    ED25519,
    CosignatureVerifier,
    NotAKey,
    NoteRefused,
    Signature,
    Verifier,
    cosigned_at,
    open_note,
    parse_note,
    read_vkey,
    unbase64,
)

ADD_CHECKPOINT = "/add-checkpoint"
SIZE_TYPE = "text/x.tlog.size"
MOST_PROOF_LINES = 63
LARGEST_SUBMISSION = 256 * 1024
"""Bytes: sixteen of the largest signatures and a proof fit several times over."""

_OLD = re.compile(r"old (0|[1-9][0-9]{0,19})")
_SIZE = re.compile(rb"(0|[1-9][0-9]{0,19})\n")


class SubmissionRefused(ValueError):
    """Bytes that are no submission to a witness."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """The body of `add-checkpoint`; nothing in it is verified yet.

    Attributes:
        old_size: the size that the witness is thought to have signed last.
        proof: that the checkpoint's tree begins with the tree of that size.
        checkpoint: the signed note, verbatim.
    """

    old_size: int
    proof: tuple[bytes, ...]
    checkpoint: bytes

    def encode(self) -> bytes:
        """Return the body."""
        hashes = "".join(f"{base64.b64encode(item).decode()}\n" for item in self.proof)
        return f"old {self.old_size}\n{hashes}\n".encode() + self.checkpoint

    @classmethod
    def decode(cls, raw: bytes) -> Submission:
        """Return the submission that a body spells.

        Raises:
            SubmissionRefused: the body is too long or has another form.
        """
        head, blank, checkpoint = raw.partition(b"\n\n")
        if len(raw) > LARGEST_SUBMISSION or not blank:
            raise SubmissionRefused("a submission is an old size, a proof, a blank line and a checkpoint")
        try:
            first, *lines = head.decode("ascii").split("\n")
            hashes = tuple(unbase64(line) for line in lines)
        except (UnicodeDecodeError, NoteRefused) as error:
            raise SubmissionRefused("a proof's lines are base64") from error
        old = _OLD.fullmatch(first)
        if old is None or int(old[1]) > LARGEST_SIZE:
            raise SubmissionRefused("the first line is old, a space, and a decimal number without leading zeroes")
        if len(hashes) > MOST_PROOF_LINES or any(len(item) != HASH_SIZE for item in hashes):
            raise SubmissionRefused(f"a proof has at most {MOST_PROOF_LINES} hashes of {HASH_SIZE} bytes")
        return cls(old_size=int(old[1]), proof=hashes, checkpoint=checkpoint)


def read_size(raw: bytes) -> int | None:
    """Return the size that a witness answered on a conflict, or None if it is no such answer."""
    found = _SIZE.fullmatch(raw)
    return int(found[1]) if found else None


def read_cosignatures(answer: bytes, *, text: str, witness: Verifier) -> Signature:
    """Return the one cosignature in a witness's answer that its trusted key made over a checkpoint's text.

    Lines of other keys are ignored, as the specification asks.

    Raises:
        NoteRefused: no signature lines, or the witness's own is missing or does not verify.
    """
    note = open_note(text.encode() + b"\n" + answer, [witness])
    if note.text != text:
        raise NoteRefused("an answer of a witness is signature lines, and nothing else")
    return note.verified[0]


def with_cosignatures(note: str, cosignatures: Iterable[Signature]) -> str:
    """Return a checkpoint with further signature lines after its own; a newer line of a key replaces its older one.

    Raises:
        NoteRefused: it is no note.
    """
    parsed = parse_note(note.encode())
    lines = {(item.name, item.key_id): item for item in parsed.signatures}
    lines |= {(item.name, item.key_id): item for item in cosignatures}
    return parsed.text + "\n" + "".join(item.line() for item in lines.values())


def witnesses_of(note: str, witnesses: Sequence[Verifier]) -> Mapping[str, int]:
    """Return which of these witnesses cosigned a checkpoint, by name, and when (in seconds since 1970).

    Raises:
        NoteRefused: it is no note, or the cosignature of one of them does not verify.
    """
    parsed = parse_note(note.encode())
    known = {(one.name, one.key_id) for one in witnesses}
    if not any((item.name, item.key_id) in known for item in parsed.signatures):
        return {}
    return {item.name: cosigned_at(item.signature) for item in open_note(note.encode(), witnesses).verified}


def read_witness_key(vkey: str) -> CosignatureVerifier:
    """Return a witness's key.

    Raises:
        NotAKey: it is no key, or a log's rather than a witness's.
    """
    verifier = read_vkey(vkey)
    if not isinstance(verifier, CosignatureVerifier):
        raise NotAKey(f"a witness's key is of type 0x{COSIGNATURE_V1:02x}, not 0x{ED25519:02x}")
    return verifier
