"""The replay of a log that lies as tiles, whose bytes were verified before: of a long one by two processes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from countersign.auditlog.meaning.check import MeaningCheck
from countersign.auditlog.meaning.watching import Beside
from countersign.auditlog.tiles import WIDTH, BadTile, LogDirectory

WORTH_IT = 100_000
"""Entries from which on a second process is worth its start."""


def replay_directory(log: LogDirectory, size: int, check: MeaningCheck, *, processes: int = 1) -> None:
    """Let a replay read the first `size` entries, as far as there are bundles.

    Args:
        log: the folder; `verify_directory` has verified its bytes, and how its leaves are spelled.
        size: how many entries were verified.
        check: a replay that has read nothing yet.
        processes: with more than one, the detectors read a long log beside the judges.
    """
    source = partial(leaves_of, log, size)
    if processes > 1 and size >= WORTH_IT:
        check.watched_by(Beside(source, thresholds=check.thresholds))
    for index, leaf in source():
        check.take(index, leaf)


def leaves_of(log: LogDirectory, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield indexes and leaves; ends early where a bundle cannot be read, which whoever verified the bytes has said."""
    for start in range(0, size, WIDTH):
        try:
            leaves = log.leaves(start // WIDTH, min(WIDTH, size - start))
        except BadTile:
            return
        yield from enumerate(leaves, start)
