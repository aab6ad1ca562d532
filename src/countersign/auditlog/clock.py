"""Whether the times of a log's entries run on: whoever reads entries in their order asks it of each."""

from __future__ import annotations

from datetime import timedelta

from countersign.domain.timestamps import read

TOLERANCE = timedelta(seconds=1)
"""How far `at` may run backwards: writers' clocks differ a little, and a reset of more than this is an event."""


class Clock:
    """Times do not run backwards. One step back is told once: what follows is measured from there.

    Args:
        tolerance: how far `at` may lie before the latest time seen.
    """

    def __init__(self, tolerance: timedelta = TOLERANCE) -> None:
        self._tolerance, self._latest = tolerance, ""

    def back(self, at: str) -> str | None:
        """Take the next entry's time, in a leaf's spelling, and return what is wrong with it.

        Raises:
            ValueError: it lies back and is no time, or the one before was none.
        """
        latest = self._latest
        if at >= latest:  # their one spelling sorts as the times do
            self._latest = at
            return None
        try:
            step = read(latest) - read(at)
        except ValueError:
            self._latest = at
            raise
        if step <= self._tolerance:
            return None
        self._latest = at
        return f"{read(at)} lies {step} before the latest time seen"
