"""The catalog: what is read, what is refused, and how the refusal names the place."""

from __future__ import annotations

import copy
import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from countersign.auditlog.meaning.findings import SPELLINGS, Thresholds
from countersign.config.catalog import load_catalog, parse_catalog
from countersign.config.problems import ConfigError
from countersign.config.threshold_file import ThresholdTable
from countersign.domain.entitlement import Caps, Delivery, Factor, Parameter, Target
from countersign.domain.environment import Environment

TARGET = {"id": "orders-db", "provider": "vault", "kind": "postgresql", "settings": {"port": 5432, "tags": ["a", True]}}
ENTITLEMENT = {
    "id": "orders-db-read",
    "owner": "team",
    "environment": "production",
    "provider": "vault",
    "target": "orders-db",
    "grants": {"role": "orders-ro"},
    "min_duration_s": 60,
    "max_duration_s": 3600,
    "review": [{"group": "team", "count": 1}],
}


def source(**changed: object) -> dict[str, Any]:
    """Return a right catalog of one entitlement with some keys changed; None takes a key away."""
    item = {**copy.deepcopy(ENTITLEMENT), **changed}
    kept = {key: value for key, value in item.items() if value is not None}
    return {"schema": 1, "target": [copy.deepcopy(TARGET)], "entitlement": [kept]}


def refusal(given: dict[str, Any]) -> list[tuple[str, str, str]]:
    with pytest.raises(ConfigError) as caught:
        parse_catalog(given)
    return [(problem.where, problem.expected, problem.got) for problem in caught.value.problems]


def only_refusal(given: dict[str, Any]) -> tuple[str, str, str]:
    (problem,) = refusal(given)
    return problem


def test_defaults_are_the_documented_ones() -> None:
    item = parse_catalog(source()).entitlements["orders-db-read"]
    assert item.review_ttl == timedelta(days=1)
    assert item.draw_ttl == timedelta(hours=1)
    assert item.draws == 1
    assert item.backstop == timedelta(seconds=30)
    assert item.delivery is Delivery.DIRECT
    assert item.requesters is None
    assert item.parameters == {}
    assert (
        item.caps
        == Caps()
        == Caps(pending_per_person=5, open_per_person=3, open_per_target=50, seconds_per_person_day=28800)
    )
    assert item.description == ""


def test_every_key_reaches_the_entitlement() -> None:
    given = source(
        environment="staging",
        description="Read",
        review_ttl_s=2,
        draw_ttl_s=3,
        draws=4,
        backstop_s=5,
        delivery="wrapped",
        requesters=["eng", "ops"],
        review=[{"group": "team", "count": 2}, {"group": "security", "count": 1}],
        caps={"pending_per_person": 6, "open_per_person": 7, "open_per_target": 8, "seconds_per_person_day": 90},
        parameters={"a": {"values": ["x", "y"], "default": "y"}, "b": {"pattern": "[a-z]{1,3}"}},
    )
    item = parse_catalog(given).entitlements["orders-db-read"]
    assert item.id == "orders-db-read"
    assert item.owner == "team"
    assert item.provider == "vault"
    assert item.target == Target(
        id="orders-db", provider="vault", kind="postgresql", settings={"port": 5432, "tags": ["a", True]}
    )
    assert item.grants == {"role": "orders-ro"}
    assert item.min_duration == timedelta(seconds=60)
    assert item.max_duration == timedelta(seconds=3600)
    assert item.environment is Environment.STAGING
    assert item.description == "Read"
    assert item.review_ttl == timedelta(seconds=2)
    assert item.draw_ttl == timedelta(seconds=3)
    assert item.draws == 4
    assert item.backstop == timedelta(seconds=5)
    assert item.delivery is Delivery.WRAPPED
    assert item.requesters == ("eng", "ops")
    assert item.review == (Factor(group="team", count=2), Factor(group="security", count=1))
    assert item.caps == Caps(pending_per_person=6, open_per_person=7, open_per_target=8, seconds_per_person_day=90)
    assert item.parameters == {
        "a": Parameter(name="a", values=("x", "y"), default="y"),
        "b": Parameter(name="b", pattern="[a-z]{1,3}"),
    }


def test_a_source_means_the_same_after_json() -> None:
    given = source(parameters={"a": {"values": ["x"]}}, requesters=["eng"])
    again = json.loads(json.dumps(given))
    assert again == given
    assert parse_catalog(again).digest == parse_catalog(given).digest


