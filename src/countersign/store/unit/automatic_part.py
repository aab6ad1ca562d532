"""Approvals in advance within a transaction."""

from __future__ import annotations

from countersign.domain.automatic import AutomaticApproval
from countersign.store.automatic_tables import automatic_approvals
from countersign.store.unit.part import Part


class AutomaticPart(Part):
    """Approvals in advance."""

    def add_automatic_approval(self, approval: AutomaticApproval) -> None:
        """Keep one; the table refuses a second one, the same author twice, and an author who asks."""
        one, other = approval.approvers
        self._insert(
            automatic_approvals,
            {
                "request_id": approval.request_id,
                "requester_person": approval.requester,
                "digest": approval.digest,
                "rule_digest": approval.rule,
                "one": one,
                "other": other,
                "at": approval.at,
            },
        )

    def automatic_approval(self, request_id: str) -> AutomaticApproval | None:
        """Return how a request was approved by its rule; None where people are to look at it."""
        row = self._keyed(automatic_approvals, request_id=request_id)
        if row is None:
            return None
        return AutomaticApproval(
            request_id=row["request_id"],
            digest=row["digest"],
            rule=row["rule_digest"],
            requester=row["requester_person"],
            approvers=(row["one"], row["other"]),
            at=row["at"],
        )
