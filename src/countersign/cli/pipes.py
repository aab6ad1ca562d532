"""Writing to a reader who may go away: the rest is not written anywhere, and the command comes to its own end and exit code.

A command's exit code is often a verdict (`verify`, `policy prove`); that somebody read only its first lines changes no verdict.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from countersign.cli.failures import CommandFailed


def put(text: str, stream: TextIO | None) -> None:
    """Write a line to a stream; nowhere, once its reader has gone or where it was closed from the start.

    Raises:
        CommandFailed: it cannot be written for another cause: a full disk, say.
    """
    if stream is None:
        return
    with _written(stream):
        print(text, file=stream)


def flush() -> None:
    """Write what is still held back of both streams.

    Raises:
        CommandFailed: as of `put`.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with _written(stream):
                stream.flush()


@contextmanager
def _written(stream: TextIO) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        _leave(stream)
    except OSError as error:
        _leave(stream)
        raise CommandFailed(f"the output cannot be written: {error.strerror}", code="unwritable") from None


def _leave(stream: TextIO) -> None:
    """Let go nowhere what is held back for a stream, and what is still written to it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, stream.fileno())
    finally:
        os.close(nowhere)
