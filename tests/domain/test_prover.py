"""The prover: its answers are those of trying every set of persons, and what it files says what it found."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from itertools import chain, combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.quick import histories
from tests.world import CATALOG, DIRECTORY, entitlement

from countersign.config.catalog import parse_catalog
from countersign.config.directory import parse_directory
from countersign.domain.entitlement import Catalog, Entitlement, Factor
from countersign.domain.people import Directory, Group, Person, Principal, Role
from countersign.domain.proving import Answer, Proof, Prover, Severity, prove, sheet
from countersign.domain.review import could_be_reached, count_quorum

PEOPLE = "abcdef"
GROUPS = ("g0", "g1", "g2")


def catalog(*items: dict[str, Any]) -> Catalog:
    return parse_catalog({**CATALOG, "entitlement": list(items)})


def one(review: list[tuple[str, int]], **changes: object) -> Catalog:
    rule = [{"group": group, "count": count} for group, count in review]
    return catalog(entitlement("e", **{"review": rule, "requesters": None, **changes}))


def people(*, machines: str = "", disabled: str = "", **groups: tuple[str, list[Role]]) -> Directory:
    """Return a directory of `groups` ({id: (members, one letter each, and roles)}); y and z are its authors."""
    groups = {"authors": ("yz", [Role.CATALOG_AUTHOR]), **groups}
    everybody = PEOPLE + "yz"
    return Directory(
        persons={name: Person(id=name, name=name) for name in everybody},
        principals={name: Principal(id=name, person=name, human=name not in machines) for name in everybody},
        groups={
            name: Group(id=name, members=frozenset(members), roles=frozenset(roles))
            for name, (members, roles) in groups.items()
        },
        disabled=frozenset(disabled),
    )


def answer(rules: Catalog, directory: Directory) -> Answer:
    [found] = prove(rules, directory).answers
    return found


R, A = [Role.REQUESTER], [Role.APPROVER]


def test_the_least_is_one_requester_and_one_more_person_for_every_seat() -> None:
    found = answer(
        one([("team", 2), ("sec", 1)], requesters=["eng"]), people(eng=("ab", R), team=("cd", A), sec=("e", A))
    )
    assert found.least == 4
    assert str(found.review.witness) == "a asks + c signs (team) + d signs (team) + e signs (sec)"
    assert found.review.rule == "1 of eng + 2 of team + 1 of sec, all distinct"
    assert str(found.alone) == "nobody"


def test_a_person_in_both_groups_fills_one_seat_only() -> None:
    both = people(eng=("a", R), team=("b", A), sec=("b", A))
    assert answer(one([("team", 1), ("sec", 1)]), both).least is None
    enough = people(eng=("a", R), team=("bc", A), sec=("b", A))
    found = answer(one([("team", 1), ("sec", 1)]), enough)
    assert found.least == 3
    assert str(found.review.two_factors[0]) == "sec & team: b"


def test_a_requester_who_is_needed_to_sign_is_one_whose_request_nobody_can_approve() -> None:
    found = answer(one([("team", 2)]), people(eng=("abc", R), team=("bc", A)))
    assert found.review.nobody_for.named == ("b", "c")
    assert found.review.witness is not None
    assert found.review.witness.requester == "a"


def test_when_only_signers_may_ask_the_witness_leaves_the_asker_out() -> None:
    found = answer(one([("team", 2)]), people(team=("abc", R + A)))
    assert found.least == 3
    assert found.review.nobody_for.count == 0
    assert found.review.witness is not None
    assert found.review.witness.requester not in {seat.person for seat in found.review.witness.signers}


def test_neither_machines_nor_the_disabled_nor_who_lost_the_role_sign() -> None:
    def least(group: str, *, machines: str = "", disabled: str = "") -> int | None:
        directory = people(machines=machines, disabled=disabled, eng=("a", R), team=("b", A), old=("c", []))
        return answer(one([(group, 1)]), directory).least

    assert least("team") == 2
    assert least("team", machines="b") is None
    assert least("team", disabled="b") is None
    assert least("team", disabled="a") is None
    assert least("old") is None


def test_a_machine_may_ask() -> None:
    assert answer(one([("team", 1)]), people(machines="a", eng=("a", R), team=("b", A))).least == 2


def test_who_may_ask_and_sign_can_take_turns_when_one_signature_is_enough() -> None:
    peers = people(team=("abc", R + A))
    found = answer(one([("team", 1)]), peers)
    assert found.review.taking_turns == ("a", "b")
    assert found.review.each_other.count == 3
    assert answer(one([("team", 2)]), peers).review.taking_turns is None
    assert answer(one([("team", 1)]), people(team=("a", R + A), more=("b", A))).review.taking_turns is None


def test_an_emergency_is_another_way_and_the_least_is_that_of_the_easier_one() -> None:
    emergency = {"review": [{"group": "sec", "count": 1}], "max_duration_s": 600, "after_review_s": 3600}
    rules = one([("team", 2)], owner="team", break_glass=emergency)
    directory = people(eng=("a", R), team=("cd", A), sec=("e", A))
    found = answer(rules, directory)
    assert (found.review.least, found.break_glass and found.break_glass.least, found.least) == (3, 2, 2)
    [item] = rules.entitlements.values()
    prover = Prover(rules, directory)
    assert [prover.can_reach(item, coalition) for coalition in ("ae", "ac", "acd", "ce")] == [True, False, True, False]
    assert findings(prove(rules, directory)) == []
    asleep = people(eng=("a", R), team=("cd", A), sec=("", A))
    assert findings(prove(rules, asleep)) == [("failure", "nobody", "e")]
    assert answer(rules, asleep).least == 3


def findings(proof: Proof) -> list[tuple[str, str, str]]:
    return [(finding.severity.value, finding.code, finding.about) for finding in proof.findings]


def test_what_nobody_reaches_fails_and_what_some_cannot_reach_warns() -> None:
    directory = people(eng=("abc", R), team=("bc", A), empty=("", A))
    assert findings(prove(one([("empty", 1)]), directory)) == [("failure", "nobody", "e"), ("warning", "no-owner", "e")]
    proof = prove(one([("team", 2)], owner="team"), directory)
    assert findings(proof) == [("warning", "nobody-for", "e")]
    assert proof.ok
    assert not prove(one([("team", 1)], owner="team", requesters=["empty"]), directory).ok


def test_conflicting_roles_fail_the_proof() -> None:
    directory = people(eng=("a", R), team=("b", A), ops=("b", [Role.OPERATOR]), audit=("a", [Role.AUDITOR]))
    assert findings(prove(one([("team", 1)], owner="team"), directory)) == [
        ("failure", "conflicting-roles", "a"),
        ("failure", "conflicting-roles", "b"),
    ]


def test_every_role_reaches_nothing_alone_and_what_no_rule_binds_is_named() -> None:
    proof = prove(parse_catalog(CATALOG), parse_directory(DIRECTORY))
    bound = {power.who: power for power in proof.powers if power.by_the_rules}
    assert set(bound) == {role.value for role in Role}
    assert {power.reaches for power in bound.values()} == {"nothing"}
    assert str(bound["operator"].holders) == "olga, oscar"
    reaches = {power.who: power.reaches for power in proof.powers if not power.by_the_rules}
    assert reaches.pop("two catalog authors together") == "nothing; the two together, everything"
    assert set(reaches.values()) == {"everything", "everything there"}


@pytest.mark.parametrize(
    ("authors", "machines", "pair"),
    [("yz", "", ("z", "y")), ("yz", "y", ("y", "z")), ("y", "", None), ("yz", "yz", None), ("", "", None)],
)
def test_two_authors_who_can_write_each_others_rules_are_named(
    authors: str, machines: str, pair: tuple[str, str] | None
) -> None:
    groups = {"eng": ("a", R), "team": ("b", A), "authors": (authors, [Role.CATALOG_AUTHOR])}
    proof = prove(one([("team", 1)], owner="team"), people(machines=machines, disabled="", **groups))
    assert proof.each_others_rules == pair
    assert findings(proof) == ([] if pair else [("warning", "no-two-authors", "rulebook")])
    assert proof.ok


def test_the_sheet_is_plain_text_with_every_entitlement_and_finding() -> None:
    proof = prove(parse_catalog(CATALOG), parse_directory(DIRECTORY))
    text = sheet(proof)
    assert text.isascii()
    assert "verdict    DOES NOT HOLD: 1 failures, 0 warnings" in text
    assert "rules      changed by 2 together, such as grace (proposes) + frank (approves)" in text
    assert "failure: nobody: orders-db-nobody: no set of persons reaches it: nobody may ask" in text
    assert all(line == line.rstrip() for line in text.splitlines())
    for found in proof.answers:
        assert f"\n{found.entitlement} " in text
        assert f"  rule     {found.review.rule}\n" in text


def test_the_json_says_what_the_values_say() -> None:
    proof = prove(parse_catalog(CATALOG), parse_directory(DIRECTORY))
    told = json.loads(json.dumps(proof.as_json()))
    assert (told["ok"], told["persons"]) == (False, 9)
    assert (told["catalog"], told["directory"]) == (parse_catalog(CATALOG).digest, parse_directory(DIRECTORY).digest)
    assert told["rule_changes"] == {"authors": {"count": 2, "named": ["frank", "grace"]}, "pair": ["grace", "frank"]}
    by_id = {item["entitlement"]: item for item in told["entitlements"]}
    assert by_id["orders-db-write"]["least"] == 3
    assert by_id["orders-db-write"]["review"]["witness"] == {
        "requester": "alice",
        "signers": [
            {"person": "bob", "group": "orders-owners"},
            {"person": "carol", "group": "security"},
        ],
    }
    assert by_id["orders-db-write"]["review"]["two_factors"] == [
        {"groups": ["orders-owners", "security"], "people": {"count": 1, "named": ["carol"]}}
    ]
    assert by_id["orders-db-nobody"]["review"]["witness"] is None


# --- against trying everything -----------------------------------------------------------------------------------------


@st.composite
def policies(draw: st.DrawFn) -> tuple[Catalog, Directory]:
    some = st.sets(st.sampled_from(PEOPLE)).map(lambda names: "".join(sorted(names)))
    roles = st.sets(st.sampled_from([Role.REQUESTER, Role.APPROVER]), min_size=1).map(sorted)
    directory = people(
        machines=draw(some) if draw(st.booleans()) else "",
        disabled=draw(st.sampled_from(["", "", "a", "bc"])),
        **{group: (draw(some), draw(roles)) for group in GROUPS},
    )
    factors = st.tuples(st.sampled_from(GROUPS), st.integers(1, 2))
    review = draw(st.lists(factors, min_size=1, max_size=3, unique_by=lambda factor: factor[0]))
    asking = draw(st.none() | st.lists(st.sampled_from(GROUPS), min_size=1, max_size=2, unique=True))
    return one(review, requesters=asking), directory


def coalitions() -> Iterator[tuple[str, ...]]:
    return chain.from_iterable(combinations(PEOPLE, size) for size in range(1, len(PEOPLE) + 1))


def obtains(item: Entitlement, directory: Directory, coalition: tuple[str, ...]) -> bool:
    """Say by the broker's own functions whether a coalition obtains a credential."""
    hands = [person for person in coalition if person not in directory.machines_only]
    return any(
        item.may_be_requested_by(asker, directory)
        and count_quorum(item.review, approvers=hands, requester=asker, directory=directory).reached
        for asker in coalition
    )


