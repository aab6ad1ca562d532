"""The fact of a counter-proposal; the request that takes it up says so in its own statement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from countersign.domain.facts import Fact


@dataclass(frozen=True, kw_only=True)
class CounterProposed(Fact):
    """Who denied a request said what he would rather see asked: less, and never more."""

    type = "counter.proposed"
    principal: str
    digest: str
    parameters: Mapping[str, str]
    duration_s: int
