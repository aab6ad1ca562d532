"""Follows a growing file of lines through rotation, truncation and restarts, and says when something was lost.

A place is a file's identity, an offset, and a fingerprint of what stands before it; so a file that was rotated away is found
again under its new name, and one that was emptied or rewritten under its old name is not mistaken for the one that was read.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Any, BinaryIO

from countersign.providers.base import Away

AT_ONCE = 1024 * 1024
"""Bytes read at once."""
LONGEST_LINE = 64 * 1024 * 1024
"""A longer line is left out and told of."""
_FINGERPRINT = 256
_PACKED = frozenset({".gz", ".bz2", ".xz", ".zst", ".lz4"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where reading goes on: behind the last whole line that was read.

    Attributes:
        before: hash of the bytes right before the offset.
    """

    device: int
    inode: int
    offset: int
    before: str

    def plain(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {"device": self.device, "inode": self.inode, "offset": self.offset, "before": self.before}

    @classmethod
    def of(cls, cursor: Mapping[str, Any]) -> Place | None:
        """Return the place that a cursor holds; None for a file that did not exist yet."""
        return cls(**cursor) if cursor else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Lines:
    """Whole lines, where they end, and what was lost."""

    lines: tuple[bytes, ...]
    place: Place | None
    gaps: tuple[str, ...] = ()
    more: bool = False


class Tail:
    """One file and those it was rotated to; or a folder in which each new file follows the one before.

    Args:
        path: the file, or the folder.
        suffix: of the files that count in a folder.
    """

    def __init__(self, path: Path, *, suffix: str = ".json") -> None:
        self._path = path
        self._suffix = suffix

    def end(self) -> Place | None:
        """Return the place behind the last whole line there is now; None while there is no file.

        Raises:
            Away: it cannot be read.
        """
        files = self._files()
        if not files:
            return None
        with _opened(files[-1]) as file:
            size = os.fstat(file.fileno()).st_size
            start = max(0, size - AT_ONCE)
            file.seek(start)
            last = file.read(size - start).rfind(b"\n")
            whole = start + last + 1 if last >= 0 else size if start else 0
            return _place(file, whole)

    def read(self, place: Place | None) -> Lines:
        """Return the whole lines behind a place.

        Raises:
            Away: it cannot be read.
        """
        files = self._files()
        if not files:
            if place is None:
                return Lines(lines=(), place=None)
            raise Away(f"{self._path} is not there")
        here = next((n for n, path in enumerate(files) if place is not None and _is_at(path, place)), None)
        if place is None:
            return self._read(files, 0, 0)
        if here is None:
            lost = self._read(files, len(files) - 1, 0)
            why = "the file that was read last is gone or was emptied; what it held behind the last line read is lost"
            return Lines(lines=lost.lines, place=lost.place, gaps=(why, *lost.gaps), more=lost.more)
        return self._read(files, here, place.offset)

    def _read(self, files: list[Path], here: int, offset: int) -> Lines:
        # Looked at before reading to the end: whoever writes the next file writes no more into this one.
        next_began = here + 1 < len(files) and any(path.stat().st_size for path in files[here + 1 :] if path.exists())
        with _opened(files[here]) as file:
            file.seek(offset)
            chunk = file.read(AT_ONCE)
            whole = chunk.rfind(b"\n") + 1
            gaps: list[str] = []
            is_full = len(chunk) == AT_ONCE
            if not whole and is_full:
                chunk += file.readline(LONGEST_LINE - len(chunk))
                whole = len(chunk) if chunk.endswith(b"\n") else 0
            if not whole and len(chunk) >= LONGEST_LINE:
                gaps.append(f"a line longer than {LONGEST_LINE} bytes was left out")
                return Lines(lines=(), place=_place(file, offset + len(chunk)), gaps=tuple(gaps), more=True)
            place = _place(file, offset + whole)
            lines = tuple(chunk[:whole].splitlines())
        if is_full and whole:
            return Lines(lines=lines, place=place, more=True)
        if next_began:
            if len(chunk) > whole:
                gaps.append("a file ended in the middle of a line")
            with _opened(files[here + 1]) as following:
                return Lines(lines=lines, place=_place(following, 0), gaps=tuple(gaps), more=True)
        return Lines(lines=lines, place=place)

    def _files(self) -> list[Path]:
        """Return all files, oldest first; a file's own name is that of the newest."""
        try:
            if self._path.is_dir():
                found = [path for path in self._path.iterdir() if path.suffix == self._suffix]
            else:
                found = [
                    path
                    for path in self._path.parent.iterdir()
                    if path.name.startswith(self._path.name) and path.suffix not in _PACKED
                ]
            known = [(path, path.lstat()) for path in found]
        except OSError as error:
            raise Away(f"{self._path} cannot be looked at: {error.strerror}") from None
        regular = [(path == self._path, seen.st_mtime_ns, path) for path, seen in known if S_ISREG(seen.st_mode)]
        return [path for _, _, path in sorted(regular)]


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise Away(f"{path} cannot be read: {error.strerror}") from None


def _place(file: BinaryIO, offset: int) -> Place:
    seen = os.fstat(file.fileno())
    return Place(device=seen.st_dev, inode=seen.st_ino, offset=offset, before=_fingerprint(file, offset))


def _is_at(path: Path, place: Place) -> bool:
    with _opened(path) as file:
        seen = os.fstat(file.fileno())
        return (
            (seen.st_dev, seen.st_ino) == (place.device, place.inode)
            and seen.st_size >= place.offset
            and _fingerprint(file, place.offset) == place.before
        )


def _fingerprint(file: BinaryIO, offset: int) -> str:
    start = max(0, offset - _FINGERPRINT)
    file.seek(start)
    return hashlib.sha256(file.read(offset - start)).hexdigest()
