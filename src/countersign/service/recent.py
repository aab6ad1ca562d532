"""The last hours as the log's leaves tell them: which draw orders were accepted, and which sign-ins ended.

An order is good once and a sign-in that ended bears nothing out, also where somebody who holds the database makes it forget.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from countersign.domain.order_facts import OrderAccepted
from countersign.domain.session import LASTS
from countersign.domain.signin_facts import SessionEnded
from countersign.domain.timestamps import read, spell

TYPES = (OrderAccepted.type, SessionEnded.type)
REMEMBERED_FOR = max(LASTS.values()) + timedelta(hours=1)
"""Longer than a sign-in lasts, and much longer than an order is fresh."""


@dataclass(kw_only=True)
class RecentPast:
    """Names of orders, and proofs of sign-ins, with the time of the leaf that accepted or ended them."""

    _at: dict[str, datetime] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        """Say whether an order of this name was accepted, or the sign-in of this proof ended."""
        return name in self._at

    def read(self, said: Mapping[str, Any], *, now: datetime) -> None:
        """Take a leaf of one of `TYPES`, as its JSON.

        Args:
            said: by whoever wrote the leaf; what he says of the time makes us forget nothing sooner.
            now: by our own clock.

        Raises:
            KeyError, TypeError, ValueError: it is none of ours.
        """
        name = said["subject"] if said["type"] == OrderAccepted.type else said["data"].get("proof")
        if name is None:
            return
        at = min(read(said["at"]), now)
        self._at[str(name)] = max(at, self._at.pop(str(name), at))
        # The times of a sound log do not run back, and a dict keeps its order: what is too old stands in front.
        while (oldest := next(iter(self._at), None)) and now - self._at[oldest] >= REMEMBERED_FOR:
            del self._at[oldest]

    def document(self) -> dict[str, str]:
        """Return it as plain JSON."""
        return {name: spell(at) for name, at in self._at.items()}

    def resume(self, kept: Mapping[str, str]) -> None:
        """Go on from what a process before this one kept."""
        self._at |= {name: read(at) for name, at in kept.items()}
