"""Catalog and directory together: unknown groups are errors, what means nobody is said aloud."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from countersign.config.catalog import parse_catalog
from countersign.config.crosscheck import check_together
from countersign.config.directory import parse_directory
from countersign.config.problems import Problem, Severity
from countersign.domain.entitlement import Catalog
from countersign.domain.people import Directory
from countersign.domain.review import could_be_reached

R, A = "requester", "approver"


def catalog(review: list[tuple[str, int]], **changed: object) -> Catalog:
    item: dict[str, Any] = {
        "id": "e",
        "owner": review[0][0],
        "environment": "production",
        "provider": "fake",
        "target": "t",
        "grants": {},
        "min_duration_s": 1,
        "max_duration_s": 2,
        "review": [{"group": group, "count": count} for group, count in review],
        **changed,
    }
    return parse_catalog({"schema": 1, "target": [{"id": "t", "provider": "fake", "kind": "k"}], "entitlement": [item]})


def directory(machines: str = "", **groups: tuple[str, list[str]]) -> Directory:
    """Return a directory of `groups` ({id: (members in one string, roles)}), where `machines` act through machines alone."""
    persons = sorted({member for members, _ in groups.values() for member in members.split()})
    return parse_directory(
        {
            "schema": 1,
            "person": [{"id": person, "name": person} for person in persons],
            "principal": [{"id": person, "person": person, "human": person not in machines} for person in persons],
            "group": [
                {"id": name, "members": members.split(), "roles": roles} for name, (members, roles) in groups.items()
            ],
        }
    )


def said(problems: list[Problem]) -> list[tuple[str, str, str]]:
    return [(problem.severity.value, problem.where, problem.got) for problem in problems]


def test_a_fitting_pair_has_no_problems() -> None:
    people = directory(eng=("alice", [R]), team=("bob carol", [A]))
    assert check_together(catalog([("team", 2)]), people) == []


def test_an_unknown_group_is_an_error_wherever_it_stands() -> None:
    people = directory(eng=("alice", [R]), team=("bob", [A]))
    rules = catalog([("nope", 1)], owner="who", requesters=["eng", "gone"])
    found = check_together(rules, people)
    errors = [problem for problem in found if problem.severity is Severity.ERROR]
    assert said(errors) == [
        ("error", 'entitlement "e".owner', '"who"'),
        ("error", 'entitlement "e".review[0].group', '"nope"'),
        ("error", 'entitlement "e".requesters[1]', '"gone"'),
    ]
    assert {problem.expected for problem in errors} == {"a group of the directory"}
    assert found[: len(errors)] == errors


def test_an_empty_group_means_nobody() -> None:
    people = directory(eng=("alice", [R]), team=("", [A]))
    assert said(check_together(catalog([("team", 1)], owner="eng"), people)) == [
        ("warning", 'entitlement "e".review[0].group', '"team", which is empty and means nobody'),
        ("warning", 'entitlement "e".review', "nobody could ever approve"),
    ]


def test_a_group_without_approvers_means_nobody() -> None:
    people = directory(eng=("alice", [R]), team=("bob", [R]))
    assert said(check_together(catalog([("team", 1)]), people)) == [
        ("warning", 'entitlement "e".review[0].group', '"team", where nobody does: it means nobody'),
        ("warning", 'entitlement "e".review', "nobody could ever approve"),
    ]


def test_an_approver_by_another_group_counts_in_this_one() -> None:
    people = directory(eng=("alice", [R]), team=("bob", []), signers=("bob", [A]))
    assert check_together(catalog([("team", 1)]), people) == []


def test_a_count_beyond_the_groups_approvers_means_nobody() -> None:
    people = directory(eng=("alice", [R]), team=("bob carol", []), signers=("bob", [A]))
    assert said(check_together(catalog([("team", 2)]), people)) == [
        ("warning", 'entitlement "e".review[0].count', "2, which means nobody"),
        ("warning", 'entitlement "e".review', "nobody could ever approve"),
    ]


def test_who_acts_through_machines_alone_is_no_approver() -> None:
    people = directory(machines="b", eng=("alice", [R]), team=("b", [A]))
    assert said(check_together(catalog([("team", 1)]), people)) == [
        ("warning", 'entitlement "e".review[0].group', '"team", where nobody does: it means nobody'),
        ("warning", 'entitlement "e".review', "nobody could ever approve"),
    ]


def test_an_entitlement_that_nobody_may_ask_for_is_said() -> None:
    people = directory(eng=("alice", []), team=("bob", [A]))
    assert said(check_together(catalog([("team", 1)]), people)) == [("warning", 'entitlement "e".requesters', "nobody")]
    assert said(check_together(catalog([("team", 1)], requesters=["eng"]), people)) == [
        ("warning", 'entitlement "e".requesters', "nobody")
    ]


def test_an_empty_requester_group_is_said() -> None:
    people = directory(eng=("alice", [R]), none=("", [R]), team=("bob", [A]))
    assert said(check_together(catalog([("team", 1)], requesters=["eng", "none"]), people)) == [
        ("warning", 'entitlement "e".requesters[1]', '"none", which is empty and means nobody')
    ]


def test_who_could_only_sign_for_himself_is_named() -> None:
    people = directory(team=("bob", [R, A]), eng=("alice", [R]))
    assert said(check_together(catalog([("team", 1)]), people)) == [
        ("warning", 'entitlement "e".review', "nobody could approve for bob")
    ]


def test_many_who_are_stuck_are_named_in_part() -> None:
    people = directory(team=("a b c d e f g", [R, A]), eng=("alice", [R]))
    (problem,) = check_together(catalog([("team", 7)]), people)
    assert problem.got == "nobody could approve for a, b, c, d, e and 2 more"
    people = directory(team=("a b c d e", [R, A]), eng=("alice", [R]))
    (problem,) = check_together(catalog([("team", 5)]), people)
    assert problem.got == "nobody could approve for a, b, c, d, e"


def test_one_person_in_two_factors_fills_only_one() -> None:
    people = directory(eng=("alice", [R]), one=("bob", [A]), two=("bob", [A]))
    assert said(check_together(catalog([("one", 1), ("two", 1)]), people)) == [
        ("warning", 'entitlement "e".review', "nobody could ever approve")
    ]


PEOPLE = "abcdef"


@given(
    groups=st.lists(st.tuples(st.sets(st.sampled_from(PEOPLE)), st.booleans()), min_size=3, max_size=3),
    asking=st.sets(st.sampled_from(PEOPLE), min_size=1),
    counts=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    machines=st.sets(st.sampled_from(PEOPLE), max_size=2),
)
def test_the_shared_look_finds_exactly_those_who_are_stuck(
    groups: list[tuple[set[str], bool]], asking: set[str], counts: list[int], machines: set[str]
) -> None:
    tables = {
        f"g{index}": (" ".join(sorted(members)), [A] if signs else []) for index, (members, signs) in enumerate(groups)
    }
    people = directory("".join(machines), **tables, eng=(" ".join(sorted(asking)), [R]))
    rules = catalog([(f"g{index}", count) for index, count in enumerate(counts)])
    rule = rules.entitlements["e"].review
    stuck = [person for person in sorted(asking) if not could_be_reached(rule, requester=person, directory=people)]
    told = [problem.got for problem in check_together(rules, people) if problem.where == 'entitlement "e".review']
    if not stuck:
        assert told == []
    elif len(stuck) == len(asking):
        assert told == ["nobody could ever approve"]
    else:
        assert told == [f"nobody could approve for {', '.join(stuck)}"]


def test_a_role_that_keeps_room_for_fewer_ends_than_there_can_be_leases_is_said_aloud() -> None:
    people = directory(eng=("alice", [R]), team=("bob carol", [A]))

    def warned(**settings: object) -> list[tuple[str, str, str]]:
        item: dict[str, Any] = {
            "id": "e",
            "owner": "team",
            "environment": "production",
            "provider": "aws",
            "target": "t",
            "grants": {},
            "min_duration_s": 1,
            "max_duration_s": 2,
            "draws": 3,
            "caps": {"open_per_target": 20},
            "review": [{"group": "team", "count": 1}],
        }
        target = {"id": "t", "provider": "aws", "kind": "aws-role", "settings": {"role_arn": "arn", **settings}}
        return said(check_together(parse_catalog({"schema": 1, "target": [target], "entitlement": [item]}), people))

    assert warned(open_leases=60) == []
    assert warned(open_leases=59) == [("warning", 'target "t".settings.open_leases', "59")]
    assert warned() == [("warning", 'target "t".settings.open_leases', "50")]
