"""The wall clock: the one place where it is read."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """Return the wall clock's time; everything else is handed this function."""
    return datetime.now(UTC)
