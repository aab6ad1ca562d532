"""What a replay of the facts finds: each with its entry, a stable code, how grave it is, and a word for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any

from countersign.domain.canonical import digest
from countersign.domain.ids import FINDING, RANDOM_BYTES, make_id


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
        persons: whom it is about; they do not acknowledge it.
        evidence: the entries that together show it, the last of them at `index`.
        owner: the group that answers for it, or the role if it is about no entitlement; None where nobody is named.
    """

    index: int
    code: str
    severity: Severity
    detail: str
    persons: tuple[str, ...] = ()
    evidence: tuple[int, ...] = ()
    owner: str | None = None

    @property
    def id(self) -> str:
        """A name that whoever finds the same thing in the same log comes to as well."""
        said = {"code": self.code, "index": self.index, "persons": sorted(self.persons), "detail": self.detail}
        return make_id(FINDING, bytes.fromhex(digest("countersign/finding/v1", said))[:RANDOM_BYTES])


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
        emergency_share: the share of break-glass among all grants of the window, once there are `share_over`.
        share_over: see `emergency_share`.
        creep: how often the median of everybody's entitlements, within `dormant`, is too many; and never fewer than `creep_over`.
        creep_over: see `creep`.
        dormant: after so long unused a right or an entitlement sleeps.
        orders_refused: from so many draw orders within an hour that prove nobody, that is grave.
        silence: the log should never be silent for longer; the self-check alone speaks more often.
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
    emergency_share: float = 0.05
    share_over: int = 40
    creep: float = 2.0
    creep_over: int = 5
    dormant: timedelta = timedelta(days=90)
    orders_refused: int = 3
    silence: timedelta = timedelta(minutes=30)

    def countersigned(self, said: Mapping[str, int]) -> Thresholds:
        """Return the thresholds with what two people countersigned in their place. Names unknown here are passed over."""
        changes = {
            name: read(said[spelled]) for spelled, (name, read) in SPELLINGS.items() if type(said.get(spelled)) is int
        }
        return replace(self, **changes)


def _seconds(value: int) -> timedelta:
    return timedelta(seconds=value)


def _days(value: int) -> timedelta:
    return timedelta(days=value)


def _share(percent: int) -> float:
    return percent / 100


SPELLINGS: Mapping[str, tuple[str, Callable[[int], Any]]] = {
    "late_s": ("late", _seconds),
    "very_late_s": ("very_late", _seconds),
    "window_days": ("window", _days),
    "pair_each_way": ("pair_each_way", int),
    "pair_share_percent": ("pair_share", _share),
    "hasty_s": ("hasty", _seconds),
    "hasty_over": ("hasty_over", int),
    "rubber_percent": ("rubber_rate", _share),
    "rubber_over": ("rubber_over", int),
    "decisions_per_hour": ("decisions_per_hour", int),
    "grants_per_day": ("grants_per_day", int),
    "emergencies": ("emergencies", int),
    "emergency_share_percent": ("emergency_share", _share),
    "share_over": ("share_over", int),
    "creep_percent": ("creep", _share),
    "creep_over": ("creep_over", int),
    "dormant_days": ("dormant", _days),
    "orders_refused": ("orders_refused", int),
    "silence_s": ("silence", _seconds),
}
"""Thresholds as the catalog spells them in `[trust.thresholds]`: whole numbers, with their unit in the name."""

DEFAULT = Thresholds()
