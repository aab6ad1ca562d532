"""The log as a file of JSON lines, for collectors that read files: closed to others, on the disk before it counts as written."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from countersign.auditlog.leaf import Entry
from countersign.service.followers import Unfinished
from countersign.service.streams.webhook import told

TAIL = 1024 * 1024
"""More than the longest line."""
BEGINNING = b'{"type":"'
"""With which each of our lines begins."""
NOT_OURS = "the stream's file ends with something that is not ours"


@dataclass(frozen=True, kw_only=True)
class LineFile:
    """Appends every entry to a file, which may be moved away at any time; the next entry begins a new one.

    What a crash left is looked at first: half a line is cut off, and an entry that is there already is not written again.
    """

    path: Path
    name: str = "file"

    def handle(self, entries: Sequence[Entry]) -> None:
        """Append entries.

        Raises:
            Unfinished: the file cannot be written, or is not ours alone.
        """
        try:
            self._append(entries)
        except OSError as error:
            raise Unfinished(f"the stream's file: {error.strerror or 'an error'}") from error

    def _append(self, entries: Sequence[Entry]) -> None:
        existed = self.path.exists()
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise Unfinished("the stream's file is no plain file, or open to others (chmod 600)")
            last = _mend(descriptor, status.st_size)
            lines = b"".join(_line(entry) for entry in entries if entry.index > last)
            while lines:
                lines = lines[os.write(descriptor, lines) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if not existed:
            _sync_folder(self.path.parent)


def _line(entry: Entry) -> bytes:
    return json.dumps(told(entry), separators=(",", ":")).encode("ascii") + b"\n"


def _mend(descriptor: int, size: int) -> int:
    """Cut off half a line at the end, stand behind the last whole one, and return its index; -1 if there is none."""
    start = max(0, size - TAIL)
    tail = os.pread(descriptor, TAIL, start)
    whole, half = tail[: tail.rfind(b"\n") + 1], tail[tail.rfind(b"\n") + 1 :]
    lines = whole.splitlines()
    try:
        last = int(json.loads(lines[-1])["data"]["index"]) if lines else -1
    except (ValueError, KeyError, TypeError):
        raise Unfinished(NOT_OURS) from None
    if (half and not half.startswith(BEGINNING[: len(half)])) or (start and not lines):
        raise Unfinished(NOT_OURS)  # nothing that somebody else wrote is cut off
    os.ftruncate(descriptor, start + len(whole))
    os.lseek(descriptor, 0, os.SEEK_END)
    return last


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