def test_parsing_leaves_the_source_as_it_was_and_apart_from_the_catalog() -> None:
    given = source()
    before = copy.deepcopy(given)
    item = parse_catalog(given).entitlements["orders-db-read"]
    assert given == before
    given["target"][0]["settings"]["tags"].append("later")
    assert item.target.settings == {"port": 5432, "tags": ["a", True]}


def test_an_empty_catalog_offers_nothing() -> None:
    assert parse_catalog({"schema": 1}).entitlements == {}


@pytest.mark.parametrize(
    "key",
    ["id", "owner", "environment", "provider", "target", "grants", "min_duration_s", "max_duration_s", "review"],
)
def test_a_missing_key_is_named(key: str) -> None:
    where, expected, got = only_refusal(source(**{key: None}))
    name = "" if key == "id" else ' "orders-db-read"'
    assert (where, expected, got) == (f"entitlement[0]{name}.{key}", "this key", "nothing")


@pytest.mark.parametrize("version", [2, 0, "1", 1.0, True])
def test_only_the_known_schema_is_read(version: object) -> None:
    where, expected, _ = only_refusal({**source(), "schema": version})
    assert where == "schema"
    assert expected in {"an integer", "1, the only version of this file's shape"}


@pytest.mark.parametrize(
    "key", ["min_duration_s", "max_duration_s", "review_ttl_s", "draw_ttl_s", "draws", "backstop_s"]
)
@pytest.mark.parametrize("value", [0, -1, True, 1.0, math.nan, math.inf, "5", " 5 ", [5], 2**70, 10**4000])
def test_a_number_that_is_no_sane_integer_is_refused(key: str, value: object) -> None:
    given = source(**{key: value})
    found = refusal(given)
    assert f'entitlement[0] "orders-db-read".{key}' in {where for where, _, _ in found}


@pytest.mark.parametrize(
    ("key", "largest"),
    [
        ("max_duration_s", 43200),
        ("review_ttl_s", 604800),
        ("draw_ttl_s", 604800),
        ("draws", 100),
        ("backstop_s", 3600),
    ],
)
def test_bounds_are_exact(key: str, largest: int) -> None:
    parse_catalog(source(**{key: largest}))
    where, _, got = only_refusal(source(**{key: largest + 1}))
    assert where.endswith(f".{key}")
    assert got == str(largest + 1)


def test_the_longest_access_can_be_set_lower() -> None:
    with pytest.raises(ConfigError, match="at most 60 seconds"):
        parse_catalog(source(), longest_access_s=60)
    parse_catalog(source(), longest_access_s=3600)


def test_min_must_not_exceed_max() -> None:
    parse_catalog(source(min_duration_s=3600))
    where, expected, got = only_refusal(source(min_duration_s=3601))
    assert where == 'entitlement[0] "orders-db-read".min_duration_s'
    assert expected == "at most max_duration_s, which is 3600"
    assert got == "3601"


def test_a_daily_cap_below_the_shortest_access_is_refused() -> None:
    parse_catalog(source(caps={"seconds_per_person_day": 60}))
    where, _, got = only_refusal(source(caps={"seconds_per_person_day": 59}))
    assert where == 'entitlement[0] "orders-db-read".caps.seconds_per_person_day'
    assert got == "59"


def test_an_unknown_key_is_named_with_the_known_ones() -> None:
    assert only_refusal(source(review=[{"group": "team", "count": 1, "persons": ["bob"]}])) == (
        'entitlement[0] "orders-db-read".review[0].persons',
        "one of the keys group, count",
        "an unknown key",
    )
    assert only_refusal(source(caps={"per_day": 1}))[1].startswith(
        "one of the keys pending_per_person, open_per_person"
    )
    assert (
        only_refusal(source(parameters={"default": {"value": "x"}}))[1]
        == "one of the keys values, pattern, default, ordered"
    )
    assert (
        only_refusal({**source(), "entitlements": []})[1] == "one of the keys schema, trust, target, rule, entitlement"
    )


def test_a_rule_without_factors_is_refused() -> None:
    assert only_refusal(source(review=[])) == (
        'entitlement[0] "orders-db-read".review',
        "at least one item",
        "a list of 0",
    )


