"""The one spelling of time: RFC 3339, UTC, `Z`, milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

_KEPT = 4096
"""How many moments are remembered with their spelling: one transaction spells its own time for each of its rows."""

EXAMPLE = "2026-11-22T22:05:00.000Z"


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


@lru_cache(maxsize=_KEPT)
def read(text: str) -> datetime:
    """Return the moment that `text` spells.

    Raises:
        NotATime: anything but the spelling of `spell`.
    """
    if len(text) != len(EXAMPLE) or not text.endswith("Z"):
        raise NotATime(f"expected a time such as {EXAMPLE}")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise NotATime(f"expected a time such as {EXAMPLE}") from error
    # fromisoformat also takes week dates, other separators and a decimal comma of the same length.
    if spell(moment) != text:
        raise NotATime(f"expected a time such as {EXAMPLE}")
    return moment.astimezone(UTC)


@lru_cache(maxsize=_KEPT)
def trim(moment: datetime) -> datetime:
    """Cut a moment to the milliseconds that are stored, so that what is kept and what is compared are the same.

    Raises:
        NotATime: the moment carries no time zone.
    """
    if moment.tzinfo is None:
        raise NotATime("a time without a zone means nothing")
    return moment.astimezone(UTC).replace(microsecond=moment.microsecond // 1000 * 1000)
