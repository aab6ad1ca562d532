"""One pack, written by a process that has nothing else in it: python -m benchmarks.packing FOLDER VKEY OUT.

Says what it took, with the process that it started: seconds, the processor's seconds, memory at most. Floors: SHA-256 by hashlib
over each entry, one process; reading the entries, digesting them and writing them to a file.
"""

from __future__ import annotations

import hashlib
import json
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from countersign.auditlog.pack import Selection, write_pack
from countersign.auditlog.pack.source import Opening
from countersign.auditlog.tiles import WIDTH, LogDirectory

PERIOD = Selection(since="2026-01-01T00:00:00.000Z", until="2036-01-01T00:00:00.000Z")


class Tiles:
    """A log in a folder, as a pack is made of it."""

    def __init__(self, folder: Path, vkey: str) -> None:
        self._log, self.vkey = LogDirectory(folder), vkey
        self.checkpoint = self._log.checkpoint().decode()

    def leaves(self, start: int, end: int) -> Iterator[bytes]:
        """Yield entries from the first on."""
        for at in range(start, end, WIDTH):
            yield from self._log.leaves(at // WIDTH, min(WIDTH, end - at))

    def opening(self, index: int) -> Opening:
        """Return nothing: free texts are not in tiles."""
        del index
        return {}


def _write(place: Path, vkey: str, out: Path) -> dict[str, float]:
    source = Tiles(place, vkey)
    began = time.perf_counter()
    with out.open("w+b") as file:
        manifest = write_pack(source, PERIOD, file)
    taken = time.perf_counter() - began
    own, beside = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "pack_s": taken,
        "cpu_s": own.ru_utime + own.ru_stime,
        "cpu_beside_s": beside.ru_utime + beside.ru_stime,
        "peak_mb": _peak_mb() + beside.ru_maxrss / 1024,
        "mb": out.stat().st_size / 1e6,
        "sha256_s": _hashed_s(source, manifest["size"]),
        "hashed_and_copied_s": _copied_s(source, manifest["size"], out.with_suffix(".copy")),
    }


def _peak_mb() -> float:
    """Return what this process held at most. The usual figure counts what held the place of this program before it began."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


def _hashed_s(source: Tiles, size: int) -> float:
    began = time.perf_counter()
    for leaf in source.leaves(0, size):
        hashlib.sha256(leaf).digest()
    return time.perf_counter() - began


def _copied_s(source: Tiles, size: int, out: Path) -> float:
    began = time.perf_counter()
    with out.open("wb") as file:
        for leaf in source.leaves(0, size):
            hashlib.sha256(leaf).digest()
            file.write(leaf)
    taken = time.perf_counter() - began
    out.unlink()
    return taken


if __name__ == "__main__":
    print(json.dumps(_write(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))))
