"""Where the detectors run in a replay: in its own process, or beside it in another, to which every leaf is handed on."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Protocol

from countersign.auditlog.leaf import Fact, NotALeaf, fact_of, spelled
from countersign.auditlog.meaning.detectors import Detectors
from countersign.auditlog.meaning.findings import DEFAULT, Finding, Thresholds

Found = tuple[Finding, str]
"""A finding, and the spelled time of the entry that shows it."""

AT_ONCE = 2_000
"""Leaves that are handed over together."""
WORTH_IT = 50_000
"""Entries from which on a second process is worth its start."""


class Watching(Protocol):
    """Detectors that see every fact of a replay."""

    def watch(self, index: int, fact: Fact, leaf: bytes) -> None:
        """See the next fact, and the bytes that say it."""
        ...

    def found(self) -> Sequence[Found]:
        """Return all that was found, in the order of the entries."""
        ...


@dataclass(slots=True)
class Here:
    """Detectors in this process."""

    detectors: Detectors
    _found: list[Found] = field(default_factory=list)

    def watch(self, index: int, fact: Fact, leaf: bytes) -> None:
        """See the next fact."""
        del leaf
        for finding in self.detectors.feed(index, fact):
            self._found.append((finding, fact["at"]))

    def found(self) -> Sequence[Found]:
        """Return all that was found."""
        return self._found


@dataclass(slots=True)
class Beside:
    """Detectors in a process of their own, once the log is long enough; they put the rules together by themselves.

    What was found is asked for at the end of the log; nothing is watched after that.
    """

    thresholds: Thresholds = DEFAULT
    worth_it: int = WORTH_IT
    _waiting: list[tuple[int, bytes]] = field(default_factory=list)
    _found: Sequence[Found] | None = None
    _process: BaseProcess | None = None
    _pipe: Connection | None = None

    def watch(self, index: int, fact: Fact, leaf: bytes) -> None:
        """See the next fact, by its bytes."""
        self._waiting.append((index, leaf or spelled(fact)))
        if len(self._waiting) >= (AT_ONCE if self._pipe else self.worth_it):
            self._hand_over()

    def found(self) -> Sequence[Found]:
        """Return all that was found, and end the other process.

        Raises:
            EOFError: the other process broke off.
        """
        if self._found is None and self._pipe is not None and self._process is not None:
            self._hand_over()
            self._pipe.send(None)
            self._found = self._pipe.recv()
            self._process.join()
        elif self._found is None:
            here = Here(detectors=Detectors(self.thresholds))
            _watch_all(here, self._waiting)
            self._found = here.found()
        return self._found

    def _hand_over(self) -> None:
        if self._pipe is None:
            # A fresh interpreter: a copy of a process that has threads may hang on their locks.
            context = multiprocessing.get_context("spawn")
            self._pipe, other = context.Pipe()
            self._process = context.Process(target=_work, args=(other, self.thresholds), daemon=True)
            self._process.start()
            other.close()  # so that its end is seen here
        self._pipe.send(self._waiting)
        self._waiting = []


def _work(pipe: Connection, thresholds: Thresholds) -> None:
    here = Here(detectors=Detectors(thresholds))
    while (leaves := pipe.recv()) is not None:
        _watch_all(here, leaves)
    pipe.send(here.found())


def _watch_all(here: Here, leaves: Sequence[tuple[int, bytes]]) -> None:
    for index, leaf in leaves:
        try:
            fact = fact_of(leaf)
        except NotALeaf:
            continue
        here.watch(index, fact, leaf)
