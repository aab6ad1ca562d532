"""Facts of notices: who was told of an emergency, when that failed, and when nobody was named who could be told."""

from __future__ import annotations

from dataclasses import dataclass

from countersign.domain.facts import Fact


@dataclass(frozen=True, kw_only=True)
class NoticeDelivered(Fact):
    """A receiver took the notice of entry `entry`, so long after it was written; `skipped` are those whom it names."""

    type = "notice.delivered"
    entry: int
    receiver: str
    groups: frozenset[str]
    skipped: tuple[str, ...]
    status: int
    after_ms: int


@dataclass(frozen=True, kw_only=True)
class NoticeFailed(Fact):
    """A notice was not taken at first; it is tried again for ever, and this is said once."""

    type = "notice.failed"
    entry: int
    receiver: str
    trouble: str


@dataclass(frozen=True, kw_only=True)
class NoticeUnaddressed(Fact):
    """The rules name nobody to be told on behalf of these groups, or somebody whom the settings do not know."""

    type = "notice.unaddressed"
    entry: int
    groups: frozenset[str]
    receivers: frozenset[str]
