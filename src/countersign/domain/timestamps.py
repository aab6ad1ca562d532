"""The one spelling of time: RFC 3339, UTC, `Z`, milliseconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

_KEPT = 4096
"""How many moments are remembered with their spelling: one transaction spells its own time for each of its rows."""

EXAMPLE = "2026-11-22T22:05:00.000Z"

# fromisoformat takes more: week dates, other separators, a decimal comma, and in some versions midnight as 24:00.
_SPELLING = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")


class NotATime(ValueError):
    """A text that is not a time in our spelling, or a time without a zone."""


@lru_cache(maxsize=_KEPT)
def spell(moment: datetime) -> str:
    """Return `moment` as `2026-11-22T22:05:00.000Z`, cut (never rounded up) to milliseconds.

    Raises:
        NotATime: the moment carries no time zone.
    """
    if moment.tzinfo is None:
        raise NotATime("a time without a zone means nothing")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read(text: str) -> datetime:
    """Return the moment that `text` spells.

    Raises:
        NotATime: anything but the spelling of `spell`.
    """
    if not _SPELLING.fullmatch(text):
        raise NotATime(f"expected a time such as {EXAMPLE}")
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise NotATime(f"expected a time such as {EXAMPLE}") from error


@lru_cache(maxsize=_KEPT)
def trim(moment: datetime) -> datetime:
    """Cut a moment to the milliseconds that are stored, so that what is kept and what is compared are the same.

    Raises:
        NotATime: the moment carries no time zone.
    """
    if moment.tzinfo is None:
        raise NotATime("a time without a zone means nothing")
    return moment.astimezone(UTC).replace(microsecond=moment.microsecond // 1000 * 1000)
