"""Facts about other people's records: how far a source was followed, what was missed of it, and leases that nobody used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from countersign.domain.facts import Fact


@dataclass(frozen=True, kw_only=True)
class RecordsBegan(Fact):
    """A source of records is followed from here on; what it told before was not read."""

    type = "records.began"


@dataclass(frozen=True, kw_only=True)
class RecordsGap(Fact):
    """Some of a source's records were lost to us: what happened in between is not known from it."""

    type = "records.gap"
    why: str
    since: datetime
    until: datetime


@dataclass(frozen=True, kw_only=True)
class RecordsSilent(Fact):
    """A source cannot be read; nothing is lost yet, and nothing is known from it."""

    type = "records.silent"
    trouble: str
    since: datetime


@dataclass(frozen=True, kw_only=True)
class RecordsHeard(Fact):
    """A source can be read again, from where it was left."""

    type = "records.heard"
    since: datetime


@dataclass(frozen=True, kw_only=True)
class LeaseIdle(Fact):
    """Nobody used a lease for so long that it ends early; `heard_until` is up to when its uses would have been told."""

    type = "lease.idle"
    grant: str
    idle_s: int
    last_used_at: datetime | None
    heard_until: datetime


@dataclass(frozen=True, kw_only=True)
class TargetStopped(Fact):
    """A stop shut out everything that was made at a target before it, ours or not; `stop` is the stop's id."""

    type = "target.stopped"
    stop: str
    provider: str
    answer: Mapping[str, Any]
