"""Several rules for one entitlement: the strictest wins in the judgement and for the prover, and it says which they were."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.quick import quick_world
from tests.world import CATALOG, DIRECTORY, World, entitlement

from countersign.config.catalog import parse_catalog
from countersign.config.directory import parse_directory
from countersign.config.problems import ConfigError
from countersign.domain.entitlement import Factor, strictest
from countersign.domain.proving import Prover
from countersign.domain.request import RequestState
from countersign.domain.review import count_quorum

SECURITY = {"id": "security-too", "environment": "production", "review": [{"group": "security", "count": 1}]}
TWO = {"id": "two-owners", "target": "orders-db", "review": [{"group": "orders-owners", "count": 2}]}
CATALOG_OF_RULES = {**CATALOG, "rule": [SECURITY, TWO]}
factors = st.lists(
    st.builds(Factor, group=st.sampled_from(["g0", "g1", "g2"]), count=st.integers(1, 2)),
    min_size=1,
    max_size=2,
    unique_by=lambda factor: factor.group,
)


def test_the_strictest_of_all_that_match_wins_and_the_record_says_which_they_were() -> None:
    items = parse_catalog(CATALOG_OF_RULES).entitlements
    assert items["orders-db-read"].review == (Factor(group="orders-owners", count=2), Factor(group="security", count=1))
    assert items["orders-db-wrapped"].review[0] == Factor(group="orders-owners", count=1)
    said = items["orders-db-read"].document()
    assert [rule["id"] for rule in said["rules"]] == ["orders-db-read", "security-too", "two-owners"]
    assert said["rules"][0]["review"] == [{"group": "orders-owners", "count": 1}]
    assert "rules" not in parse_catalog(CATALOG).entitlements["orders-db-read"].document()


@given(rules=st.lists(factors, min_size=1, max_size=3))
def test_the_strictest_is_filled_by_exactly_what_fills_each_group_s_largest_count(
    rules: Sequence[list[Factor]],
) -> None:
    people = {
        **DIRECTORY,
        "group": [
            {"id": "signers", "members": ["bob", "carol", "dave", "oscar"], "roles": ["approver"]},
            {"id": "g0", "members": ["bob", "carol"]},
            {"id": "g1", "members": ["carol", "dave"]},
            {"id": "g2", "members": ["dave", "oscar", "bob"]},
        ],
    }
    directory = parse_directory(people)
    merged = strictest(*map(tuple, rules))
    for size in range(5):
        for signed in combinations(("bob", "carol", "dave", "oscar"), size):
            each = [
                count_quorum(rule, approvers=signed, requester="alice", directory=directory).reached for rule in rules
            ]
            if count_quorum(merged, approvers=signed, requester="alice", directory=directory).reached:
                assert all(each)


def test_what_the_prover_says_is_what_the_broker_does() -> None:
    catalog, directory = parse_catalog(CATALOG_OF_RULES), parse_directory(DIRECTORY)
    wider = {
        **DIRECTORY,
        "group": [g | {"members": ["bob", "dave"]} if g["id"] == "orders-owners" else g for g in DIRECTORY["group"]],
    }
    assert Prover(catalog, directory).answer(catalog.entitlements["orders-db-read"]).least is None
    answer = Prover(catalog, parse_directory(wider)).answer(catalog.entitlements["orders-db-read"])
    assert answer.least == 4
    with quick_world(catalog=CATALOG_OF_RULES, directory=wider) as world:
        request = world.ask("alice")
        for who, state in (("bob", "pending"), ("dave", "pending"), ("carol", "approved")):
            assert world.review(request, who).state == RequestState(state)
        assert world.broker.explanations.request(world.principal("alice"), request.id).rule == (
            "review, the strictest of orders-db-read, security-too, two-owners"
        )


def test_a_rule_that_comes_later_voids_what_was_asked_under_the_old_ones(world: World) -> None:
    request = world.ask()
    world.adopt(catalog={**CATALOG, "rule": [SECURITY]})
    assert "rule-changed" in {
        each.code for each in world.broker.explanations.request(world.principal("alice"), request.id).obstacles
    }


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (SECURITY | {"owner": "ordrs-owners"}, r"rule\[0\].*matches none"),
        (SECURITY | {"environment": "prod"}, "environment"),
        (SECURITY | {"review": []}, "review"),
        (SECURITY | {"review": [{"group": "security", "count": 0}]}, "count"),
        (SECURITY | {"review": [{"group": "security", "count": 1}] * 2}, "each group once"),
        (SECURITY | {"entitlement": "orders-db-read"}, "entitlement"),
    ],
)
def test_a_rule_that_holds_for_nothing_or_asks_for_nobody_is_refused(rule: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_catalog({**CATALOG, "rule": [rule]})
    with pytest.raises(ConfigError, match=r"rule\[1\].*id"):
        parse_catalog({**CATALOG, "rule": [SECURITY, SECURITY], "entitlement": [entitlement("x")]})
