"""Facts of the broker itself: that a process of it came up, and that its clock disagreed."""

from __future__ import annotations

from dataclasses import dataclass

from countersign.domain.facts import Fact


@dataclass(frozen=True, kw_only=True)
class BrokerStarted(Fact):
    """A process came up with this version and configuration: subject `broker`, or the half that runs alone."""

    type = "broker.started"
    version: str
    configuration: str


@dataclass(frozen=True, kw_only=True)
class ClockStepped(Fact):
    """The clock disagreed with what was known; issuing stopped or resumed."""

    type = "clock.stepped"
    offset_ms: int
    issuing: bool
