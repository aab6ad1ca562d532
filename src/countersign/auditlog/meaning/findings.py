"""What a replay of the facts finds: each with its entry, a stable code, how grave it is, and a word for people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Severity(StrEnum):
    """How grave a finding is. Only `broken` makes a log fail its verification."""

    BROKEN = "broken"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing found.

    Attributes:
        index: the entry that shows it; for what is missing, the entry that it should have followed.
        code: stable, see the tables of `meaning` and `detectors`.
        severity: `broken` when the log contradicts itself or a rule that holds always; otherwise what it honestly records.
        detail: for people.
    """

    index: int
    code: str
    severity: Severity
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Thresholds:
    """From where on something honestly recorded is a finding.

    Attributes:
        late: a death later than this after the promised second.
        very_late: from here on that is grave.
        window: the time over which pairs and habits are judged.
        pair_each_way: approvals each way that make a reciprocal pair, if they are more than `pair_share` of each one's.
        pair_share: see `pair_each_way`.
        hasty: a decision so soon after the request was made cannot have been considered.
        hasty_over: decisions before the median time of an approver is judged.
        rubber_rate: the share of approvals without a comment, over `rubber_over` decisions, that looks like a stamp.
        rubber_over: see `rubber_rate`.
        decisions_per_hour: more than these by one person, and they tire.
        grants_per_day: as many grants of one entitlement to one person in 24 hours, and it is standing access by another name.
        emergencies: break-glass of one person in the window beyond which it is a habit.
    """

    late: timedelta = timedelta(seconds=60)
    very_late: timedelta = timedelta(seconds=300)
    window: timedelta = timedelta(days=30)
    pair_each_way: int = 3
    pair_share: float = 0.5
    hasty: timedelta = timedelta(seconds=10)
    hasty_over: int = 20
    rubber_rate: float = 0.95
    rubber_over: int = 50
    decisions_per_hour: int = 20
    grants_per_day: int = 5
    emergencies: int = 2


DEFAULT = Thresholds()
