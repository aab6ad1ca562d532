"""An archive that somebody else made, opened as a stranger's: only what a pack is made of, and nothing in it is believed."""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from countersign.auditlog.checkpoint import CheckpointRefused
from countersign.auditlog.note import NoteRefused
from countersign.auditlog.pack.archive import LOG
from countersign.auditlog.tiles import CHECKPOINT, HANDOVERS, BadTile, LogDirectory, Tile, handover_path, tiles_of

UNREADABLE = (zipfile.BadZipFile, zlib.error, OSError, EOFError, KeyError, ValueError, RuntimeError)
"""What reading a file of an archive raises: also of one that is enciphered, or packed in an unknown way."""

_LARGEST_SMALL = 64 << 20
_AT_ONCE = 1 << 20
_LOCAL_HEADER = 30
_HARMLESS_FLAGS = 0x0800 | 0x0008 | 0x0006
"""Of a file: its name is UTF-8, its sizes follow it, how hard it was packed."""


def open_archive(file: IO[bytes]) -> zipfile.ZipFile:
    """Open an archive.

    Raises:
        zipfile.BadZipFile: it is none, or holds what other programs would unpack as something else: paths that lead
            elsewhere, enciphered or overlapping files, bytes before the first one, a comment.
    """
    archive = zipfile.ZipFile(file)
    if archive.comment:
        raise zipfile.BadZipFile("a comment stands at its end")
    end = 0
    for member in sorted(archive.filelist, key=lambda each: each.header_offset):
        name = member.orig_filename
        if not name.isprintable() or "\\" in name or any(part in {"", ".", ".."} for part in name.split("/")):
            raise zipfile.BadZipFile(f"{name!r} is no path of a pack")
        packed_as_ours = member.compress_type in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
        if not packed_as_ours or member.flag_bits & ~_HARMLESS_FLAGS:
            raise zipfile.BadZipFile(f"{name} is enciphered, or packed as no pack is")
        if member.header_offset < end or (not end and member.header_offset):
            raise zipfile.BadZipFile(f"{name} does not begin where the file before it ends")
        end = member.header_offset + _LOCAL_HEADER + len(name.encode()) + member.compress_size
    return archive


def read_small(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return a file of bounded size.

    Raises:
        BadTile: it is missing, cut or too large.
    """
    try:
        with archive.open(name) as member:
            raw = member.read(_LARGEST_SMALL + 1)
    except UNREADABLE as error:
        raise BadTile(f"{name} cannot be read: {error}") from error
    if len(raw) > _LARGEST_SMALL:
        raise BadTile(f"{name} is too large")
    return raw


def read_document(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    """Return a file that holds a JSON object.

    Raises:
        ValueError: it holds none, or cannot be read.
        RecursionError: it is nested beyond reason.
    """
    found = json.loads(read_small(archive, name))
    if not isinstance(found, dict):
        raise TypeError(f"{name} holds no object")
    return found


def digest_of(archive: zipfile.ZipFile, name: str, size: int) -> str:
    """Digest a file, and no more of it than it should have."""
    made, left = hashlib.sha256(), size + 1
    try:
        with archive.open(name) as member:
            while left > 0 and (raw := member.read(min(_AT_ONCE, left))):
                made.update(raw)
                left -= len(raw)
    except UNREADABLE:
        return "unreadable"
    return made.hexdigest()


@dataclass(frozen=True, slots=True)
class ZippedLog(LogDirectory):
    """A log within an archive."""

    archive: zipfile.ZipFile = field(kw_only=True)

    def _read(self, path: str) -> bytes:
        return read_small(self.archive, f"{LOG}{path}")

    def _handovers(self) -> list[str]:
        below = f"{LOG}{HANDOVERS}/"
        return sorted(name.removeprefix(below) for name in self.archive.NameToInfo if name.startswith(below))

    def holds(self, tile: Tile) -> bool:
        """Return whether the tile, or the full one in its place, is there."""
        names = self.archive.NameToInfo
        return any(f"{LOG}{one.path()}" in names for one in (tile, tile.full()))

    def strange(self, size: int) -> Iterator[str]:
        """Yield the files beside the log that are no part of one of this size, which its root does not cover."""
        ours = {CHECKPOINT, *(tile.path() for tile in tiles_of(size)), *_paths(self.handovers())}
        for name in self.archive.NameToInfo:
            if name.startswith(LOG) and name.removeprefix(LOG) not in ours:
                yield name


def _paths(notes: Sequence[str]) -> Iterator[str]:
    for note in notes:
        try:
            yield handover_path(note)
        except (NoteRefused, CheckpointRefused):
            continue  # then it has no path to lie at


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """What a pack says of itself, in its own form.

    Attributes:
        said: all of it.
        files: size and SHA-256 of each file outside the log.
        program: the digest of the program that wrote it.
        version: which one that was.
    """

    said: Mapping[str, Any]
    files: Mapping[str, tuple[int, str]]
    program: str
    version: str

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Manifest:
        """Read one.

        Raises:
            KeyError, TypeError, ValueError, AttributeError, OverflowError: it has another form.
        """
        files = {name: (int(each["bytes"]), str(each["sha256"])) for name, each in said["files"].items()}
        program = said["program"]
        return cls(said=said, files=files, program=str(program["digest"]), version=str(program.get("version")))
