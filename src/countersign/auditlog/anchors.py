"""Roots that a log is held against: the stored head, and every checkpoint that a trusted key signed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from countersign.auditlog.checkpoint import Checkpoint, CheckpointRefused, OtherOrigin, open_checkpoint
from countersign.auditlog.note import NoteRefused, Verifier
from countersign.auditlog.report import Findings


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """Size and root as the log's keeper states them, unsigned."""

    size: int
    root: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Anchor:
    """A root that must come out at a size."""

    size: int
    root: bytes
    what: str


def open_anchor(raw: bytes, what: str, verifiers: Sequence[Verifier], findings: Findings) -> Checkpoint | None:
    """Return the checkpoint if it is signed by the log it names; else record why not."""
    try:
        return open_checkpoint(raw, verifiers).checkpoint
    except NoteRefused as error:
        findings.add(None, "checkpoint-signature", f"{what}: {error}")
    except OtherOrigin as error:
        findings.add(None, "checkpoint-origin", f"{what}: {error}")
    except CheckpointRefused as error:
        findings.add(None, "checkpoint-format", f"{what}: {error}")
    return None


class Anchors:
    """Walks the anchors by size as the tree grows past them; tells which was the last that fitted."""

    def __init__(
        self, *, head: Head | None, checkpoints: Sequence[str], verifiers: Sequence[Verifier], findings: Findings
    ) -> None:
        self._findings = findings
        found = [Anchor(size=head.size, root=head.root, what="the head")] if head else []
        origins = set()
        for at, text in enumerate(checkpoints):
            checkpoint = open_anchor(text.encode("utf-8", "surrogatepass"), f"checkpoint #{at}", verifiers, findings)
            if checkpoint:
                what = f"checkpoint #{at} of {checkpoint.origin}"
                found.append(Anchor(size=checkpoint.size, root=checkpoint.root, what=what))
                origins.add(checkpoint.origin)
        if len(origins) > 1:
            findings.add(None, "checkpoint-origin", f"checkpoints of several logs: {', '.join(sorted(origins))}")
        self._waiting = sorted(found, key=lambda anchor: anchor.size, reverse=True)
        self._fitted = 0

    @property
    def next(self) -> int | None:
        """The size at which the next root is due."""
        return self._waiting[-1].size if self._waiting else None

    def meet(self, size: int, root: Callable[[], bytes]) -> None:
        """Hold the tree's root at `size` against what is due there; `root` is called only if something is."""
        if self.next != size:
            return
        seen, fits = root(), True
        while self.next == size:
            anchor = self._waiting.pop()
            if anchor.root != seen:
                fits = False
                self._findings.add(
                    self._fitted,
                    "root-mismatch",
                    f"{anchor.what} has root {anchor.root.hex()} at size {size}, the entries have {seen.hex()}: "
                    f"something at or after entry {self._fitted} is not what was committed to",
                )
        if fits:
            self._fitted = size

    def finish(self, size: int) -> None:
        """Record every anchor that covers more entries than there are."""
        for anchor in reversed(self._waiting):
            self._findings.add(size, "truncated", f"{anchor.what} covers {anchor.size} entries, there are {size}")
        self._waiting.clear()
