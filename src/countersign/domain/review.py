"""Reviews, and the one function that says whether they suffice.

A rule is an AND of factors {group, count}; each person counts once over all factors, whatever groups he is in. Whether a set
of approvers fills the factors is a bipartite matching, solved exactly by augmenting paths.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from countersign.domain.entitlement import Factor
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


@dataclass(frozen=True, kw_only=True, slots=True)
class FactorStanding:
    """How far one factor is filled: `have` of `count`, counted so that each person counts once over all factors."""

    group: str
    count: int
    have: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Quorum:
    """The answer to "do these approvals suffice?" Empty rules never do."""

    factors: tuple[FactorStanding, ...]

    @property
    def reached(self) -> bool:
        """Say whether every factor is filled; a rule without factors, or a factor of nobody, is never reached."""
        return bool(self.factors) and all(f.have >= f.count >= 1 for f in self.factors)


def eligible_for(rule: Sequence[Factor], *, person: str, requester: str, directory: Directory) -> frozenset[str]:
    """Return the rule's groups in which `person` may sign for `requester`; empty means not at all, as for machines."""
    if person == requester or person in directory.machines_only or Role.APPROVER not in directory.roles_of(person):
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
    have = [0] * len(rule)
    for chair in taken:
        have[seats[chair]] += 1
    return Quorum(
        factors=tuple(
            FactorStanding(group=factor.group, count=factor.count, have=have[index])
            for index, factor in enumerate(rule)
        )
    )


def could_be_reached(rule: Sequence[Factor], *, requester: str, directory: Directory) -> bool:
    """Say whether any set of persons other than the requester could satisfy the rule today."""
    everyone = {person for factor in rule for person in directory.members(factor.group)}
    return count_quorum(rule, approvers=everyone, requester=requester, directory=directory).reached
