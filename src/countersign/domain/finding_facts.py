"""Facts of findings: what the detectors found, and who independent has looked at it."""

from __future__ import annotations

from dataclasses import dataclass

from countersign.domain.facts import Fact
from countersign.domain.request import Sealed


@dataclass(frozen=True, kw_only=True)
class DetectorsBegan(Fact):
    """Detectors of this version judge the log from entry `since` on; what they find there is raised."""

    type = "detectors.began"
    version: int
    since: int


@dataclass(frozen=True, kw_only=True)
class FindingRaised(Fact):
    """A detector found something. Whoever runs it over the same entries finds the same, under the same id."""

    type = "finding.raised"
    version: int
    detector: str
    severity: str
    owner: str
    persons: tuple[str, ...]
    evidence: tuple[int, ...]
    detail: str


@dataclass(frozen=True, kw_only=True)
class FindingAcknowledged(Fact):
    """Somebody whom it does not concern looked at a finding and said what comes of it."""

    type = "finding.acknowledged"
    principal: str
    comment: Sealed
