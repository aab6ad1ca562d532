"""Roots that a log is held against: the stored head, and every checkpoint that a key of the log signed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from countersign.auditlog.checkpoint import Checkpoint, CheckpointRefused, OtherOrigin, open_checkpoint, parse_body
from countersign.auditlog.log_keys import KeyChange, LogKeys
from countersign.auditlog.note import NoteRefused, Signature, Verifier, parse_note
from countersign.auditlog.report import Findings


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """Size and root as the log's keeper states them, unsigned."""

    size: int
    root: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Anchor:
    """A root that must come out at a size.

    Attributes:
        origin: the log that it names; None of the head.
        raw: the signed note it stood in.
        signed: by keys that counted when it was opened; with none, its signature is judged once the log was read that far.
        handed: it is there to bring in other keys, and says nothing to whoever does not know the key that signed it.
    """

    size: int
    root: bytes
    what: str
    origin: str | None = None
    raw: bytes = b""
    signed: tuple[Signature, ...] = ()
    handed: bool = False


class Anchors:
    """Walks the anchors by size as the tree grows past them; tells which was the last that fitted.

    Args:
        head: as the store has it.
        checkpoints: signed notes that are to hold.
        verifiers: keys that are trusted from outside.
        handovers: signed notes that may have brought other keys in.
        findings: where what is wrong goes.
    """

    def __init__(
        self,
        *,
        head: Head | None,
        checkpoints: Sequence[str],
        verifiers: Sequence[Verifier],
        findings: Findings,
        handovers: Sequence[str] = (),
    ) -> None:
        self._findings, self._keys = findings, LogKeys(verifiers)
        found = [Anchor(size=head.size, root=head.root, what="the head")] if head else []
        origins = set()
        notes = [(f"checkpoint #{at}", text, False) for at, text in enumerate(checkpoints)]
        notes += [(f"handover #{at}", text, True) for at, text in enumerate(handovers)]
        for what, text, handed in notes:
            opened = self._opened(text.encode("utf-8", "surrogatepass"), what, handed=handed)
            if opened:
                found.append(opened)
                origins.add(str(opened.origin))
        if len(origins) > 1:
            findings.add(None, "checkpoint-origin", f"checkpoints of several logs: {', '.join(sorted(origins))}")
        self._waiting = sorted(found, key=lambda anchor: anchor.size, reverse=True)
        self._fitted = 0

    @property
    def next(self) -> int | None:
        """The size at which the next root is due."""
        return self._waiting[-1].size if self._waiting else None

    @property
    def key_changes(self) -> Sequence[KeyChange]:
        """The keys that were followed, in the order in which they came in."""
        return tuple(self._keys.changes)

    def read(self, index: int, leaf: bytes) -> None:
        """Take the next entry's bytes, before the tree grows by it: it may say which keys sign from then on."""
        self._keys.read(index, leaf)

    def meet(self, size: int, root: Callable[[], bytes]) -> None:
        """Hold the tree's root at `size` against what is due there; `root` is called only if something is."""
        if self.next != size:
            return
        due: list[Anchor] = []
        while self.next == size:
            due.append(self._waiting.pop())
        seen = root()
        # What a key that counts has signed comes first: it may bring in the key of what stands at the same size.
        fits = [
            self._holds(anchor, seen)
            for anchor in sorted(due, key=lambda each: each.origin is not None and not each.signed)
            if self._settled(anchor)
        ]
        if fits and all(fits):
            self._fitted = size

    def finish(self, size: int) -> None:
        """Record every anchor that covers more entries than there are."""
        for anchor in reversed(self._waiting):
            if self._settled(anchor):
                self._findings.add(size, "truncated", f"{anchor.what} covers {anchor.size} entries, there are {size}")
        self._waiting.clear()

    def _opened(self, raw: bytes, what: str, *, handed: bool) -> Anchor | None:
        """Return what a note anchors, if the log it names signed it or may have; else record why not."""
        try:
            checkpoint, signed = self._verified(raw)
        except NoteRefused as error:
            if not handed:
                self._findings.add(None, "checkpoint-signature", f"{what}: {error}")
        except OtherOrigin as error:
            self._findings.add(None, "checkpoint-origin", f"{what}: {error}")
        except CheckpointRefused as error:
            self._findings.add(None, "checkpoint-format", f"{what}: {error}")
        else:
            return Anchor(
                size=checkpoint.size,
                root=checkpoint.root,
                what=f"{what} of {checkpoint.origin}",
                origin=checkpoint.origin,
                raw=raw,
                signed=signed,
                handed=handed,
            )
        return None

    def _verified(self, raw: bytes) -> tuple[Checkpoint, tuple[Signature, ...]]:
        """Return a checkpoint with what known keys signed; with nothing if it is by keys of this log that are not known yet."""
        try:
            opened = open_checkpoint(raw, self._keys.verifiers)
        except OtherOrigin:
            raise
        except NoteRefused:
            note = parse_note(raw)
            known = {(each.name, each.key_id) for each in self._keys.verifiers}
            checkpoint = parse_body(note.text)
            may_come = {name for name, _ in known} & {checkpoint.origin} & {each.name for each in note.signatures}
            if not may_come or any((each.name, each.key_id) in known for each in note.signatures):
                raise
            return checkpoint, ()
        return opened.checkpoint, opened.note.verified

    def _settled(self, anchor: Anchor) -> bool:
        """Say whether a key that counts here signed an anchor; record what is wrong with it if none did."""
        if anchor.origin is None:
            return True
        try:
            signed = anchor.signed or open_checkpoint(anchor.raw, self._keys.verifiers).note.verified
        except NoteRefused:
            if not anchor.handed:
                named = ", ".join(f"{each.name}+{each.key_id.hex()}" for each in parse_note(anchor.raw).signatures)
                detail = (
                    f"{anchor.what}: signed by {named}, which is not trusted here; no change of keys by two people, "
                    "under a checkpoint of a key that is, brought it in"
                )
                self._findings.add(None, "checkpoint-signature", detail)
            return False
        objections = [self._keys.objection(each.name, each.key_id) for each in signed if each.name == anchor.origin]
        told = objections[0] if objections and all(objections) else None
        if told is not None:
            self._findings.add(None, "key-retired", f"{anchor.what}, of {anchor.size} entries: {told}")
        return told is None

    def _holds(self, anchor: Anchor, seen: bytes) -> bool:
        if anchor.root == seen:
            if anchor.origin is not None:
                self._keys.covered(anchor.size)
            return True
        self._findings.add(
            self._fitted,
            "root-mismatch",
            f"{anchor.what} has root {anchor.root.hex()} at size {anchor.size}, the entries have {seen.hex()}: "
            f"something at or after entry {self._fitted} is not what was committed to",
        )
        return False
