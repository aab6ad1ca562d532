"""Work in a process of its own, whose results come through a pipe one after the other.

A pipe is all that the two share: no semaphore and no shared memory, which not every machine has. Whoever of them ends first is
noticed by the other, however it ended.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Generic, Self, TypeVar

Result = TypeVar("Result")


class Apart(Generic[Result]):
    """A process that begins at once and works as far ahead as its pipe holds.

    Args:
        work: yields the results; goes to another process, so it is a function of a module, a method or a partial of one.
    """

    def __init__(self, work: Callable[[], Iterable[Result]]) -> None:
        # A fresh interpreter: a copy of a process that has threads may hang on their locks.
        context = multiprocessing.get_context("spawn")
        self._results, other = context.Pipe(duplex=False)
        self._process = context.Process(target=_work, args=(other, work), daemon=True)
        with other:  # closed here, so that its end is seen if the process breaks off
            self._process.start()

    def result(self) -> Result:
        """Wait for the next result, and return it.

        Raises:
            ChildProcessError: the process ended by itself before it had one.
        """
        try:
            result: Result = self._results.recv()
        except (EOFError, OSError) as error:
            raise ChildProcessError("a process that read the log beside this one ended by itself") from error
        return result

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.is_alive()

    def close(self) -> None:
        """End the process, whatever it is at."""
        self._results.close()
        self._process.terminate()
        self._process.join()

    def __enter__(self) -> Self:
        """Return this."""
        return self

    def __exit__(self, *raised: object) -> None:
        """End the process."""
        self.close()


def _work(results: Connection, work: Callable[[], Iterable[object]]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started it hears the same, and ends it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(BrokenPipeError):  # nobody waits for the rest any more
        for result in work():
            results.send(result)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
