"""Quorum: the answer of the matching equals that of trying every assignment, and nobody counts who should not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.domain.entitlement import Factor
from countersign.domain.people import Directory, Group, Person, Role
from countersign.domain.review import FactorStanding, Quorum, could_be_reached, count_quorum, eligible_for

PEOPLE = "abcde"
GROUPS = ("g0", "g1", "g2")


def directory(groups: dict[str, str], *, signers: str = PEOPLE, disabled: str = "") -> Directory:
    return Directory(
        persons={name: Person(id=name, name=name) for name in PEOPLE},
        principals={},
        groups={
            "signers": Group(id="signers", members=frozenset(signers), roles=frozenset({Role.APPROVER})),
            "askers": Group(id="askers", members=frozenset(PEOPLE), roles=frozenset({Role.REQUESTER})),
            **{name: Group(id=name, members=frozenset(members)) for name, members in groups.items()},
        },
        disabled=frozenset(disabled),
    )


def rule(*factors: tuple[str, int]) -> tuple[Factor, ...]:
    return tuple(Factor(group=group, count=count) for group, count in factors)


@dataclass(frozen=True, kw_only=True)
class World:
    factors: tuple[Factor, ...]
    approvers: frozenset[str]
    requester: str
    groups: dict[str, str]
    signers: str
    disabled: str

    @property
    def directory(self) -> Directory:
        return directory(self.groups, signers=self.signers, disabled=self.disabled)

    def seats_filled(self) -> Iterator[list[int]]:
        """Try every way to put each approver who may sign into one factor or none."""
        able = [p for p in self.approvers if p != self.requester and p in self.signers and p not in self.disabled]
        places = [
            [-1, *(index for index, factor in enumerate(self.factors) if person in self.groups.get(factor.group, ""))]
            for person in able
        ]
        for choice in product(*places):
            yield [min(choice.count(index), factor.count) for index, factor in enumerate(self.factors)]


people_in = st.sets(st.sampled_from(PEOPLE)).map(lambda found: "".join(sorted(found)))
worlds = st.builds(
    World,
    factors=st.lists(
        st.builds(lambda g, c: Factor(group=g, count=c), st.sampled_from((*GROUPS, "unknown")), st.integers(1, 3)),
        max_size=3,
    ).map(tuple),
    approvers=st.frozensets(st.sampled_from([*PEOPLE, "stranger"])),
    requester=st.sampled_from(PEOPLE),
    groups=st.fixed_dictionaries(dict.fromkeys(GROUPS, people_in)),
    signers=people_in,
    disabled=st.sampled_from(["", "", *PEOPLE, "ab"]),
)


@settings(max_examples=200, deadline=None)
@given(worlds)
def test_the_count_is_that_of_the_best_assignment(world: World) -> None:
    tried = list(world.seats_filled())
    quorum = count_quorum(
        world.factors, approvers=world.approvers, requester=world.requester, directory=world.directory
    )
    assert sum(factor.have for factor in quorum.factors) == max(map(sum, tried))
    assert [factor.have for factor in quorum.factors] in tried
    assert quorum.reached == (bool(world.factors) and [factor.count for factor in world.factors] in tried)


@settings(max_examples=100, deadline=None)
@given(worlds)
def test_a_rule_can_be_reached_just_if_everyone_elses_approval_reaches_it(world: World) -> None:
    all_approve = replace(world, approvers=frozenset(PEOPLE))
    full = [factor.count for factor in world.factors] in all_approve.seats_filled()
    reached = could_be_reached(world.factors, requester=world.requester, directory=world.directory)
    assert reached == (bool(world.factors) and full)


def test_each_person_counts_once_over_all_factors() -> None:
    people = directory({"g0": "b", "g1": "b"})
    quorum = count_quorum(rule(("g0", 1), ("g1", 1)), approvers=["b", "b"], requester="a", directory=people)
    assert sum(factor.have for factor in quorum.factors) == 1
    assert not quorum.reached


def test_a_person_moves_to_where_he_is_needed() -> None:
    people = directory({"g0": "bc", "g1": "b"})
    for approvers in (["b", "c"], ["c", "b"]):
        quorum = count_quorum(rule(("g0", 1), ("g1", 1)), approvers=approvers, requester="a", directory=people)
        assert quorum.factors == (
            FactorStanding(group="g0", count=1, have=1),
            FactorStanding(group="g1", count=1, have=1),
        )
        assert quorum.reached


def test_a_chain_of_moves_is_found() -> None:
    people = directory({"g0": "bc", "g1": "cd", "g2": "b"})
    needs = rule(("g0", 1), ("g1", 1), ("g2", 1))
    assert count_quorum(needs, approvers="bcd", requester="a", directory=people).reached
    assert not count_quorum(needs, approvers="bc", requester="a", directory=people).reached


def test_the_requester_never_counts() -> None:
    people = directory({"g0": "ab"})
    assert eligible_for(rule(("g0", 1)), person="a", requester="a", directory=people) == frozenset()
    assert not count_quorum(rule(("g0", 1)), approvers=["a"], requester="a", directory=people).reached
    assert not count_quorum(rule(("g0", 2)), approvers=["a", "b"], requester="a", directory=people).reached
    assert not could_be_reached(rule(("g0", 1)), requester="a", directory=directory({"g0": "a"}))


def test_a_disabled_approver_does_not_count() -> None:
    people = directory({"g0": "b"}, disabled="b")
    assert eligible_for(rule(("g0", 1)), person="b", requester="a", directory=people) == frozenset()
    assert not count_quorum(rule(("g0", 1)), approvers=["b"], requester="a", directory=people).reached


def test_membership_without_the_role_does_not_count_nor_the_role_without_membership() -> None:
    people = directory({"g0": "b"}, signers="c")
    for person in "bc":
        assert eligible_for(rule(("g0", 1)), person=person, requester="a", directory=people) == frozenset()
        assert not count_quorum(rule(("g0", 1)), approvers=[person], requester="a", directory=people).reached


def test_a_reviewer_is_told_the_rules_groups_only() -> None:
    people = directory({"g0": "b", "g1": "b", "g2": "b"})
    assert eligible_for(rule(("g0", 1), ("g2", 1)), person="b", requester="a", directory=people) == {"g0", "g2"}


def test_more_approvals_than_asked_for_fill_no_more_seats() -> None:
    people = directory({"g0": "bcd"})
    quorum = count_quorum(rule(("g0", 2)), approvers="bcd", requester="a", directory=people)
    assert quorum.factors == (FactorStanding(group="g0", count=2, have=2),)


def test_an_empty_rule_is_never_reached() -> None:
    people = directory({"g0": "bcd"})
    assert not count_quorum((), approvers="bcd", requester="a", directory=people).reached
    assert not could_be_reached((), requester="a", directory=people)
    assert not Quorum(factors=()).reached


@pytest.mark.parametrize("count", [0, -1])
def test_a_factor_that_asks_for_nobody_is_never_reached(count: int) -> None:
    people = directory({"g0": "bcd"})
    assert not count_quorum(rule(("g0", count)), approvers="bcd", requester="a", directory=people).reached
    assert not count_quorum(rule(("g0", count)), approvers="", requester="a", directory=people).reached


def test_an_unknown_or_empty_group_means_nobody() -> None:
    people = directory({"g0": ""})
    for group in ("g0", "unknown"):
        assert not could_be_reached(rule((group, 1)), requester="a", directory=people)
