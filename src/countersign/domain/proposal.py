"""A proposal to change the rules: another catalog and directory, which another author approves by its digest.

States: pending → approved | rejected | withdrawn. It is built on one rulebook; once another is in force it can only be
rejected or withdrawn, so that nobody approves a change he was not shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from countersign.domain.canonical import digest
from countersign.domain.refusals import WrongState

DIGEST_LABEL = "countersign/proposal/v1"


class ProposalState(StrEnum):
    """Where a proposal stands."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


class ProposalEvent(StrEnum):
    """What can happen to a proposal."""

    APPROVE = "approve"
    REJECT = "reject"
    WITHDRAW = "withdraw"


TRANSITIONS: Mapping[tuple[ProposalState, ProposalEvent], ProposalState] = MappingProxyType(
    {
        (ProposalState.PENDING, ProposalEvent.APPROVE): ProposalState.APPROVED,
        (ProposalState.PENDING, ProposalEvent.REJECT): ProposalState.REJECTED,
        (ProposalState.PENDING, ProposalEvent.WITHDRAW): ProposalState.WITHDRAWN,
    }
)


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """Another catalog and directory, as they were read from their files, built on rulebook number `base`."""

    id: str
    base: int
    catalog: Mapping[str, Any]
    directory: Mapping[str, Any]
    catalog_digest: str
    directory_digest: str
    proposed_by: str
    proposed_at: datetime
    state: ProposalState = ProposalState.PENDING
    decided_by: str | None = None
    version: int = 1

    @property
    def digest(self) -> str:
        """The hex digest that the other author approves."""
        return digest(DIGEST_LABEL, self.statement())

    def statement(self) -> dict[str, object]:
        """Return what both authors sign: the rules, the rulebook that they follow and who proposes them."""
        return _statement(
            proposal=self.id,
            base=self.base,
            catalog=self.catalog_digest,
            directory=self.directory_digest,
            proposed_by=self.proposed_by,
        )

    def after(self, event: ProposalEvent, *, by: str) -> Proposal:
        """Return the proposal after `event`.

        Raises:
            WrongState: the event does not exist from this state.
        """
        next_state = TRANSITIONS.get((self.state, event))
        if next_state is None:
            raise WrongState(f"{self.id} is {self.state}; it can no longer {event}", hint="propose again")
        return replace(self, state=next_state, decided_by=by, version=self.version + 1)


def proposal_digest(*, proposal: str, base: int, catalog: str, directory: str, proposed_by: str) -> str:
    """Return the hex digest of what somebody proposes: rules, and the rulebook that they follow."""
    said = _statement(proposal=proposal, base=base, catalog=catalog, directory=directory, proposed_by=proposed_by)
    return digest(DIGEST_LABEL, said)


def _statement(*, proposal: str, base: int, catalog: str, directory: str, proposed_by: str) -> dict[str, object]:
    return {"id": proposal, "base": base, "catalog": catalog, "directory": directory, "proposed_by": proposed_by}


def genesis_digest(*, catalog: str, directory: str) -> str:
    """Return the digest of the first rules, to be pinned elsewhere by someone other than who wrote them."""
    return digest("countersign/genesis/v1", {"catalog": catalog, "directory": directory})
