"""The directory: persons, their principals and groups, and the roles that nobody holds together."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from countersign.config.directory import load_directory, parse_directory
from countersign.config.problems import ConfigError
from countersign.domain.people import Group, Person, Principal, Role

CONFLICTING = {
    *((frozenset({Role.AUDITOR, role})) for role in Role if role is not Role.AUDITOR),
    frozenset({Role.OPERATOR, Role.APPROVER}),
    frozenset({Role.CATALOG_AUTHOR, Role.OPERATOR}),
    frozenset({Role.CATALOG_AUTHOR, Role.APPROVER}),
}


def source(**changed: object) -> dict[str, Any]:
    return {
        "schema": 1,
        "person": [{"id": "alice", "name": "Alice"}, {"id": "bob", "name": "Bob"}],
        "group": [{"id": "team", "members": ["alice", "bob"], "roles": ["requester", "approver"]}],
        **changed,
    }


def only_refusal(given: dict[str, Any]) -> tuple[str, str, str]:
    with pytest.raises(ConfigError) as caught:
        parse_directory(given)
    (problem,) = caught.value.problems
    return problem.where, problem.expected, problem.got


def test_persons_principals_and_groups_are_read() -> None:
    directory = parse_directory(
        source(
            principal=[
                {"id": "alice-ci", "person": "alice", "human": False},
                {"id": "alice-laptop", "person": "alice"},
            ]
        )
    )
    assert directory.persons == {"alice": Person(id="alice", name="Alice"), "bob": Person(id="bob", name="Bob")}
    assert directory.principals == {
        "alice-ci": Principal(id="alice-ci", person="alice", human=False),
        "alice-laptop": Principal(id="alice-laptop", person="alice", human=True),
        "bob": Principal(id="bob", person="bob", human=True),
    }
    assert directory.groups == {
        "team": Group(id="team", members=frozenset({"alice", "bob"}), roles=frozenset({Role.REQUESTER, Role.APPROVER}))
    }
    assert directory.disabled == frozenset()


def test_a_source_means_the_same_after_json() -> None:
    given = source()
    assert parse_directory(json.loads(json.dumps(given))).digest == parse_directory(given).digest


def test_an_empty_directory_holds_nobody() -> None:
    assert parse_directory({"schema": 1}).persons == {}


@pytest.mark.parametrize("table", ["person", "principal", "group"])
def test_ids_used_twice_are_refused_with_both_positions(table: str) -> None:
    given = source(principal=[{"id": "alice", "person": "alice"}])
    given["person"].append({"id": "carol", "name": "Carol"})
    twin = {**given[table][0], "name": "Twin"} if table == "person" else dict(given[table][0])
    given[table].append(twin)
    first = given[table][0]["id"]
    where, expected, got = only_refusal(given)
    assert where == f'{table}[{len(given[table]) - 1}] "{first}".id'
    assert expected == f"an id that no other {table} has"
    assert got == f'"{first}", which is also that of {table}[0]'


@pytest.mark.parametrize(
    "alias",
    # The third is full-width, the fourth begins with a Cyrillic letter.
    [
        "Alice",
        "ALICE",
        "\uff41\uff4c\uff49\uff43\uff45",
        "\u0430lice",
        "alice ",
        "alice+x",
        "alice@corp",
        "ⓐlice",
        "al\u200bice",
    ],
)
def test_no_spelling_makes_a_second_person(alias: str) -> None:
    given = source()
    given["person"].append({"id": alias, "name": "Someone"})
    where, expected, _ = only_refusal(given)
    assert where.startswith("person[2]")
    assert expected.startswith("a name: a-z or 0-9 first")
    given = source(principal=[{"id": alias, "person": "alice"}])
    assert only_refusal(given)[0].startswith("principal[0]")


@pytest.mark.parametrize("name", ["Alice", "ALICE", "\uff41\uff4c\uff49\uff43\uff45", "\uff21lice"])
def test_no_two_persons_bear_names_that_read_alike(name: str) -> None:
    given = source()
    given["person"].append({"id": "carol", "name": name})
    where, _, got = only_refusal(given)
    assert where == 'person[2] "carol".name'
    assert got.endswith("which reads like that of person[0]")


@pytest.mark.parametrize(
    "name", ["", "x" * 81, " Alice", "Alice ", "A\nB", "A\u202eB", "A\u200bB", "\x1b[1mA", 5, None]
)
def test_a_display_name_is_one_printable_line(name: object) -> None:
    given = source(person=[{"id": "alice", "name": name}, {"id": "bob", "name": "Bob"}])
    assert only_refusal(given)[0] == 'person[0] "alice".name'


def test_display_names_may_be_in_any_script() -> None:
    given = source(person=[{"id": "alice", "name": "愛梨 Ångström-O'Neil"}, {"id": "bob", "name": "Bob"}])
    assert parse_directory(given).persons["alice"].name == "愛梨 Ångström-O'Neil"


def test_a_principal_belongs_to_a_known_person() -> None:
    assert only_refusal(source(principal=[{"id": "ci", "person": "nobody"}])) == (
        'principal[0] "ci".person',
        "the id of a [[person]]",
        '"nobody"',
    )


def test_a_principal_does_not_bear_another_persons_id() -> None:
    where, expected, got = only_refusal(source(principal=[{"id": "bob", "person": "alice"}]))
    assert where == 'principal[0] "bob".id'
    assert expected == "an id that is not another person's"
    assert got == '"bob" for the person "alice"'


@pytest.mark.parametrize(
    ("member", "got"),
    [
        ("nobody", '"nobody"'),
        ("other", '"other", a group; groups hold persons only'),
        ("alice-ci", '"alice-ci", a principal of alice'),
    ],
)
def test_a_member_is_a_known_person_and_nothing_else(member: str, got: str) -> None:
    given = source(principal=[{"id": "alice-ci", "person": "alice"}])
    given["group"] += [{"id": "other", "members": []}]
    given["group"][0]["members"] = ["alice", member]
    assert only_refusal(given) == ('group[0] "team".members[1]', "the id of a [[person]]", got)


def test_a_member_is_listed_once() -> None:
    given = source(group=[{"id": "team", "members": ["bob", "bob"]}])
    assert only_refusal(given) == ('group[0] "team".members[1]', "each person once", '"bob" again')


@pytest.mark.parametrize("roles", [["admin"], ["Approver"], [5], "approver", None])
def test_only_known_roles_are_given(roles: object) -> None:
    given = source(group=[{"id": "team", "members": [], "roles": roles}])
    assert only_refusal(given)[0].startswith('group[0] "team".roles')


@pytest.mark.parametrize(
    "pair", [frozenset(pair) for pair in combinations(Role, 2)], ids=lambda pair: "+".join(sorted(pair))
)
@pytest.mark.parametrize("apart", [False, True], ids=["one group", "two groups"])
def test_conflicting_roles_are_never_held_by_one_person(pair: frozenset[Role], *, apart: bool) -> None:
    one, other = sorted(pair)
    groups = [{"id": "g1", "members": ["alice"], "roles": [one]}, {"id": "g2", "members": ["alice"], "roles": [other]}]
    if not apart:
        groups = [{"id": "g1", "members": ["alice"], "roles": [one, other]}]
    if pair not in CONFLICTING:
        assert parse_directory(source(group=groups)).roles_of("alice") == pair
        return
    where, expected, got = only_refusal(source(group=groups))
    assert where == 'person "alice"'
    assert one in expected
    assert other in expected
    assert all(str(group["id"]) in got for group in groups)


def test_conflicting_roles_of_two_persons_are_no_conflict() -> None:
    groups = [
        {"id": "audit", "members": ["alice"], "roles": ["auditor"]},
        {"id": "ops", "members": ["bob"], "roles": ["operator"]},
    ]
    parse_directory(source(group=groups))


@pytest.mark.parametrize("table", ["person", "principal", "group"])
def test_an_unknown_key_is_refused(table: str) -> None:
    given = source(principal=[{"id": "alice", "person": "alice"}])
    given[table][0]["admin"] = True
    where, expected, got = only_refusal(given)
    assert where.startswith(f"{table}[0]")
    assert where.endswith(".admin")
    assert expected.startswith("one of the keys id, ")
    assert got == "an unknown key"


@pytest.mark.parametrize("human", ["false", 0, 1, None])
def test_human_is_a_boolean(human: object) -> None:
    given = source(principal=[{"id": "alice", "person": "alice", "human": human}])
    assert only_refusal(given)[1] == "true or false"


def test_a_file_is_read_with_its_source(tmp_path: Path) -> None:
    path = tmp_path / "directory.toml"
    path.write_text('schema = 1\n[[person]]\nid = "alice"\nname = "Alice"\n')
    given, directory = load_directory(path)
    assert given == {"schema": 1, "person": [{"id": "alice", "name": "Alice"}]}
    assert list(directory.principals) == ["alice"]


def test_a_reporting_line_is_optional_leads_to_a_person_and_never_back() -> None:
    def read(*managers: tuple[str, str | None]) -> Any:  # noqa: ANN401 - a directory
        persons = [{"id": who, "name": who.title()} | ({"manager": to} if to else {}) for who, to in managers]
        return parse_directory({"schema": 1, "person": persons})

    plain, lined = read(("ann", None), ("ben", None)), read(("ann", "ben"), ("ben", None))
    assert lined.persons["ann"].manager == "ben"
    assert plain.digest != lined.digest
    assert "manager" not in str(plain.pinned())
    for wrong in ([("ann", "nobody")], [("ann", "ann")], [("ann", "ben"), ("ben", "ann")]):
        with pytest.raises(ConfigError, match="manager"):
            read(*wrong)
