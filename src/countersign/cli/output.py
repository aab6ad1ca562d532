"""What a command prints: data on stdout, hints on stderr, JSON where it was asked for."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click

from countersign.cli.durations import spell_duration
from countersign.cli.failures import CommandFailed
from countersign.cli.pipes import put
from countersign.cli.terminal import plain, shortened
from countersign.domain.timestamps import NotATime, read

WIDEST_CELL = 60
_COLOURS = {
    "pending": "yellow",
    "approved": "green",
    "open": "green",
    "active": "green",
    "denied": "red",
    "revoking": "yellow",
    "overdue": "red",
}


@dataclass(frozen=True, kw_only=True)
class Output:
    """How this command prints.

    Attributes:
        as_json: data and failures as JSON, one document a line.
        quiet: no hints.
        utc: times in UTC instead of the local zone; JSON is always UTC.
    """

    as_json: bool = False
    quiet: bool = False
    utc: bool = False

    def json(self, value: object) -> None:
        """Print data as one line of JSON; ASCII only, so that no terminal is steered by it."""
        put(json.dumps(value, separators=(",", ":"), ensure_ascii=True), sys.stdout)

    def line(self, text: str = "") -> None:
        """Print one line of data."""
        put(plain(text), sys.stdout)

    def pairs(self, rows: Iterable[tuple[str, object]]) -> None:
        """Print named values, one a line; what is None is left out."""
        shown = [(name, value) for name, value in rows if value is not None]
        width = max((len(name) for name, _ in shown), default=0)
        for name, value in shown:
            text = plain(str(value))
            put(f"{name:<{width}}  {self._coloured(text) if name == 'state' else text}", sys.stdout)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print aligned columns under a heading."""
        cells = [[shortened("" if value is None else str(value), WIDEST_CELL) for value in row] for row in rows]
        widths = [max(len(row[at]) for row in [list(columns), *cells]) for at in range(len(columns))]
        heading = "  ".join(name.upper().ljust(width) for name, width in zip(columns, widths, strict=True))
        put(heading.rstrip(), sys.stdout)
        for row in cells:
            padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
            coloured = [
                self._coloured(cell) if name == "state" else cell for name, cell in zip(columns, padded, strict=True)
            ]
            put("  ".join(coloured).rstrip(), sys.stdout)

    def hint(self, text: str) -> None:
        """Say on stderr what to do next, unless hints are not wanted."""
        if not self.quiet:
            put(f"hint: {plain(text)}", sys.stderr)

    def note(self, text: str) -> None:
        """Say on stderr how things go, unless hints are not wanted."""
        if not self.quiet:
            put(plain(text), sys.stderr)

    def warn(self, text: str) -> None:
        """Say on stderr what must not be missed, also when hints are not wanted."""
        put(f"warning: {plain(text)}", sys.stderr)

    def failure(self, failed: CommandFailed) -> None:
        """Tell a failure on stderr, in one block or as one line of JSON."""
        if self.as_json:
            put(json.dumps({"error": failed.as_json()}, ensure_ascii=True), sys.stderr)
        else:
            for text in failed.lines():
                put(plain(text), sys.stderr)

    def time(self, text: object) -> str | None:
        """Return a moment from the broker in the reader's zone, with the offset; None for none."""
        if not isinstance(text, str):
            return None
        try:
            moment = read(text)
        except NotATime:
            return plain(text)
        return spell_moment(moment.astimezone(UTC if self.utc else None))

    def duration(self, seconds: object) -> str | None:
        """Return whole seconds as people type them; None for none."""
        return spell_duration(seconds) if isinstance(seconds, int) and not isinstance(seconds, bool) else None

    def _coloured(self, state: str) -> str:
        colour = _COLOURS.get(state.strip().partition(" ")[0])
        if colour is None or not _wants_colour():
            return state
        return click.style(state, fg=colour)


def spell_moment(moment: datetime) -> str:
    """Return a moment to the second with its offset, as `2026-11-22 23:05:00 +0100`."""
    return moment.strftime("%Y-%m-%d %H:%M:%S %z")


def text_of(document: Mapping[str, Any], name: str) -> str:
    """Return a text that an answer must hold.

    Raises:
        CommandFailed: it does not; the other end speaks another language.
    """
    value = document.get(name)
    if not isinstance(value, str) or not value:
        raise CommandFailed(f"the broker's answer holds no {name}", code="strange-answer", hint="compare versions")
    return value


def _wants_colour() -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return is_shown() and os.environ.get("TERM") != "dumb"


def is_shown() -> bool:
    """Say whether data goes to a terminal, where a person reads it, and not to a program or a file."""
    return sys.stdout is not None and sys.stdout.isatty()
