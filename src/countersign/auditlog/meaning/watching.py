"""Where the detectors run in a replay: along with it, or beside it in a process of their own that reads the same leaves."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from countersign.auditlog.apart import Apart
from countersign.auditlog.leaf import Fact, NotALeaf, fact_of
from countersign.auditlog.meaning.detectors import Detectors
from countersign.auditlog.meaning.findings import DEFAULT, Finding, Thresholds

Found = tuple[Finding, str]
"""A finding, and the spelled time of the entry that shows it."""
Source = Callable[[], Iterable[tuple[int, bytes]]]
"""Opens a log and yields its indexes and leaves; goes to another process, so it is a function of a module or a partial of one."""

GARBAGE_AFTER = 100_000
"""How many values a process that does nothing but replay makes before it looks for cycles, of which a replay makes none."""


class Watching(Protocol):
    """Detectors that see every fact of a replay."""

    def watch(self, index: int, fact: Fact) -> None:
        """See the next fact."""
        ...

    def found(self) -> Sequence[Found]:
        """Return all that was found so far, in the order of the entries."""
        ...


@dataclass(slots=True)
class Along:
    """Detectors in this process."""

    detectors: Detectors
    _found: list[Found] = field(default_factory=list)

    def watch(self, index: int, fact: Fact) -> None:
        """See the next fact."""
        for finding in self.detectors.feed(index, fact):
            self._found.append((finding, fact["at"]))

    def found(self) -> Sequence[Found]:
        """Return all that was found."""
        return self._found


class Beside:
    """Detectors in a process of their own, which begins at once and reads the log by itself.

    What was found is asked for at the end of the log. The rules it puts together from the facts, as detectors at work do.

    Args:
        source: the log that the replay reads as well.
        thresholds: as for the detectors.
    """

    def __init__(self, source: Source, *, thresholds: Thresholds = DEFAULT) -> None:
        self._other: Apart[Sequence[Found]] = Apart(partial(_work, source, thresholds))
        self._found: Sequence[Found] | None = None

    def watch(self, index: int, fact: Fact) -> None:
        """Pass over a fact: the other process reads it too."""

    def found(self) -> Sequence[Found]:
        """Wait for the other process, and return all that it found.

        Raises:
            ChildProcessError: it broke off.
        """
        if self._found is None:
            with self._other:
                self._found = self._other.result()
        return self._found


def _work(source: Source, thresholds: Thresholds) -> Iterator[Sequence[Found]]:
    gc.set_threshold(GARBAGE_AFTER)
    along = Along(detectors=Detectors(thresholds))
    for index, leaf in source():
        try:
            fact = fact_of(leaf)
        except NotALeaf:
            continue
        along.watch(index, fact)
    yield along.found()
