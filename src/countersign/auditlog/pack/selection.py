"""What a pack reports on: a period, perhaps one person, entitlement or grant in it, and the sample that is drawn."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

DEFAULT_SAMPLE = 25
LARGEST_SAMPLE = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """A period (spelled times, both ends included) and what is narrowed in it.

    Attributes:
        seed: what the sample is drawn by; None for the checkpoint's root, which nobody can choose.
        sample: how many grants get a page.
    """

    since: str
    until: str
    person: str | None = None
    entitlement: str | None = None
    grant: str | None = None
    seed: str | None = None
    sample: int = DEFAULT_SAMPLE

    def covers(self, at: str) -> bool:
        """Say whether a spelled time lies in the period."""
        return self.since <= at <= self.until

    def wants(self, *, person: str, entitlement: str, grant: str) -> bool:
        """Say whether a grant is reported on."""
        asked = ((self.person, person), (self.entitlement, entitlement), (self.grant, grant))
        return all(wanted is None or wanted == found for wanted, found in asked)

    def document(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Selection:
        """Return the selection that a manifest names.

        Raises:
            KeyError, TypeError, ValueError: it names none.
        """
        found = cls(**{each.name: said[each.name] for each in fields(cls)})
        texts = (
            found.since,
            found.until,
            *(x for x in (found.person, found.entitlement, found.grant, found.seed) if x),
        )
        if not all(isinstance(text, str) for text in texts) or not 0 <= int(found.sample) <= LARGEST_SAMPLE:
            raise ValueError("not a selection")
        return found


def rank(seed: str, grant: str) -> bytes:
    """Return a grant's place in the draw: those with the smallest are the sample, whoever draws and in whatever order."""
    return hashlib.sha256(f"countersign/sample/v1\n{seed}\n{grant}".encode()).digest()
