"""An envelope: signed before the emergency, so that whoever is on call may open it when nobody answers.

Two people or more sign that anybody on call may open this entitlement, so often, so long, within a few days. Its uses are not a
counter: they are the requests that bear it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from countersign.domain.canonical import digest
from countersign.domain.passkey import Assertion
from countersign.domain.timestamps import spell

DIGEST_LABEL = "countersign/envelope/v1"
FEWEST_SIGNERS = 2
LONGEST_ENVELOPE = timedelta(days=7)
MOST_USES = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """One person's word on one envelope, given before the emergency."""

    envelope_id: str
    person: str
    principal: str
    digest: str
    at: datetime
    assertion: Assertion | None = None


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """Whoever is on call may open this entitlement `uses` times, from `not_before` to `not_after`, for `max_duration` each."""

    id: str
    entitlement: str
    rule_digest: str
    not_before: datetime
    not_after: datetime
    uses: int
    max_duration: timedelta
    proposed_by: str
    proposed_at: datetime
    revoked_by: str | None = None
    revoked_at: datetime | None = None

    def statement(self) -> dict[str, object]:
        """Return what a signer signs: everything that decides what may be opened."""
        return {
            "id": self.id,
            "entitlement": self.entitlement,
            "rule": self.rule_digest,
            "not_before": spell(self.not_before),
            "not_after": spell(self.not_after),
            "uses": self.uses,
            "max_duration_s": int(self.max_duration.total_seconds()),
            "proposed_by": self.proposed_by,
            "proposed_at": spell(self.proposed_at),
        }

    @property
    def digest(self) -> str:
        """The hex digest of the statement, computed afresh each time it is asked for."""
        return digest(DIGEST_LABEL, self.statement())

    def holds_at(self, moment: datetime) -> bool:
        """Say whether a moment lies within its days."""
        return self.not_before <= moment < self.not_after
