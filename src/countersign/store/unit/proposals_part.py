"""Proposals and who wrote the rules in force, within a transaction."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from countersign.domain.proposal import Proposal, ProposalState
from countersign.store import schema
from countersign.store.unit.part import Part

FIELDS = tuple(Proposal.__dataclass_fields__)


class ProposalsPart(Part):
    """Proposals, and the authors of each entitlement's rule."""

    def add_proposal(self, proposal: Proposal) -> None:
        """Keep a new proposal."""
        self._insert(schema.proposals, _row(proposal))

    def proposal(self, proposal_id: str, *, lock: bool = False) -> Proposal | None:
        """Return a proposal; with `lock`, nobody else decides on it until the transaction ends."""
        row = self._one(schema.proposals, schema.proposals.c.id == proposal_id, lock=lock)
        return None if row is None else _to_proposal(row)

    def proposals(self, *, limit: int = 100) -> list[Proposal]:
        """Return proposals, newest first."""
        table = schema.proposals
        query = sa.select(table).order_by(table.c.proposed_at.desc(), table.c.id.desc()).limit(limit)
        return [_to_proposal(row) for row in self._connection.execute(query).mappings()]

    def move_proposal(self, before: Proposal, after: Proposal) -> None:
        """Write the state of a proposal.

        Raises:
            Conflict: it is no longer as `before` was read.
        """
        values = {"state": after.state.value, "decided_by": after.decided_by, "version": after.version}
        self._move(schema.proposals, before, values)

    def rule_authors(self) -> dict[str, frozenset[str]]:
        """Return, by entitlement, the persons who wrote and approved its rule as it is in force."""
        table = schema.rule_authors
        found: dict[str, set[str]] = {}
        for entitlement, person in self._connection.execute(sa.select(table.c.entitlement, table.c.person)):
            found.setdefault(entitlement, set()).add(person)
        return {entitlement: frozenset(persons) for entitlement, persons in found.items()}

    def set_rule_authors(self, entitlement: str, persons: Iterable[str]) -> None:
        """Note who wrote an entitlement's rule, in place of who wrote the rule before."""
        table = schema.rule_authors
        self._connection.execute(sa.delete(table).where(table.c.entitlement == entitlement))
        for person in sorted(set(persons)):
            self._insert(table, {"entitlement": entitlement, "person": person})


def _row(proposal: Proposal) -> dict[str, object]:
    return {name: getattr(proposal, name) for name in FIELDS} | {"state": proposal.state.value}


def _to_proposal(row: sa.RowMapping) -> Proposal:
    values = {name: row[name] for name in FIELDS}
    return Proposal(**values | {"state": ProposalState(row["state"])})
