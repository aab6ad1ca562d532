"""The archive itself: a zip made of pieces, whose bytes follow from what is put in, and the digests of all that was.

A piece is the beginning of a zip in a file of its own, so that two processes can each make one; joined, they are one archive.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO, Protocol, cast

_UNIX = 3
_AT_ONCE = 1 << 20
_LEVEL = 3
"""Of deflate: as quick as the quickest and smaller; the usual one takes nearly three times as long for a seventh less."""
TEMPORARY = "countersign-pack-"
LOG = "log/"
"""Files below are not listed one by one: the tree's root covers them."""

Digests = dict[str, dict[str, str | int]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """What a piece holds.

    Attributes:
        members: where each file lies in the piece.
        digests: of the files outside the log.
        size: how many bytes the piece takes.
    """

    members: list[zipfile.ZipInfo]
    digests: Digests
    size: int


class Readable(Protocol):
    """What can be read in pieces."""

    def read(self, size: int, /) -> bytes:
        """Return so many bytes, or what is left."""


class Piece:
    """Files on their way into an archive, in the order in which they are given.

    Args:
        file: where they lie.
        archive: writes them there.
    """

    def __init__(self, file: IO[bytes], archive: zipfile.ZipFile) -> None:
        self._file, self._zip = file, archive
        self.digests: Digests = {}

    def add(self, name: str, raw: bytes, *, packed: bool = True) -> None:
        """Add a file; hashes are not `packed`, since they cannot be made smaller."""
        if not name.startswith(LOG):
            self.digests[name] = {"sha256": hashlib.sha256(raw).hexdigest(), "bytes": len(raw)}
        member = zipfile.ZipInfo(name)
        member.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
        self._zip.writestr(member, raw, compresslevel=_LEVEL)  # a member knows nothing of the archive's own level
        self._as_everywhere(name)

    def copy(self, name: str, file: IO[bytes]) -> None:
        """Add a file that does not fit into memory."""
        digest, size = hashlib.sha256(), 0
        with self._zip.open(name, "w", force_zip64=True) as member:
            while raw := file.read(_AT_ONCE):
                digest.update(raw)
                size += len(raw)
                member.write(raw)
        self.digests[name] = {"sha256": digest.hexdigest(), "bytes": size}
        self._as_everywhere(name)

    def _as_everywhere(self, name: str) -> None:
        """Let a file belong to no system in particular; that it is of no time but the format's first, the library sees to."""
        member = self._zip.NameToInfo[name]
        member.external_attr, member.create_system = 0o644 << 16, _UNIX

    def contents(self) -> Contents:
        """Return what is in it."""
        return Contents(members=self._zip.filelist, digests=self.digests, size=self._zip.start_dir)

    def opened(self) -> IO[bytes]:
        """Return its bytes from the first on; nothing is added any more."""
        self._file.seek(0)
        return self._file


@contextmanager
def new_piece() -> Iterator[Piece]:
    """Yield a piece in a file that is gone when the block ends."""
    with (
        TemporaryFile(prefix=TEMPORARY) as file,
        zipfile.ZipFile(file, "w", compression=zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive,
    ):
        yield Piece(file, archive)


def join(out: IO[bytes], pieces: Iterable[tuple[Contents, Readable]]) -> None:
    """Write pieces one after the other into one archive."""
    with zipfile.ZipFile(out, "w") as archive:
        written = cast("IO[bytes]", archive.fp)  # `out`, or what counts the bytes that go there
        for contents, source in pieces:
            start, left = archive.start_dir, contents.size
            while left:
                raw = source.read(min(left, _AT_ONCE))
                written.write(raw)
                left -= len(raw)
            for member in contents.members:
                member.header_offset += start
                archive.filelist.append(member)
                archive.NameToInfo[member.filename] = member
            archive.start_dir = start + contents.size
