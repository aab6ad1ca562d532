"""Erasing what people wrote: never before its time, never under legal hold, and by the word of two people."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from countersign.domain.refusals import NotEligible, Refused, WrongState
from countersign.domain.trust import Trust


class RetentionHolds(Refused):
    """What was asked to be erased is younger than its retention, or under legal hold."""

    code = "retention-holds"


@dataclass(frozen=True, kw_only=True, slots=True)
class Erasure:
    """Two people's word that what was written before a moment is erased.

    Attributes:
        before: the texts of entries older than this.
        asked_by: who asked for it; `approved_by` is another.
        done_at: when it was carried out; `texts` then says how many texts that were.
    """

    id: str
    before: datetime
    asked_by: str
    asked_at: datetime
    approved_by: str | None = None
    approved_at: datetime | None = None
    done_at: datetime | None = None
    texts: int | None = None

    def approved(self, *, by: str, at: datetime, auditors: frozenset[str]) -> Erasure:
        """Return it as another person approved it; one of the two is an auditor.

        Raises:
            WrongState: it is approved.
            NotEligible: who asked, or neither of the two is an auditor.
        """
        if self.approved_by is not None:
            raise WrongState(f"{self.id} is approved", rule="an erasure is approved once")
        if by == self.asked_by:
            raise NotEligible("nobody approves an erasure that he asked for", rule="two people decide on an erasure")
        if not auditors & {by, self.asked_by}:
            raise NotEligible("neither of the two is an auditor", rule="an auditor is one of the two who decide")
        return replace(self, approved_by=by, approved_at=at)

    def carried_out(self, *, at: datetime, texts: int) -> Erasure:
        """Return it as it is once it was carried out.

        Raises:
            WrongState: it is not approved, or was carried out.
        """
        if self.approved_by is None or self.done_at is not None:
            raise WrongState(
                f"{self.id} is not to be carried out", rule="an erasure is carried out once, when approved"
            )
        return replace(self, done_at=at, texts=texts)

    def document(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def demand_erasable(before: datetime, *, now: datetime, trust: Trust) -> None:
    """Demand that all that was written before a moment may be erased now, by the rules in force.

    Raises:
        RetentionHolds: saying until when it is kept, or that there is a legal hold.
    """
    if trust.legal_hold:
        raise RetentionHolds(
            "everything is under legal hold",
            rule="trust.legal_hold = true",
            hint="two catalog authors lift it: countersign catalog propose",
        )
    if before > now - timedelta(days=trust.retention_days):
        raise RetentionHolds(
            f"what was written within {trust.retention_days} days is kept",
            rule=f"trust.retention_days = {trust.retention_days}",
            hint="name an earlier moment",
        )
