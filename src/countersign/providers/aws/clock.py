"""How far AWS's clock is from ours, from the Date header of its answers.

The header has whole seconds, so one answer bounds the offset to about a second; several answers together bound it closer. As
long as "no difference" lies within the bounds, the offset is taken as zero.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import Any

SKEW_WORTH_REPORTING = timedelta(seconds=2)
FRESH_FOR_S = 60.0
_KEPT = 16
_KEPT_FOR_S = 600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Offset:
    """AWS's time minus ours.

    Attributes:
        seconds: the offset to apply.
        low, high: the bounds that AWS's answers prove.
    """

    seconds: float
    low: float
    high: float

    def to_aws(self, moment: datetime) -> datetime:
        """Return the moment of our clock as AWS's clock will show it."""
        return moment + timedelta(seconds=self.seconds)

    @property
    def is_skewed(self) -> bool:
        """Say whether the clocks differ by so much that somebody should know."""
        return abs(self.seconds) > SKEW_WORTH_REPORTING.total_seconds()

    def spoken(self) -> dict[str, Any]:
        """Return the offset for the log, in milliseconds."""
        return {
            "clock_offset_ms": round(self.seconds * 1000),
            "clock_bounds_ms": [round(self.low * 1000), round(self.high * 1000)],
            "clock_skewed": self.is_skewed,
        }


class AwsClock:
    """Keeps the offset from the answers that pass by.

    Args:
        now: our clock.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._bounds: deque[tuple[float, float, float]] = deque(maxlen=_KEPT)

    def watch(self, call: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        """Make a call, learn from its answer's Date header, and return the answer."""
        asked = self._now()
        answer = call()
        answered = self._now()
        header = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        said = _read(header)
        if said is not None:
            self._learn((said - answered).total_seconds(), (said - asked).total_seconds() + 1.0)
        return answer

    @property
    def is_fresh(self) -> bool:
        """Say whether an answer of the last minute is known."""
        with self._lock:
            return bool(self._bounds) and monotonic() - self._bounds[-1][0] < FRESH_FOR_S

    def offset(self) -> Offset | None:
        """Return the offset, or None while AWS was never heard."""
        with self._lock:
            known = [item for item in self._bounds if monotonic() - item[0] < _KEPT_FOR_S]
        if not known:
            return None
        low, high = max(item[1] for item in known), min(item[2] for item in known)
        return Offset(seconds=min(max(0.0, low), high), low=low, high=high)

    def spoken(self) -> dict[str, Any]:
        """Return what is known of the offset, for the log."""
        offset = self.offset()
        return {"clock": "never heard"} if offset is None else offset.spoken()

    def time(self) -> datetime:
        """Return what AWS's clock shows now, as far as known."""
        offset = self.offset()
        return self._now() if offset is None else offset.to_aws(self._now())

    def _learn(self, low: float, high: float) -> None:
        with self._lock:
            if any(low > item[2] or high < item[1] for item in self._bounds):
                self._bounds.clear()  # one of the two clocks was set; what was known before is void
            self._bounds.append((monotonic(), low, high))


def _read(header: object) -> datetime | None:
    if not isinstance(header, str):
        return None
    try:
        said = parsedate_to_datetime(header)
    except ValueError:
        return None
    return said if said.tzinfo is not None else None
