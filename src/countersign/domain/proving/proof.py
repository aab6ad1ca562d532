"""The prover's answers as values, in plain JSON for a machine."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from countersign.domain.proving.seating import Seat

NAMED_AT_MOST = 5


class Severity(StrEnum):
    """What a finding does to the verdict."""

    FAILURE = "failure"
    WARNING = "warning"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """Something an auditor should read.

    Attributes:
        code: stable; see `docs/rules.md`.
        about: the entitlement, or the person for findings about the directory.
    """

    severity: Severity
    code: str
    about: str
    detail: str

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {"severity": self.severity.value, "code": self.code, "about": self.about, "detail": self.detail}


@dataclass(frozen=True, kw_only=True, slots=True)
class People:
    """A set of persons, by number and the first few in alphabetical order."""

    count: int
    named: tuple[str, ...]

    @classmethod
    def of(cls, persons: Collection[str]) -> People:
        """Count persons, each given once."""
        return cls(count=len(persons), named=tuple(heapq.nsmallest(NAMED_AT_MOST, persons)))

    def __str__(self) -> str:
        more = f" and {self.count - len(self.named)} more" if self.count > len(self.named) else ""
        return ", ".join(self.named) + more if self.count else "nobody"

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {"count": self.count, "named": list(self.named)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Witness:
    """One smallest set of persons who together obtain a credential, and what each does."""

    requester: str
    signers: tuple[Seat, ...]

    def __str__(self) -> str:
        return " + ".join([f"{self.requester} asks", *(f"{s.person} signs ({s.group})" for s in self.signers)])

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        signers = [{"person": s.person, "group": s.group} for s in self.signers]
        return {"requester": self.requester, "signers": signers}


@dataclass(frozen=True, kw_only=True, slots=True)
class Overlap:
    """The persons who are able to sign in both of two groups."""

    groups: tuple[str, str]
    people: People

    def __str__(self) -> str:
        return f"{self.groups[0]} & {self.groups[1]}: {self.people}"

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {"groups": list(self.groups), "people": self.people.as_json()}


@dataclass(frozen=True, kw_only=True)
class Way:
    """What is true of one rule by which an entitlement can be had: its review, or that of break-glass.

    Attributes:
        rule: the rule in symbols.
        least: the smallest number of persons who together fill it, the requester among them; None when no set of persons can.
        witness: one such set.
        nobody_for: who may ask, and whose request nobody could approve.
        two_factors: pairs of the rule's groups that share signers (each of whom still counts once).
        each_other: who may ask and also sign for others.
        taking_turns: two of these who can sign each other's requests, nobody else needed.
    """

    rule: str
    least: int | None
    witness: Witness | None
    nobody_for: People
    two_factors: tuple[Overlap, ...]
    each_other: People
    taking_turns: tuple[str, str] | None

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {
            "rule": self.rule,
            "least": self.least,
            "witness": None if self.witness is None else self.witness.as_json(),
            "nobody_for": self.nobody_for.as_json(),
            "two_factors": [overlap.as_json() for overlap in self.two_factors],
            "each_other": self.each_other.as_json(),
            "taking_turns": None if self.taking_turns is None else list(self.taking_turns),
        }


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is true of one entitlement.

    Attributes:
        alone: who could reach it alone.
        requesters: who may ask.
        owners: active members of the owning group.
        owner_signs: whether the owning group is part of its review.
        review: its normal rule. Envelopes take the same signatures, only earlier, and so add nothing to it.
        break_glass: the rule of its emergencies, None where it knows none.
        automatic: the rule where the approval of its two authors, given in advance, is taken as given; None where there is none.
    """

    entitlement: str
    environment: str
    owner: str
    alone: People
    requesters: People
    owners: People
    owner_signs: bool
    review: Way
    break_glass: Way | None
    automatic: Way | None = None

    @property
    def ways(self) -> tuple[Way, ...]:
        """The rules by which it can be had."""
        return tuple(way for way in (self.review, self.break_glass, self.automatic) if way is not None)

    @property
    def least(self) -> int | None:
        """The smallest number of persons who together obtain a credential, in whichever way; None when nobody does."""
        return min((way.least for way in self.ways if way.least is not None), default=None)

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        said = {
            "entitlement": self.entitlement,
            "environment": self.environment,
            "owner": {"group": self.owner, "members": self.owners.as_json(), "signs": self.owner_signs},
            "alone": self.alone.as_json(),
            "least": self.least,
            "requesters": self.requesters.as_json(),
            "review": self.review.as_json(),
            "break_glass": None if self.break_glass is None else self.break_glass.as_json(),
        }
        return said if self.automatic is None else said | {"automatic": self.automatic.as_json()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Power:
    """Somebody's power over all entitlements.

    Attributes:
        who: a role, or whoever holds something outside the broker.
        holders: persons with the role; None where the directory does not know.
        power: what it lets one do.
        reaches: what one holder reaches alone.
        seen: where it would be seen.
        by_the_rules: whether the broker's rules bind it; the others are named so that nobody thinks they do.
    """

    who: str
    holders: People | None
    power: str
    reaches: str
    seen: str
    by_the_rules: bool

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {
            "who": self.who,
            "holders": None if self.holders is None else self.holders.as_json(),
            "power": self.power,
            "reaches": self.reaches,
            "seen": self.seen,
            "by_the_rules": self.by_the_rules,
        }


@dataclass(frozen=True, kw_only=True)
class Proof:
    """All answers about one catalog and one directory, which are named by their digests.

    Attributes:
        persons: how many are active.
        authors: who may propose other rules.
        each_others_rules: two authors of whom one can propose and the other approve; None when there are no such two.
    """

    catalog: str
    directory: str
    persons: int
    authors: People
    each_others_rules: tuple[str, str] | None
    answers: Sequence[Answer]
    powers: Sequence[Power]
    findings: Sequence[Finding]

    @property
    def ok(self) -> bool:
        """Say whether nothing found is a failure."""
        return all(finding.severity is not Severity.FAILURE for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {
            "schema": 1,
            "ok": self.ok,
            "catalog": self.catalog,
            "directory": self.directory,
            "persons": self.persons,
            "rule_changes": {
                "authors": self.authors.as_json(),
                "pair": None if self.each_others_rules is None else list(self.each_others_rules),
            },
            "entitlements": [answer.as_json() for answer in self.answers],
            "powers": [power.as_json() for power in self.powers],
            "findings": [finding.as_json() for finding in self.findings],
        }
