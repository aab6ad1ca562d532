"""The inline policy `CountersignEnded` of a target role as a value: which leases it denies, until when, and what is not ours.

Each statement of ours denies everything to sessions named by leases and says in its Sid until when it must stand, so that what
has outlived its sessions can be pruned without asking a database. Statements that we would not have written are kept as they
are and reported.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from countersign.domain.ids import LEASE, is_id

POLICY_NAME = "CountersignEnded"
BUCKET_S = 900
"""Entries whose expiry falls in the same quarter of an hour share a statement; later than needed is safe, earlier is not."""

_SID = re.compile(r"CountersignUntil(\d{1,12})", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class EndedList:
    """What the policy says.

    Attributes:
        entries: lease ids by the second (Unix time) until which their statement stands.
        foreign: statements that are not ours, as found.
    """

    entries: Mapping[int, frozenset[str]] = field(default_factory=dict)
    foreign: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def read(cls, document: object) -> EndedList:
        """Return the list that a policy document spells; whatever is not exactly ours is foreign."""
        if not isinstance(document, Mapping):
            return cls(foreign=({"unreadable": str(type(document).__name__)},)) if document is not None else cls()
        raw = document.get("Statement", [])
        entries: dict[int, frozenset[str]] = {}
        foreign: list[Mapping[str, Any]] = []
        for statement in raw if isinstance(raw, list) else [raw]:
            until, leases = _ours(statement)
            if leases:
                entries[until] = entries.get(until, frozenset()) | leases
            else:
                foreign.append(statement if isinstance(statement, Mapping) else {"unreadable": str(statement)[:200]})
        return cls(entries=entries, foreign=tuple(foreign))

    def __contains__(self, lease_id: object) -> bool:
        return any(lease_id in leases for leases in self.entries.values())

    def __len__(self) -> int:
        return sum(len(leases) for leases in self.entries.values())

    def with_entry(self, lease_id: str, until: datetime) -> EndedList:
        """Return the list with one more lease, standing at least until `until`."""
        if not is_id(lease_id, LEASE):
            raise ValueError("only a lease id can be entered")
        second = -(-int(until.timestamp() + 1) // BUCKET_S) * BUCKET_S
        if any(lease_id in leases for at, leases in self.entries.items() if at >= second):
            return self
        entries = dict(self.entries)
        entries[second] = entries.get(second, frozenset()) | {lease_id}
        return replace(self, entries=entries)

    def pruned(self, now: datetime) -> EndedList:
        """Return the list without statements whose time is over."""
        moment = now.timestamp()
        return replace(self, entries={at: leases for at, leases in self.entries.items() if at > moment})

    def document(self) -> str | None:
        """Return the policy text, compact and in a fixed order; None when there is nothing to say."""
        statements = [*self.foreign, *(_statement(at, leases) for at, leases in sorted(self.entries.items()))]
        if not statements:
            return None
        return json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":"))

    def characters(self) -> int:
        """Return what the policy takes of the role's inline budget."""
        return size_of(self.document())


ENTRY_CHARACTERS = len('"*:lse_0123456789abcdef*",')
STATEMENT_CHARACTERS = 160
"""The most that one statement takes besides its entries."""


def size_of(document: object) -> int:
    """Return the characters of a policy as AWS counts them: white space outside of text is free."""
    if document is None:
        return 0
    plain = json.loads(document) if isinstance(document, str) else document
    return len(json.dumps(plain, separators=(",", ":"), ensure_ascii=False))


def pattern_of(lease_id: str) -> str:
    """Return what a lease's sessions (and its canary) look like in aws:userid, `ROLEID:session-name`."""
    return f"*:{lease_id}*"


def _statement(until: int, leases: frozenset[str]) -> dict[str, Any]:
    return {
        "Sid": f"CountersignUntil{until}",
        "Effect": "Deny",
        "Action": "*",
        "Resource": "*",
        "Condition": {"StringLike": {"aws:userid": [pattern_of(lease) for lease in sorted(leases)]}},
    }


def _ours(statement: object) -> tuple[int, frozenset[str]]:
    """Return (until, leases) of a statement that is exactly as we write them, else (0, none)."""
    nothing: tuple[int, frozenset[str]] = (0, frozenset())
    if not isinstance(statement, Mapping):
        return nothing
    match, patterns = _SID.fullmatch(str(statement.get("Sid", ""))), _patterns(statement.get("Condition"))
    leases = frozenset(pattern[2:-1] for pattern in patterns)
    if match is None or not leases or not all(is_id(lease, LEASE) for lease in leases):
        return nothing
    # AWS may hand the patterns back in another order; everything else must be to the letter.
    until = int(match.group(1))
    found = {**statement, "Condition": {"StringLike": {"aws:userid": sorted(patterns)}}}
    return (until, leases) if found == _statement(until, leases) else nothing


def _patterns(condition: object) -> list[str]:
    match condition:
        case {"StringLike": {"aws:userid": [*texts], **other_keys}, **other_operators}:
            if not other_keys and not other_operators and all(isinstance(text, str) for text in texts):
                return [str(text) for text in texts]
    return []
