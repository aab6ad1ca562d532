"""A witness's memory: for each log the checkpoint it signed last, in one small SQLite file that only ever moves forward.

What is written is on the disk before anybody hears of it. The table itself refuses a smaller tree and a second root of one
size, so that no mistake above it, and no second process, makes the witness contradict what it signed.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

MOST_CONFLICTS = 100
"""Signed contradictions that are kept of one log; one is enough to convict it."""
BUSY_S = 5.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS signed (
    origin TEXT PRIMARY KEY, size TEXT NOT NULL, root BLOB NOT NULL, note TEXT NOT NULL, at INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS conflicts (
    origin TEXT NOT NULL, note TEXT NOT NULL, why TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (origin, note)
) STRICT;
CREATE TRIGGER IF NOT EXISTS signed_kept BEFORE DELETE ON signed
BEGIN SELECT RAISE(ABORT, 'what was signed is kept'); END;
CREATE TRIGGER IF NOT EXISTS signed_grows BEFORE UPDATE ON signed
WHEN NEW.origin <> OLD.origin OR NEW.size < OLD.size OR (NEW.size = OLD.size AND NEW.root <> OLD.root) OR NEW.at < OLD.at
BEGIN SELECT RAISE(ABORT, 'a witness never goes back'); END;
CREATE TRIGGER IF NOT EXISTS conflicts_kept BEFORE DELETE ON conflicts
BEGIN SELECT RAISE(ABORT, 'a contradiction is kept'); END;
CREATE TRIGGER IF NOT EXISTS conflicts_final BEFORE UPDATE ON conflicts
BEGIN SELECT RAISE(ABORT, 'a contradiction is kept'); END;
"""


class Moved(Exception):
    """Somebody else's submission was signed in between; look again."""


class MemoryFailed(Exception):
    """The witness's file cannot be read or written; nothing may be signed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Signed:
    """What was signed last for one log.

    Attributes:
        size: entries in its tree.
        root: the tree's root.
        note: the checkpoint as it was submitted, without our cosignature.
        at: when it was last seen, in seconds since 1970.
    """

    size: int
    root: bytes
    note: str
    at: int


class WitnessState:
    """One file; safe from several threads."""

    def __init__(self, path: Path) -> None:
        """Open the file, made with mode 0600 if need be.

        Raises:
            MemoryFailed: it cannot be opened, or is no file of a witness.
        """
        self._lock = Lock()
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
            self._connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            # The rollback journal keeps everything in one file between transactions, and EXTRA syncs its folder as well.
            self._connection.execute("PRAGMA journal_mode = DELETE")
            self._connection.execute("PRAGMA synchronous = EXTRA")
            self._connection.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise MemoryFailed(f"{path} cannot be used: {type(error).__name__}") from error

    def signed(self, origin: str) -> Signed | None:
        """Return what was signed last for a log.

        Raises:
            MemoryFailed: the file cannot be read.
        """
        with self._faults(), self._lock:
            row = self._connection.execute(
                "SELECT size, root, note, at FROM signed WHERE origin = ?", [origin]
            ).fetchone()
        return None if row is None else Signed(size=int(row[0]), root=row[1], note=row[2], at=row[3])

    def advance(self, origin: str, before: Signed | None, after: Signed) -> None:
        """Replace what was signed last, if it still is `before`; on the disk when this returns.

        Raises:
            Moved: it is another by now.
            MemoryFailed: the file cannot be written, or `after` would go back.
        """
        # Sizes are kept as twenty digits: they compare as text, and reach beyond SQLite's integers.
        values = [f"{after.size:020}", after.root, after.note, after.at, origin]
        with self._faults(), self._lock:
            if before is None:
                query = "INSERT OR IGNORE INTO signed (size, root, note, at, origin) VALUES (?, ?, ?, ?, ?)"
            else:
                query = (
                    "UPDATE signed SET size = ?, root = ?, note = ?, at = ? WHERE origin = ? AND size = ? AND at = ?"
                )
                values += [f"{before.size:020}", before.at]
            changed = self._connection.execute(query, values).rowcount
        if changed != 1:
            raise Moved(origin)

    def keep_conflict(self, origin: str, note: str, why: str, at: int) -> None:
        """Keep a checkpoint that its log signed and that contradicts what was signed before.

        Raises:
            MemoryFailed: the file cannot be written.
        """
        query = (
            "INSERT OR IGNORE INTO conflicts (origin, note, why, at) "
            "SELECT ?, ?, ?, ? WHERE (SELECT count(*) FROM conflicts WHERE origin = ?) < ?"
        )
        with self._faults(), self._lock:
            self._connection.execute(query, [origin, note, why, at, origin, MOST_CONFLICTS])

    def conflicts(self, origin: str) -> int:
        """Return how many contradictions of a log are kept.

        Raises:
            MemoryFailed: the file cannot be read.
        """
        with self._faults(), self._lock:
            row = self._connection.execute("SELECT count(*) FROM conflicts WHERE origin = ?", [origin]).fetchone()
        return int(row[0])

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise MemoryFailed(f"the witness's memory failed: {type(error).__name__}") from error
