"""Rulebooks, disabled persons and tokens within a transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from countersign.domain.people import Directory
from countersign.domain.refusals import Conflict
from countersign.store import schema
from countersign.store.campaign_tables import removed_memberships
from countersign.store.unit.part import Part


@dataclass(frozen=True, kw_only=True, slots=True)
class Rulebook:
    """The catalog and directory in force, as they were read from their files."""

    seq: int
    catalog: Mapping[str, Any]
    directory: Mapping[str, Any]
    catalog_digest: str
    directory_digest: str
    proposed_by: str | None = None
    approved_by: str | None = None
    proposal: str | None = None


# Built once: every judgement begins with it, and on PostgreSQL ends with it.
_RULES_NOW = sa.select(
    sa.select(sa.func.coalesce(sa.func.max(schema.rulebooks.c.seq), 0)).scalar_subquery(),
    sa.select(sa.func.count()).select_from(schema.disabled).scalar_subquery(),
    sa.select(sa.func.count()).select_from(removed_memberships).scalar_subquery(),
)
_DISABLED = sa.select(schema.disabled.c.person)
_REMOVED = sa.select(removed_memberships.c.person, removed_memberships.c.group)


class RulesPart(Part):
    """Rules, people and tokens."""

    _pinned: tuple[int, int, int] | None = None

    def rulebook(self) -> Rulebook | None:
        """Return the rulebook in force."""
        table = schema.rulebooks
        row = self._connection.execute(sa.select(table).order_by(table.c.seq.desc()).limit(1)).mappings().one_or_none()
        if row is None:
            return None
        return Rulebook(**{name: row[name] for name in Rulebook.__dataclass_fields__})

    def rulebooks_after(self, seq: int) -> list[Rulebook]:
        """Return every rulebook behind a number, in order."""
        table = schema.rulebooks
        rows = self._connection.execute(sa.select(table).where(table.c.seq > seq).order_by(table.c.seq)).mappings()
        return [Rulebook(**{name: row[name] for name in Rulebook.__dataclass_fields__}) for row in rows]

    def rulebook_seq(self) -> int:
        """Return the number of the rulebook in force, 0 for none: cheap, to know whether a parsed one still holds."""
        query = sa.select(sa.func.coalesce(sa.func.max(schema.rulebooks.c.seq), 0))
        return int(self._connection.execute(query).scalar_one())

    def pinned_rules(self) -> int:
        """Return the rulebook in force by number; this transaction commits only if it, who is disabled and removed stay so."""
        self._pinned = self._rules_now()
        return self._pinned[0]

    def demand_pinned_rules(self) -> None:
        """Refuse to commit what was judged by rules that others have changed since; asked when nobody else can commit any more.

        On SQLite nobody else could commit from the beginning of a writing transaction.

        Raises:
            Conflict: they have.
        """
        if self._connection.dialect.name == "sqlite":
            return
        if self._pinned is not None and self._rules_now() != self._pinned:
            raise Conflict("the rules changed at the same moment; nothing was done", hint="try again")

    def _rules_now(self) -> tuple[int, int, int]:
        found = self._connection.execute(_RULES_NOW).one()
        return int(found[0]), int(found[1]), int(found[2])

    def _moved(self, *, rulebooks: int = 0, disabled: int = 0, removed: int = 0) -> None:
        """Take account of what this transaction changed in the rules itself."""
        if self._pinned is not None:
            seq, gone, less = self._pinned
            self._pinned = (seq + rulebooks, gone + disabled, less + removed)

    def add_rulebook(self, rulebook: Rulebook) -> None:
        """Bring a rulebook into force."""
        values = {name: getattr(rulebook, name) for name in Rulebook.__dataclass_fields__}
        self._insert(schema.rulebooks, values | {"at": self.now})
        self._moved(rulebooks=1)

    def disabled_persons(self) -> frozenset[str]:
        """Return the persons who were disabled at run time."""
        if self._pinned is not None and not self._pinned[1]:
            return frozenset()  # counted with the rules, in this transaction
        return frozenset(self._connection.execute(_DISABLED).scalars())

    def disable_person(self, person: str) -> bool:
        """Disable a person; False when he was already."""
        if person in self.disabled_persons():
            return False
        self._insert(schema.disabled, {"person": person, "at": self.now})
        self._moved(disabled=1)
        return True

    def removed_memberships(self) -> frozenset[tuple[str, str]]:
        """Return the memberships (person, group) that hold no more, whatever the directory says."""
        if self._pinned is not None and not self._pinned[2]:
            return frozenset()  # as above
        return frozenset((row[0], row[1]) for row in self._connection.execute(_REMOVED))

    def remove_membership(self, person: str, group: str) -> bool:
        """Remove a membership; False where it was removed before."""
        if (person, group) in self.removed_memberships():
            return False
        self._insert(removed_memberships, {"person": person, "group": group, "at": self.now})
        self._moved(removed=1)
        return True

    def absorb_removals(self, directory: Directory) -> None:
        """Forget the removals of memberships that the directory does not list any more: it says the same by itself."""
        table = removed_memberships
        for person, group in self.removed_memberships():
            known = directory.groups.get(group)
            if known is None or person not in known.members:
                self._connection.execute(sa.delete(table).where(table.c.person == person, table.c.group == group))
                self._moved(removed=-1)

    def add_token(self, *, token_id: str, hashed: str, principal: str) -> None:
        """Keep the hash of a token."""
        row = {"id": token_id, "hash": hashed, "principal": principal, "issued_at": self.now, "revoked_at": None}
        self._insert(schema.tokens, row)

    def principal_of_token(self, hashed: str) -> str | None:
        """Return the principal of a token in force."""
        table = schema.tokens
        query = sa.select(table.c.principal).where(table.c.hash == hashed, table.c.revoked_at.is_(None))
        return self._connection.execute(query).scalar_one_or_none()

    def revoke_tokens(self, principal: str) -> list[str]:
        """Withdraw all tokens of a principal and return their public ids."""
        table = schema.tokens
        query = (
            sa.update(table)
            .where(table.c.principal == principal, table.c.revoked_at.is_(None))
            .values(revoked_at=self.now)
            .returning(table.c.id)
        )
        return sorted(self._connection.execute(query).scalars())
