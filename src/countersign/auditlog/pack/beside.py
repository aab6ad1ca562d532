"""A transcript in a process of its own, so that a long log is read by one processor while another one takes it down.

Blocks go there through one pipe, and come to rest in a file there; what came of them returns through another one at the end. The
process ends with whoever started it, because its pipe does.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any, Self

from countersign.auditlog.pack.selection import Selection
from countersign.auditlog.pack.source import PackRefused
from countersign.auditlog.pack.transcript import Outline, Proofs, here

_AT_ONCE = 1 << 20


@contextmanager
def beside(origin: str, selection: Selection) -> Iterator[Beside]:
    """Yield a transcript of the log of this name, for a selection; its process is gone when the block ends."""
    # A fresh interpreter: a copy of a process that has threads may hang on their locks.
    fresh = multiprocessing.get_context("spawn")
    theirs, blocks = fresh.Pipe(duplex=False)
    answers, answering = fresh.Pipe(duplex=False)
    process = fresh.Process(target=_work, args=(theirs, answering, origin, selection), daemon=True)
    with theirs, answering:
        process.start()
    try:
        with blocks, answers:
            yield Beside(blocks, answers)
    finally:
        process.join()


class Beside:
    """Takes down a log in another process.

    Args:
        blocks: to that process.
        answers: from it.
    """

    def __init__(self, blocks: Connection, answers: Connection) -> None:
        self._blocks, self._answers, self._left = blocks, answers, b""

    def write(self, leaves: Sequence[bytes]) -> None:
        """Hand over the next block, as soon as the one before is done.

        Raises:
            PackRefused: an entry is not what one of its type says.
            OSError: the other process is gone, or cannot write.
        """
        self._send(list(leaves))

    def finish(self) -> Outline:
        """Return what came of it."""
        self._send(None)
        outline: Outline = self._answer()
        return outline

    def proofs(self, indices: Iterable[int]) -> Proofs:
        """Return the audit paths of entries."""
        self._send(list(indices))
        proofs: Proofs = self._answer()
        return proofs

    def opened(self) -> Self:
        """Return the bytes that were written: this, to be read."""
        return self

    def read(self, size: int) -> bytes:
        """Return so many of the bytes that were written."""
        while len(self._left) < size:
            self._left += self._answer()
        raw, self._left = self._left[:size], self._left[size:]
        return raw

    def _send(self, what: object) -> None:
        try:
            self._blocks.send(what)
        except OSError:
            self._answer()  # says why it reads no more
            raise

    def _answer(self) -> Any:  # noqa: ANN401 - whatever was asked for
        try:
            answer = self._answers.recv()
        except (EOFError, OSError) as error:
            raise ChildProcessError("the process that took down the log ended by itself") from error
        if isinstance(answer, PackRefused | OSError):
            raise answer
        return answer


def _work(blocks: Connection, answers: Connection, origin: str, selection: Selection) -> None:
    """Take blocks up to None, then indices to prove; answer with what came of it, then proofs, then what was written."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started it hears the same, and closes the pipe
    with here(origin, selection) as transcript:
        try:
            while (leaves := blocks.recv()) is not None:
                transcript.write(leaves)
            answers.send(transcript.finish())
            answers.send(transcript.proofs(blocks.recv()))
            written = transcript.opened()
            while raw := written.read(_AT_ONCE):
                answers.send(raw)
        except (PackRefused, OSError) as fault:
            with suppress(OSError):  # perhaps nobody waits for it any more
                answers.send(fault)
        except EOFError:
            return