@pytest.mark.parametrize("count", [0, -1, True, 1.0, "1", 21])
def test_a_factor_counts_whole_persons(count: object) -> None:
    where, _, _ = only_refusal(source(review=[{"group": "team", "count": count}]))
    assert where == 'entitlement[0] "orders-db-read".review[0].count'


def test_a_group_stands_in_a_rule_once() -> None:
    where, expected, got = only_refusal(source(review=[{"group": "team", "count": 1}, {"group": "team", "count": 2}]))
    assert where == 'entitlement[0] "orders-db-read".review[1].group'
    assert expected == "each group once"
    assert got == '"team", which is also that of review[0]'


def test_requesters_are_named_once_and_never_an_empty_list() -> None:
    assert only_refusal(source(requesters=["a", "a"]))[0] == 'entitlement[0] "orders-db-read".requesters[1]'
    assert only_refusal(source(requesters=[]))[1] == "at least one item"
    assert only_refusal(source(requesters="everyone"))[1] == "a list"


@pytest.mark.parametrize(
    "name", ["", "Orders", "orders db", "-orders", "ördérs", "a/b", "a" * 64, "a\n", 5, None, "\u043erders"]
)
def test_names_are_short_lower_case_ascii(name: object) -> None:
    given = source()
    given["entitlement"][0]["owner"] = name
    assert only_refusal(given)[0] == 'entitlement[0] "orders-db-read".owner'


def test_an_id_that_is_no_name_is_shown_shortened() -> None:
    where, _, got = only_refusal(source(id="X" * 5000))
    assert where.startswith('entitlement[0] "XXX')
    assert len(where) < 120
    assert got.endswith("(5000 characters)")
    assert len(got) < 100


def test_the_target_must_exist_and_share_the_provider() -> None:
    assert only_refusal(source(target="nowhere")) == (
        'entitlement[0] "orders-db-read".target',
        "the id of a [[target]] (orders-db)",
        '"nowhere"',
    )
    assert only_refusal(source(provider="aws")) == (
        'entitlement[0] "orders-db-read".provider',
        '"vault", the provider of its target orders-db',
        '"aws"',
    )
    assert only_refusal({**source(), "target": []})[1] == "the id of a [[target]] (none is given)"


def test_ids_used_twice_are_refused_with_both_positions() -> None:
    given = source()
    given["entitlement"].append(copy.deepcopy(given["entitlement"][0]))
    given["target"].append(copy.deepcopy(given["target"][0]))
    assert refusal(given) == [
        ('target[1] "orders-db".id', "an id that no other target has", '"orders-db", which is also that of target[0]'),
        (
            'entitlement[1] "orders-db-read".id',
            "an id that no other entitlement has",
            '"orders-db-read", which is also that of entitlement[0]',
        ),
    ]


@pytest.mark.parametrize(
    "value",
    [
        1.5,
        math.nan,
        None,
        2**53,
        -(2**53),
        10**4000,
        "half \ud800",
        datetime(2026, 11, 22, tzinfo=UTC),
        [[[[[[[["deep"]]]]]]]],
        {"deep": {"deep": {"deep": {"deep": {"deep": {"deep": {"deep": 1}}}}}}},
        {"ключ": 1},
        {"": 1},
        {"a\nb": 1},
        {5: 1},
    ],
)
@pytest.mark.parametrize("key", ["grants", "settings"])
def test_a_providers_table_holds_only_what_has_one_spelling(key: str, value: object) -> None:
    given = source()
    (given["entitlement"] if key == "grants" else given["target"])[0][key] = {"inner": value}
    where, _, _ = only_refusal(given)
    assert where.endswith(f".{key}")


def test_a_providers_table_holds_any_plain_json() -> None:
    table = {"s": "ü", "i": 2**53 - 1, "b": False, "l": [1, ["x"], {"k": []}], "t": {"-": {}}}
    item = parse_catalog(source(grants=table)).entitlements["orders-db-read"]
    assert item.grants == table
    assert len(item.rule_digest) == 64


def test_the_place_inside_a_providers_table_is_named() -> None:
    _, expected, _ = only_refusal(source(grants={"statements": [{"share": 0.5}]}))
    assert expected.endswith("(statements[0].share is the fraction 0.5)")


