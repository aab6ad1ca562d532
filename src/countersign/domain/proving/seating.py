"""Who can sit in which seat of a review rule: a directory turned around once, and the matching that fills a rule.

A rule has as many seats as its counts add up to. A seat asks for one person of its factor's group; a person takes one seat.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from countersign.domain.entitlement import Entitlement, Factor
from countersign.domain.people import Directory, Role


@dataclass(frozen=True, kw_only=True, slots=True)
class Seat:
    """A person in the place of one of a group."""

    group: str
    person: str


@dataclass(frozen=True, kw_only=True)
class Census:
    """Who can act, by group, as the broker judges it.

    Attributes:
        members: the active members of each group.
        asking: who holds the requester role and has an account of any kind.
        signing: by group, in alphabetical order, who holds the approver role and has an account that is no machine's.
    """

    members: Mapping[str, frozenset[str]]
    asking: frozenset[str]
    signing: Mapping[str, tuple[str, ...]]
    _askers: dict[tuple[str, ...] | None, frozenset[str]] = field(default_factory=dict)
    _signers: dict[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, directory: Directory) -> Census:
        """Count a directory, in time proportional to its memberships."""
        accounts = frozenset(principal.person for principal in directory.principals.values())
        members = {group: directory.members(group) for group in directory.groups}
        holders: dict[Role, set[str]] = {role: set() for role in Role}
        for group in directory.groups.values():
            for role in group.roles:
                holders[role] |= members[group.id]
        able = (accounts & holders[Role.APPROVER]) - directory.machines_only
        return cls(
            members=members,
            asking=accounts & holders[Role.REQUESTER],
            signing={group: tuple(sorted(found & able)) for group, found in members.items()},
        )

    def askers(self, entitlement: Entitlement) -> frozenset[str]:
        """Return who may ask for an entitlement."""
        key = entitlement.requesters
        if key not in self._askers:
            everyone = self.asking
            self._askers[key] = everyone if key is None else everyone & self.union(key)
        return self._askers[key]

    def signers(self, group: str) -> frozenset[str]:
        """Return who may sign in a group; nobody in an unknown one."""
        if group not in self._signers:
            self._signers[group] = frozenset(self.signing.get(group, ()))
        return self._signers[group]

    def union(self, groups: Iterable[str]) -> frozenset[str]:
        """Return the active members of any of `groups`."""
        return frozenset().union(*(self.members.get(group, frozenset()) for group in groups))


def seats_of(rule: Sequence[Factor]) -> tuple[str, ...]:
    """Return the group that each seat of a rule asks for; empty for a rule that the broker never holds to be filled."""
    if any(factor.count < 1 for factor in rule):
        return ()
    return tuple(factor.group for factor in rule for _ in range(factor.count))


def seat_all(
    seats: Sequence[str], candidates: Mapping[str, Sequence[str]], *, without: Collection[str] = ()
) -> tuple[Seat, ...] | None:
    """Return persons for all seats, each person in one, or None if there is no way to seat them all.

    This is a maximum bipartite matching by augmenting paths, so None means that no way exists. Only the first
    `len(seats) + len(without)` candidates of a group are looked at, which changes no answer: a group that still has as many
    candidates as the rule has seats can always be seated last, whoever sits elsewhere.

    Args:
        seats: the group that each seat asks for.
        candidates: who may sit for each group, each once.
        without: persons who may not sit at all.
    """
    enough = len(seats) + len(without)
    able = {
        group: [person for person in candidates.get(group, ())[:enough] if person not in without]
        for group in set(seats)
    }
    taken: dict[str, int] = {}

    def seat(chair: int, tried: set[str]) -> bool:
        for person in able[seats[chair]]:
            if person in tried:
                continue
            tried.add(person)
            if person not in taken or seat(taken[person], tried):
                taken[person] = chair
                return True
        return False

    if not all(seat(chair, set()) for chair in range(len(seats))):
        return None
    sitting = {group: iter(sorted(p for p, chair in taken.items() if seats[chair] == group)) for group in able}
    return tuple(Seat(group=group, person=next(sitting[group])) for group in seats)
