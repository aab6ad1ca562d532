"""The fact of an approval in advance; the rule and its two authors stand in the log since it came into force."""

from __future__ import annotations

from dataclasses import dataclass

from countersign.domain.facts import Fact


@dataclass(frozen=True, kw_only=True)
class RequestApprovedAutomatically(Fact):
    """A request was approved by its rule alone: those named countersigned the rule, and saw no request."""

    type = "request.approved-automatically"
    digest: str
    rule: str
    approvers: tuple[str, ...]
