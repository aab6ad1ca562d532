"""Whether witnesses vouch for all of a log: what its own keeper says of its newest entries counts only for a moment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from countersign.auditlog.checkpoint import CheckpointRefused, open_checkpoint
from countersign.auditlog.leaf import Entry, Leaf, NotALeaf
from countersign.auditlog.note import CosignatureVerifier, NoteRefused, Verifier
from countersign.auditlog.report import Failure, Report
from countersign.auditlog.witnessing import witnesses_of

WITHIN = timedelta(seconds=60)
"""How much later than the newest cosignature an entry may be that no witness has seen yet."""


@dataclass(kw_only=True)
class CosignCheck:
    """Demands that a quorum of trusted witnesses cosigned, and that nothing is much newer than what they saw.

    Attributes:
        witnesses: their public keys.
        quorum: how many of them must have cosigned one checkpoint.
    """

    witnesses: Sequence[CosignatureVerifier]
    quorum: int
    _last: Entry | None = field(default=None, repr=False)

    def watch(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Pass entries on, and remember the last."""
        for entry in entries:
            self._last = entry
            yield entry

    def judged(self, report: Report, *, checkpoints: Sequence[str], verifiers: Sequence[Verifier]) -> Report:
        """Return the report with what the witnesses do not vouch for; code `not-cosigned`.

        Args:
            report: of the entries that were watched, or of a folder of tiles, whose checkpoint covers all of it.
            checkpoints: signed notes, those that came with the log and those from elsewhere.
            verifiers: keys of the log.
        """
        found = max((self._vouched(note, verifiers) for note in checkpoints), default=(0, 0))
        size, seconds = found
        if size == 0 and seconds == 0:
            detail = f"no checkpoint bears the cosignatures of {self.quorum} trusted witnesses"
            return _with(report, Failure(index=None, code="not-cosigned", detail=detail))
        at = datetime.fromtimestamp(seconds, UTC)
        if report.size > size and (self._last is None or _is_later(self._last, at + WITHIN)):
            told = f"witnesses vouch for {size} of {report.size} entries, the last of them at {at:%Y-%m-%dT%H:%M:%SZ}"
            return _with(report, Failure(index=size, code="not-cosigned", detail=told))
        return report

    def _vouched(self, note: str, verifiers: Sequence[Verifier]) -> tuple[int, int]:
        """Return size and time for which a quorum vouches with this note; zeroes if it does not."""
        try:
            checkpoint = open_checkpoint(note.encode("utf-8", "surrogatepass"), verifiers).checkpoint
            times = sorted(witnesses_of(note, self.witnesses).values())
        except (NoteRefused, CheckpointRefused):
            return 0, 0  # the anchors say what is wrong with it
        return (checkpoint.size, times[self.quorum - 1]) if len(times) >= self.quorum else (0, 0)


def _is_later(entry: Entry, at: datetime) -> bool:
    try:
        return Leaf.decode(entry.leaf).at > at
    except NotALeaf:
        return True


def _with(report: Report, failure: Failure) -> Report:
    return replace(report, failures=(*report.failures, failure))
