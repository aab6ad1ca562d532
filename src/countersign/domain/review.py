"""Reviews, and the one function that says whether they suffice.

A rule is an AND of factors {group, count}; each person counts once over all factors, whatever groups he is in. Whether a set
of approvers fills the factors is a bipartite matching, solved exactly by augmenting paths.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from countersign.domain.entitlement import Factor
from countersign.domain.passkey import Assertion
from countersign.domain.people import Directory, Role


class Decision(StrEnum):
    """What a reviewer may say."""

    APPROVE = "approve"
    DENY = "deny"


@dataclass(frozen=True, kw_only=True, slots=True)
class Review:
    """One person's immutable word on one digest."""

    request_id: str
    person: str
    principal: str
    decision: Decision
    digest: str
    at: datetime
    signature: Assertion | None = None


class Hindrance(StrEnum):
    """Why somebody's word does not count, or would not."""

    OWN_REQUEST = "own-request"
    OTHER_DIGEST = "wrong-digest"
    UNRESOLVED = "unresolved"
    OTHER_ENVIRONMENT = "other-environment"
    BEHIND = "behind-the-request"
    AUTHOR = "author-of-the-rule"
    DISABLED = "disabled"
    MACHINE = "machine"
    NO_ROLE = "not-an-approver"
    NOT_NAMED = "not-in-a-named-group"
    UNSIGNED = "not-signed"


@dataclass(frozen=True, kw_only=True, slots=True)
class FactorStanding:
    """How far one factor is filled: `have` of `count`, counted so that a person counts once over all, and `by` whom."""

    group: str
    count: int
    have: int
    by: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Quorum:
    """The answer to "do these approvals suffice?" Empty rules never do."""

    factors: tuple[FactorStanding, ...]

    @property
    def reached(self) -> bool:
        """Say whether every factor is filled; a rule without factors, or a factor of nobody, is never reached."""
        return bool(self.factors) and all(f.have >= f.count >= 1 for f in self.factors)


def hindrance_to(rule: Sequence[Factor], *, person: str, requester: str, directory: Directory) -> Hindrance | None:
    """Return why `person` may not sign for `requester` under a rule as the directory stands now; None when he may."""
    if person == requester:
        return Hindrance.OWN_REQUEST
    if not directory.is_active(person):
        return Hindrance.DISABLED
    if person in directory.machines_only:
        return Hindrance.MACHINE
    if Role.APPROVER not in directory.roles_of(person):
        return Hindrance.NO_ROLE
    return None if any(person in directory.members(f.group) for f in rule) else Hindrance.NOT_NAMED


def eligible_for(rule: Sequence[Factor], *, person: str, requester: str, directory: Directory) -> frozenset[str]:
    """Return the rule's groups in which `person` may sign for `requester`; empty means not at all, as for machines."""
    if hindrance_to(rule, person=person, requester=requester, directory=directory) is not None:
        return frozenset()
    return frozenset(f.group for f in rule if person in directory.members(f.group))


def count_quorum(rule: Sequence[Factor], *, approvers: Collection[str], requester: str, directory: Directory) -> Quorum:
    """Count approvers towards a rule as the directory stands now; the requester never counts.

    Args:
        rule: the factors.
        approvers: persons who approved the exact digest.
        requester: the person who asked.
        directory: who is in which group at this moment.

    Returns:
        The best possible assignment of persons to factors, each person in at most one.
    """
    seats = [index for index, factor in enumerate(rule) for _ in range(factor.count)]
    may_sit = {
        person: eligible_for(rule, person=person, requester=requester, directory=directory)
        for person in sorted(set(approvers))
    }
    taken: dict[int, str] = {}

    def seat(person: str, tried: set[int]) -> bool:
        for chair, factor in enumerate(seats):
            if chair in tried or rule[factor].group not in may_sit[person]:
                continue
            tried.add(chair)
            if chair not in taken or seat(taken[chair], tried):
                taken[chair] = person
                return True
        return False

    for person in may_sit:
        seat(person, set())
    sitting: list[list[str]] = [[] for _ in rule]
    for chair, person in taken.items():
        sitting[seats[chair]].append(person)
    return Quorum(
        factors=tuple(
            FactorStanding(
                group=factor.group, count=factor.count, have=len(sitting[index]), by=tuple(sorted(sitting[index]))
            )
            for index, factor in enumerate(rule)
        )
    )


def could_sign(rule: Sequence[Factor], requester: str, directory: Directory) -> frozenset[str]:
    """Return everybody who may sign for `requester` under a rule as the directory stands now."""
    named = {person for factor in rule for person in directory.members(factor.group)}
    return frozenset(
        person
        for person in named
        if hindrance_to(rule, person=person, requester=requester, directory=directory) is None
    )


def could_be_reached(rule: Sequence[Factor], *, requester: str, directory: Directory) -> bool:
    """Say whether any set of persons other than the requester could satisfy the rule today."""
    everyone = {person for factor in rule for person in directory.members(factor.group)}
    return count_quorum(rule, approvers=everyone, requester=requester, directory=directory).reached
