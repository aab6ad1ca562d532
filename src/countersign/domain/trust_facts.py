"""The fact that a process runs on other settings than the rules decide."""

from __future__ import annotations

from dataclasses import dataclass

from countersign.domain.facts import Fact


@dataclass(frozen=True, kw_only=True)
class TrustMismatched(Fact):
    """A process came up with settings that are not those of the rules in force: it ends what is due, and issues nothing."""

    type = "trust.mismatched"
    settings: tuple[str, ...]
