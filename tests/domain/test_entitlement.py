"""An entitlement: what it lets through, what it refuses by name, and what its digest binds."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta

import pytest

from countersign.domain.entitlement import (
    LONGEST_PARAMETER,
    Caps,
    Catalog,
    Delivery,
    Entitlement,
    Factor,
    Parameter,
    Target,
)
from countersign.domain.environment import Environment
from countersign.domain.people import Directory, Group, Person, Role
from countersign.domain.refusals import Invalid

INJECTIONS = [
    "",
    " ",
    "orders ",
    " orders",
    "orders\n",
    "orders\x00",
    "orders\r\nX: y",
    "'; DROP TABLE orders; --",
    'orders"; --',
    "orders OR 1=1",
    "orders/*x*/",
    "../../etc/passwd",
    "..",
    "%2e%2e",
    "${aws:username}",
    "$(id)",
    "`id`",
    "{{name}}",
    "{{.DisplayName}}",
    "{table}",
    "*",
    "?",
    "arn:aws:s3:::*",
    "orders\\",
    "orders,customers",
    "orders;customers",
    "ORDERS",
    "\uff4frders",
    "\u043erders",
    "orders\u202e",
    "orders\u200b",
    "o\u0308rders",
    "٣",
    "orders#",
    "orders&x=y",
    "<script>",
    "\ud800",
    "orders" * 40,
]


def entitlement() -> Entitlement:
    return Entitlement(
        id="orders-db-read",
        owner="team",
        environment=Environment.PRODUCTION,
        provider="vault",
        target=Target(id="orders-db", provider="vault", kind="postgresql", settings={"port": 5432}),
        parameters={
            "table": Parameter(name="table", values=("orders", "customers"), default="orders"),
            "day": Parameter(name="day", pattern="[a-z0-9]{1,10}"),
        },
        grants={"role": "orders-ro"},
        min_duration=timedelta(seconds=60),
        max_duration=timedelta(seconds=3600),
        review_ttl=timedelta(days=1),
        draw_ttl=timedelta(hours=1),
        draws=1,
        backstop=timedelta(seconds=30),
        delivery=Delivery.DIRECT,
        review=(Factor(group="team", count=1),),
        requesters=("eng",),
        caps=Caps(),
    )


@pytest.mark.parametrize("value", INJECTIONS)
@pytest.mark.parametrize("name", ["table", "day"])
def test_no_injection_passes_a_parameter(name: str, value: str) -> None:
    with pytest.raises(Invalid) as caught:
        entitlement().parameters[name].judge(value)
    assert caught.value.field == f"parameters.{name}"
    assert caught.value.detail in {
        "parameters.table must be one of: orders, customers",
        "parameters.day does not match [a-z0-9]{1,10}",
        f"parameters.{name} is longer than 128 characters",
    }, "a refusal never echoes what it refuses"


@pytest.mark.parametrize("value", [None, True, 5, 1.0, b"orders", ["orders"], {"orders": 1}, ("orders",)])
@pytest.mark.parametrize("name", ["table", "day"])
def test_a_parameter_is_a_string(name: str, value: object) -> None:
    with pytest.raises(Invalid, match=f"parameters.{name} must be a string"):
        entitlement().parameters[name].judge(value)


def test_an_allowed_value_comes_back_unchanged() -> None:
    assert entitlement().parameters["table"].judge("customers") == "customers"
    assert entitlement().parameters["day"].judge("a" * 10) == "a" * 10
    with pytest.raises(Invalid, match="does not match"):
        entitlement().parameters["day"].judge("a" * 11)


def test_the_longest_value_is_exactly_bounded() -> None:
    wide = Parameter(name="p", pattern="[a-z]{1,999}")
    assert wide.judge("a" * LONGEST_PARAMETER) == "a" * LONGEST_PARAMETER
    with pytest.raises(Invalid, match="is longer than 128 characters"):
        wide.judge("a" * (LONGEST_PARAMETER + 1))


def test_a_parameter_that_allows_nothing_allows_nothing() -> None:
    with pytest.raises(Invalid):
        Parameter(name="p").judge("")


def test_a_refused_value_is_told_what_is_allowed() -> None:
    with pytest.raises(Invalid, match="must be one of: orders, customers"):
        entitlement().parameters["table"].judge("users")
    with pytest.raises(Invalid, match=r"parameters\.day does not match \[a-z0-9\]\{1,10\}"):
        entitlement().parameters["day"].judge("A")


def test_parameters_are_completed_by_their_defaults() -> None:
    assert entitlement().judge_parameters({"day": "d1"}) == {"table": "orders", "day": "d1"}
    assert entitlement().judge_parameters({"day": "d1", "table": "customers"}) == {"table": "customers", "day": "d1"}


def test_a_missing_parameter_is_named() -> None:
    with pytest.raises(Invalid, match="orders-db-read needs the parameter day") as caught:
        entitlement().judge_parameters({})
    assert caught.value.field == "parameters.day"


def test_an_unknown_parameter_is_named_in_short_with_the_known_ones() -> None:
    with pytest.raises(Invalid, match="it takes: table, day") as caught:
        entitlement().judge_parameters({"day": "d1", "x" * 500: "y"})
    assert caught.value.field == "parameters." + "x" * 40
    assert len(caught.value.detail) < 150
    with pytest.raises(Invalid, match="it takes: none"):
        replace(entitlement(), parameters={}).judge_parameters({"a": "b"})


def test_a_disallowed_parameter_is_refused_in_the_whole_too() -> None:
    with pytest.raises(Invalid):
        entitlement().judge_parameters({"day": "d1", "table": "users"})


def test_durations_are_judged_to_the_second() -> None:
    item = entitlement()
    assert item.judge_duration(60) == timedelta(seconds=60)
    assert item.judge_duration(3600) == timedelta(hours=1)
    for seconds in (-1, 0, 59, 3601, 10**30):
        with pytest.raises(Invalid, match="must lie between 60 and 3600") as caught:
            item.judge_duration(seconds)
        assert caught.value.field == "duration_s"
        assert caught.value.rule == "entitlement orders-db-read: min_duration_s = 60, max_duration_s = 3600"


def people() -> Directory:
    return Directory(
        persons={name: Person(id=name, name=name) for name in ("alice", "bob", "carol")},
        principals={},
        groups={
            "eng": Group(id="eng", members=frozenset({"alice", "carol"})),
            "askers": Group(id="askers", members=frozenset({"alice", "bob"}), roles=frozenset({Role.REQUESTER})),
        },
    )


def test_who_may_ask_holds_the_role_and_is_in_a_named_group() -> None:
    item = entitlement()
    may = {name for name in ("alice", "bob", "carol", "ghost") if item.may_be_requested_by(name, people())}
    assert may == {"alice"}
    assert not item.may_be_requested_by("alice", people().without(["alice"]))


def test_without_named_groups_the_role_is_enough_and_needed() -> None:
    item = replace(entitlement(), requesters=None)
    assert item.may_be_requested_by("bob", people())
    assert not item.may_be_requested_by("carol", people())


def test_an_empty_list_of_groups_means_nobody() -> None:
    assert not replace(entitlement(), requesters=()).may_be_requested_by("alice", people())


RULE = (
    '{"backstop_s":30,"caps":{"open_per_person":3,"open_per_target":50,"pending_per_person":5,'
    '"seconds_per_person_day":28800},"delivery":"direct","description":"","draw_ttl_s":3600,"draws":1,'
    '"environment":"production","grants":{"role":"orders-ro"},"id":"orders-db-read","max_duration_s":3600,'
    '"min_duration_s":60,"owner":"team","parameters":{"day":{"default":null,"pattern":"[a-z0-9]{1,10}","values":[]},'
    '"table":{"default":"orders","pattern":null,"values":["orders","customers"]}},"provider":"vault",'
    '"requesters":["eng"],"review":[{"count":1,"group":"team"}],"review_ttl_s":86400,'
    '"target":{"id":"orders-db","kind":"postgresql","provider":"vault","settings":{"port":5432}}}'
)


def test_the_rule_digest_is_of_these_bytes() -> None:
    assert entitlement().rule_digest == hashlib.sha256(b"countersign/rule/v1\n" + RULE.encode()).hexdigest()


@pytest.mark.parametrize(
    "changed",
    [
        {"id": "other"},
        {"owner": "other"},
        {"environment": Environment.STAGING},
        {"provider": "aws"},
        {"target": Target(id="orders-db", provider="vault", kind="postgresql", settings={"port": 5433})},
        {"target": Target(id="orders-db", provider="vault", kind="mysql", settings={"port": 5432})},
        {"target": Target(id="orders-db", provider="aws", kind="postgresql", settings={"port": 5432})},
        {"target": Target(id="orders-db-2", provider="vault", kind="postgresql", settings={"port": 5432})},
        {"parameters": {}},
        {"grants": {"role": "orders-rw"}},
        {"min_duration": timedelta(seconds=61)},
        {"max_duration": timedelta(seconds=3601)},
        {"review_ttl": timedelta(seconds=1)},
        {"draw_ttl": timedelta(seconds=1)},
        {"draws": 2},
        {"backstop": timedelta(seconds=31)},
        {"delivery": Delivery.WRAPPED},
        {"review": ()},
        {"review": (Factor(group="team", count=2),)},
        {"review": (Factor(group="other", count=1),)},
        {"requesters": None},
        {"requesters": ()},
        {"caps": Caps(pending_per_person=6)},
        {"caps": Caps(open_per_person=6)},
        {"caps": Caps(open_per_target=6)},
        {"caps": Caps(seconds_per_person_day=6)},
        {"description": "x"},
    ],
    ids=str,
)
def test_whatever_decides_is_bound_by_the_rule_digest(changed: dict[str, object]) -> None:
    assert replace(entitlement(), **changed).rule_digest != entitlement().rule_digest  # type: ignore[arg-type]  # one field of its own type each


def test_the_catalogs_digest_does_not_depend_on_order_and_binds_every_entitlement() -> None:
    one, other = entitlement(), replace(entitlement(), id="a-first")
    catalog = Catalog(entitlements={one.id: one, other.id: other})
    assert catalog.digest == Catalog(entitlements={other.id: other, one.id: one}).digest
    assert catalog.digest != Catalog(entitlements={one.id: one}).digest
    assert [item["id"] for item in catalog.document()["entitlements"]] == ["a-first", "orders-db-read"]
    alone = b'countersign/catalog/v1\n{"entitlements":[' + RULE.encode() + b"]}"
    assert Catalog(entitlements={one.id: one}).digest == hashlib.sha256(alone).hexdigest()