@histories(ci=100, nightly=3000)
@given(policies())
def test_every_answer_is_that_of_trying_every_set_of_persons(policy: tuple[Catalog, Directory]) -> None:
    rules, directory = policy
    [item] = rules.entitlements.values()
    prover = Prover(rules, directory)
    found = prover.answer(item)
    reaching = []
    for coalition in coalitions():
        assert prover.can_reach(item, coalition) == obtains(item, directory, coalition)
        reaching += [coalition] if prover.can_reach(item, coalition) else []
    assert found.least == min(map(len, reaching), default=None)
    if found.review.witness is not None:
        persons = (found.review.witness.requester, *(seat.person for seat in found.review.witness.signers))
        assert len(set(persons)) == found.least
        assert obtains(item, directory, persons)
        for left_out in persons:
            assert not obtains(item, directory, tuple(person for person in persons if person != left_out))
    asking = [person for person in PEOPLE if item.may_be_requested_by(person, directory)]
    stuck = [p for p in asking if not could_be_reached(item.review, requester=p, directory=directory)]
    assert (found.requesters.count, found.review.nobody_for.count) == (len(asking), len(stuck))
    assert set(found.review.nobody_for.named) <= set(stuck)


@pytest.mark.parametrize("review", [(), (Factor(group="team", count=0),)])
def test_a_rule_that_asks_for_nobody_is_reached_by_nobody(review: tuple[Factor, ...]) -> None:
    [item] = one([("team", 1)]).entitlements.values()
    empty = Entitlement(**{name: getattr(item, name) for name in item.__dataclass_fields__} | {"review": review})
    directory = people(eng=("a", R), team=("b", A))
    assert answer(Catalog(entitlements={"e": empty}), directory).least is None
    assert not Prover(Catalog(entitlements={"e": empty}), directory).can_reach(empty, PEOPLE)


def test_a_thousand_entitlements_and_five_thousand_persons_take_no_more_than_ten_seconds() -> None:
    persons = [f"p{number:04}" for number in range(5000)]
    groups = {
        f"g{number}": Group(
            id=f"g{number}",
            members=frozenset(persons[number * 7 % 4000 :: 3 + number % 50]),
            roles=frozenset(A if number % 2 else R),
        )
        for number in range(300)
    }
    directory = Directory(
        persons={name: Person(id=name, name=name) for name in persons},
        principals={name: Principal(id=name, person=name) for name in persons},
        groups=groups,
    )
    items = {}
    for number in range(1000):
        rule = [{"group": f"g{(number * step) % 150 * 2 + 1}", "count": 1 + number % 4} for step in (1, 7, 11)]
        review = list({factor["group"]: factor for factor in rule}.values())
        items[f"e{number}"] = entitlement(f"e{number}", review=review, requesters=[f"g{number % 150 * 2}"])
    rules = catalog(*items.values())
    started = time.monotonic()
    proof = prove(rules, directory)
    assert sheet(proof)
    assert time.monotonic() - started < 10
    assert len(proof.answers) == 1000
    assert all(finding.severity is not Severity.FAILURE for finding in proof.findings)
