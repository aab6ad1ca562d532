"""The archive itself: a zip whose bytes follow from what is put in, and the digests of all that was."""

from __future__ import annotations

import hashlib
import queue
import shutil
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import IO, Self

_EPOCH = (1980, 1, 1, 0, 0, 0)
_AHEAD = 32
"""Files that wait to be compressed while the next are made."""
LOG = "log/"
"""Files below are not listed one by one: the tree's root covers them."""


class Archive:
    """Writes files into a zip in the order in which they are given, compressing beside whoever makes them."""

    def __init__(self, out: IO[bytes]) -> None:
        self._zip = zipfile.ZipFile(out, "w", compression=zipfile.ZIP_DEFLATED, compresslevel=1, allowZip64=True)
        self._waiting: queue.Queue[tuple[str, bytes, bool] | None] = queue.Queue(_AHEAD)
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="countersign-pack", daemon=True)
        self.digests: dict[str, dict[str, str | int]] = {}

    def __enter__(self) -> Self:
        """Begin to compress."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for what was given to be written, and close the archive."""
        del trace
        self._waiting.put(None)
        self._thread.join()
        self._zip.close()
        if self._fault is not None and kind is None:
            raise self._fault
        del fault

    def add(self, name: str, raw: bytes, *, packed: bool = True) -> None:
        """Add a file; hashes are not `packed`, since they cannot be made smaller."""
        if not name.startswith(LOG):
            self.digests[name] = {"sha256": hashlib.sha256(raw).hexdigest(), "bytes": len(raw)}
        self._put(name, raw, packed)

    @contextmanager
    def large(self, name: str) -> Iterator[_Digesting]:
        """Add a file that does not fit into memory, written piece by piece; nothing else is added meanwhile."""
        self._settle()
        with self._zip.open(_member(name, packed=True), "w", force_zip64=True) as member:
            tee = _Digesting(member)
            yield tee
        self.digests[name] = {"sha256": tee.digest.hexdigest(), "bytes": tee.size}

    def copy(self, name: str, file: IO[bytes]) -> None:
        """Add a file's content."""
        with self.large(name) as member:
            shutil.copyfileobj(file, member, 1 << 20)

    def _put(self, name: str, raw: bytes, packed: bool) -> None:  # noqa: FBT001 - a queue's item, not a choice of callers
        if self._fault is not None:
            raise self._fault
        self._waiting.put((name, raw, packed))

    def _settle(self) -> None:
        self._waiting.join()
        if self._fault is not None:
            raise self._fault

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            if self._fault is None:
                try:
                    self._zip.writestr(_member(item[0], packed=item[2]), item[1])
                except OSError as fault:
                    self._fault = fault  # told to whoever gives the next file, or closes
            self._waiting.task_done()
        self._waiting.task_done()


class _Digesting:
    """Passes bytes on and digests them."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest, self.size = hashlib.sha256(), 0

    def write(self, raw: bytes) -> int:
        """Take the next piece."""
        self.digest.update(raw)
        self.size += len(raw)
        return self._file.write(raw)


def _member(name: str, *, packed: bool) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, date_time=_EPOCH)
    member.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    member.external_attr = 0o644 << 16
    member.create_system = 3
    return member
