"""The log as it is exported: one entry a line, each with its place, its bytes in base64 and their hash in hex."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from countersign.auditlog.leaf import LARGEST_LEAF, Entry
from countersign.auditlog.merkle import HASH_SIZE
from countersign.auditlog.report import Failure, Report

ENTRIES, CHECKPOINT = "entries.ndjson", "checkpoint"
LONGEST_LINE = LARGEST_LEAF * 4 // 3 + 1024
READ_AT_ONCE = 1 << 16


@dataclass(kw_only=True)
class Exported:
    """Reads an export, in constant memory, up to the first line that is no entry.

    Attributes:
        lines: the export's lines.
        wrong: what was wrong with the line at which reading ended; None while all were entries.
    """

    lines: Iterable[bytes]
    wrong: Failure | None = field(default=None, init=False)

    def entries(self) -> Iterator[Entry]:
        """Yield the entries; `wrong` is known once they are used up."""
        for number, line in enumerate(self.lines):
            try:
                yield _entry(line)
            except (ValueError, KeyError, TypeError, RecursionError):
                detail = "the line is not an entry as it is exported; what follows was not read"
                self.wrong = Failure(index=number, code="entry-format", detail=detail)
                return

    def finished(self, report: Report) -> Report:
        """Return the report with what was wrong about the lines themselves, which comes first."""
        return report if self.wrong is None else replace(report, failures=(self.wrong, *report.failures))


def _entry(line: bytes) -> Entry:
    value = json.loads(line)
    index, hashed = value["index"], value["leaf_hash"]
    if len(line) > LONGEST_LINE or value.keys() != {"index", "leaf", "leaf_hash"} or type(index) is not int:
        raise ValueError("not an entry")
    stored = bytes.fromhex(hashed)
    if len(stored) != HASH_SIZE:
        raise ValueError("not a hash")
    return Entry(index=index, leaf=base64.b64decode(value["leaf"], validate=True), leaf_hash=stored)


def split_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield lines from chunks of any size; one beyond the longest is cut off, and is no entry any more."""
    held = b""
    for chunk in chunks:
        *whole, held = (held + chunk).split(b"\n")
        yield from whole
        if len(held) > LONGEST_LINE:
            yield held
            return
    if held:
        yield held


def read_chunks(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes."""
    with path.open("rb") as file:
        while chunk := file.read(READ_AT_ONCE):
            yield chunk
