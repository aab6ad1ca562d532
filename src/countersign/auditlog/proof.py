"""Proof files (C2SP tlog-proof): one text that shows, offline, that an entry stands in a log others have seen.

What is proven hangs on keys that the reader brought: the log's, and as many witnesses' as he asks for.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass

from countersign.auditlog.checkpoint import OpenedCheckpoint, open_checkpoint
from countersign.auditlog.merkle import HASH_SIZE, LARGEST_SIZE, ProofRefused, leaf_hash, verify_inclusion
from countersign.auditlog.note import NoteRefused, Verifier, unbase64

HEADER = "c2sp.org/tlog-proof@v1"
SUFFIX = ".tlog-proof"

_INDEX = re.compile(r"index (0|[1-9][0-9]{0,19})")
_MOST_HASHES = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class LogProof:
    """A proof file's content; nothing in it is verified yet.

    Attributes:
        index: the entry's zero-based place.
        hashes: the audit path, the leaf's sibling first.
        checkpoint: the signed note, verbatim.
        extra: what an application added. Nobody signed it.
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: str
    extra: bytes | None = None

    def encode(self) -> bytes:
        """Return the file's bytes."""
        lines = [HEADER]
        if self.extra is not None:
            lines.append(f"extra {base64.b64encode(self.extra).decode()}")
        lines.append(f"index {self.index}")
        lines.extend(base64.b64encode(item).decode() for item in self.hashes)
        return ("\n".join(lines) + "\n\n" + self.checkpoint).encode()

    @classmethod
    def decode(cls, raw: bytes) -> LogProof:
        """Return the proof that a file spells.

        Raises:
            ProofRefused: the file has another form, or a hash that is not 32 bytes.
        """
        try:
            head, blank, checkpoint = raw.decode("utf-8").partition("\n\n")
            first, *lines = head.split("\n")
            extra = unbase64(lines.pop(0).removeprefix("extra ")) if lines and lines[0].startswith("extra ") else None
            index = _INDEX.fullmatch(lines.pop(0)) if lines else None
            hashes = tuple(unbase64(line) for line in lines)
        except (UnicodeDecodeError, NoteRefused) as error:
            raise ProofRefused("a proof file is UTF-8 text with hashes in base64") from error
        if first != HEADER or index is None or not blank or not checkpoint:
            raise ProofRefused(f"a proof file is {HEADER}, an index, hashes, a blank line and a checkpoint")
        if (
            len(hashes) > _MOST_HASHES
            or any(len(item) != HASH_SIZE for item in hashes)
            or int(index[1]) >= LARGEST_SIZE
        ):
            raise ProofRefused(
                f"a proof has at most {_MOST_HASHES} hashes of {HASH_SIZE} bytes, and an index of 64 bits"
            )
        return cls(index=int(index[1]), hashes=hashes, checkpoint=checkpoint, extra=extra)


def verify_proof(
    proof: LogProof, leaf: bytes, *, log: Verifier, witnesses: Sequence[Verifier] = (), quorum: int = 0
) -> OpenedCheckpoint:
    """Return the checkpoint under which `leaf` stands at `proof.index`.

    Args:
        proof: the parsed file.
        leaf: the entry's bytes.
        log: the key of the log that is accepted; its name is the origin.
        witnesses: keys of witnesses that are trusted.
        quorum: how many of them must have cosigned.

    Raises:
        NoteRefused: the log's key did not sign, or a known signature fails.
        CheckpointRefused: the note is no checkpoint of that log.
        ProofRefused: too few witnesses, or the path does not lead to the root.
    """
    opened = open_checkpoint(proof.checkpoint.encode(), [log, *witnesses])
    if not opened.note.signed_by(log) or opened.checkpoint.origin != log.name:
        raise ProofRefused(f"the checkpoint is not signed by {log.name}")
    seen = {(item.name, item.key_id) for item in opened.note.verified} - {(log.name, log.key_id)}
    if len(seen) < quorum:
        raise ProofRefused(f"{len(seen)} trusted witnesses cosigned, not {quorum}")
    checkpoint = opened.checkpoint
    verify_inclusion(
        index=proof.index,
        size=checkpoint.size,
        leaf=leaf_hash(leaf),
        root=checkpoint.root,
        proof=proof.hashes,
    )
    return opened
