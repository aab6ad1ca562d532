"""Tables as CSV (RFC 4180) that no spreadsheet takes for a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import IO

_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")


class Sheet:
    """Writes rows to a binary file."""

    def __init__(self, file: IO[bytes], columns: Sequence[str]) -> None:
        self._text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=False)
        self._csv = csv.writer(self._text, lineterminator="\r\n")
        self._csv.writerow(columns)

    def row(self, *values: object) -> None:
        """Write one row; None is an empty cell."""
        self._csv.writerow([harmless(value) for value in values])

    def finish(self) -> None:
        """Leave the file to its owner, complete."""
        self._text.flush()
        self._text.detach()


def harmless(value: object) -> object:
    """Return a cell that a spreadsheet shows as it is: a text that begins like a formula gets an apostrophe before it."""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_DANGEROUS) else value
    return "" if value is None else value
