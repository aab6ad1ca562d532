"""Facts of grants: an approval became a right to draw, and the right ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from countersign.domain.facts import Fact
from countersign.domain.request import Sealed


@dataclass(frozen=True, kw_only=True)
class GrantOpened(Fact):
    """An approval became a right to draw."""

    type = "grant.opened"
    request: str
    digest: str
    rule: str
    person: str
    approvers: tuple[str, ...]
    draws: int
    duration_s: int
    draw_by: datetime


@dataclass(frozen=True, kw_only=True)
class GrantClosed(Fact):
    """A grant ended by itself, was revoked or was handed back."""

    type = "grant.closed"
    state: str
    reason: Sealed | None = None
