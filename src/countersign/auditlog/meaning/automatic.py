"""Approvals in advance in a replay: only by a rule that the log shows to be automatic, in the name of the two who adopted it."""

from __future__ import annotations

from dataclasses import dataclass

from countersign.auditlog.leaf import Fact
from countersign.auditlog.meaning.ledger import Ledger
from countersign.auditlog.meaning.rulebooks import Rulebooks


@dataclass(slots=True)
class Automatic:
    """Judges approvals in advance; one that does not hold approves nothing, so that what rests on it is named as well."""

    ledger: Ledger
    rules: Rulebooks

    def approved(self, index: int, fact: Fact) -> None:
        """A request that nobody reviewed is approved by the rule that it pins."""
        ledger, data, name = self.ledger, fact["data"], fact["subject"]
        request = ledger.requests.get(name)
        if request is None or request.state != "pending":
            ledger.broken(index, "automatic-unfounded", f"{name} is not waiting for anything")
            return
        approvers = list(data["approvers"])
        if (data["digest"], data["rule"]) != (request.digest, request.rule):
            ledger.broken(index, "automatic-unfounded", f"another digest or rule was approved than that of {name}")
        elif request.approvers or request.denied_by or request.emergency:
            ledger.broken(index, "automatic-unfounded", f"{name} is for its reviewers")
        elif not self.rules.approves(fact, request, approvers):
            who = " and ".join(map(str, approvers)) or "nobody"
            detail = f"the rule of {request.entitlement} approves nothing in the name of {who}"
            ledger.broken(index, "automatic-unfounded", detail)
        else:
            request.approvers, request.automatic = approvers, True
