"""The shape of `[trust.thresholds]` in `catalog.toml`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from countersign.config.table import Table

Seconds = Annotated[int, Field(ge=1, le=7 * 86_400)]
Days = Annotated[int, Field(ge=1, le=400)]
Times = Annotated[int, Field(ge=1, le=10_000)]
Percent = Annotated[int, Field(ge=1, le=100)]


class ThresholdTable(Table):
    """`[trust.thresholds]`: from where on the detectors tell of something; what is absent stays as they have it."""

    late_s: Seconds | None = None
    very_late_s: Seconds | None = None
    window_days: Days | None = None
    pair_each_way: Times | None = None
    pair_share_percent: Percent | None = None
    hasty_s: Seconds | None = None
    hasty_over: Times | None = None
    rubber_percent: Percent | None = None
    rubber_over: Times | None = None
    decisions_per_hour: Times | None = None
    grants_per_day: Times | None = None
    emergencies: Times | None = None
    emergency_share_percent: Percent | None = None
    share_over: Times | None = None
    creep_percent: Annotated[int, Field(ge=100, le=10_000)] | None = None
    creep_over: Times | None = None
    dormant_days: Days | None = None
    orders_refused: Annotated[int, Field(ge=1, le=20)] | None = None
    silence_s: Seconds | None = None