@pytest.mark.parametrize(
    ("table", "where", "got"),
    [
        ({}, "", "neither"),
        ({"values": ["a"], "pattern": "a"}, "", "both"),
        ({"values": ["a", "a"]}, ".values", '"a" 2 times'),
        ({"values": []}, ".values", "a list of 0"),
        ({"values": ["x" * 129]}, ".values[0]", '"' + "x" * 59 + '…" (129 characters)'),
        ({"values": [""]}, ".values[0]", '""'),
        ({"values": ["a\nb"]}, ".values[0]", '"a\\nb"'),
        ({"values": [5]}, ".values[0]", "5"),
        ({"values": ["a"], "default": "b"}, ".default", '"b"'),
        ({"pattern": "[a-z]{1,3}", "default": "abcd"}, ".default", '"abcd"'),
        ({"pattern": ".*"}, ".pattern", '".*"'),
    ],
)
def test_a_parameter_says_exactly_what_it_allows(table: dict[str, Any], where: str, got: str) -> None:
    found = only_refusal(source(parameters={"p": table}))
    assert found[0] == f'entitlement[0] "orders-db-read".parameters.p{where}'
    assert found[2] == got


def test_a_parameters_name_is_a_name() -> None:
    assert only_refusal(source(parameters={"P p": {"values": ["a"]}}))[0] == (
        'entitlement[0] "orders-db-read".parameters."P p"'
    )


def test_all_problems_are_told_at_once_one_line_each() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_catalog(source(draws=0, delivery="mail", description="a\nb"))
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert lines[0] == 'error: entitlement[0] "orders-db-read".draws: expected greater than or equal to 1; got 0'
    assert lines[1] == (
        "error: entitlement[0] \"orders-db-read\".delivery: expected 'direct' or 'wrapped'; got \"mail\""
    )


@pytest.mark.parametrize(
    "given", [5, "x", None, [], {"schema": 1, "entitlement": {"a": 1}}, {"schema": 1, "target": [5]}]
)
def test_a_source_of_another_shape_is_refused(given: Any) -> None:  # noqa: ANN401 - the wrong shapes are the point
    with pytest.raises(ConfigError):
        parse_catalog(given)


def test_a_file_is_read_with_its_source(tmp_path: Path) -> None:
    path = tmp_path / "catalog.toml"
    path.write_text(
        'schema = 1\n[[target]]\nid = "orders-db"\nprovider = "vault"\nkind = "postgresql"\n'
        '[[entitlement]]\nid = "e"\nowner = "o"\nenvironment = "development"\nprovider = "vault"\ntarget = "orders-db"\n'
        'grants = {}\nmin_duration_s = 1\nmax_duration_s = 2\nreview = [{ group = "g", count = 1 }]\n'
    )
    given, catalog = load_catalog(path)
    assert given["entitlement"][0]["max_duration_s"] == 2
    assert list(catalog.entitlements) == ["e"]
    assert parse_catalog(json.loads(json.dumps(given))).digest == catalog.digest


def test_thresholds_and_receivers_are_countersigned_and_absent_ones_leave_the_digest_as_it_was() -> None:
    plain = {"schema": 1, "target": [], "entitlement": []}
    digest = parse_catalog(plain).digest
    assert parse_catalog({**plain, "trust": {"thresholds": {}, "notices": {}}}).digest == digest
    said = parse_catalog({**plain, "trust": {"thresholds": {"late_s": 30}, "notices": {"owners": ["hook"]}}})
    assert said.digest != digest
    assert said.trust.document() == {"thresholds": {"late_s": 30}, "notices": {"owners": ["hook"]}}
    for wrong in ({"late_s": 0}, {"late_s": 1.5}, {"late_s": True}, {"lateness": 3}, {"pair_share_percent": 101}):
        with pytest.raises(ConfigError, match="thresholds"):
            parse_catalog({**plain, "trust": {"thresholds": wrong}})
    lists: list[object] = [[], ["no/slash"], "hook"]
    for notices in ({"owners": each} for each in lists):
        with pytest.raises(ConfigError, match="notices"):
            parse_catalog({**plain, "trust": {"notices": notices}})


def test_every_threshold_of_the_catalog_is_one_that_the_detectors_know() -> None:
    assert set(ThresholdTable.model_fields) == set(SPELLINGS)
    changed = Thresholds().countersigned(dict.fromkeys(SPELLINGS, 7))
    assert not any(getattr(changed, name) == getattr(Thresholds(), name) for name, _ in SPELLINGS.values())
