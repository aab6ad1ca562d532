"""What a catalog may say of approval in advance: never of production, and of nothing that asks for people."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from tests.config.test_catalog import only_refusal, source

from countersign.config.catalog import parse_catalog
from countersign.domain.environment import Environment

WHERE = 'entitlement[0] "orders-db-read".automatic'
GLASS = {"review": [{"group": "responders", "count": 1}], "max_duration_s": 600}


@pytest.mark.parametrize("environment", ["staging", "development"])
def test_it_is_part_of_the_rule_and_rules_without_it_are_as_they_were(environment: str) -> None:
    plain, said, unsaid = (
        parse_catalog(source(environment=environment, automatic=value)).entitlements["orders-db-read"]
        for value in (None, True, False)
    )
    assert "automatic" not in plain.document()
    assert plain.rule_digest == unsaid.rule_digest != said.rule_digest
    assert (plain.approves_itself, said.approves_itself) == (False, True)


def test_production_is_refused_with_the_reason() -> None:
    where, expected, got = only_refusal(source(environment="production", automatic=True))
    assert (where, got) == (WHERE, "true")
    assert expected == "false in production: there every access is approved by people who looked at it"


def test_production_does_not_approve_itself_whatever_was_written() -> None:
    item = parse_catalog(source(environment="staging", automatic=True)).entitlements["orders-db-read"]
    assert not dataclasses.replace(item, environment=Environment.PRODUCTION).approves_itself


@pytest.mark.parametrize(
    ("change", "why"),
    [({"signature": "required"}, "nobody signs"), ({"break_glass": GLASS}, "an emergency")],
)
def test_what_it_would_get_round_is_refused_beside_it(change: dict[str, Any], why: str) -> None:
    where, expected, _ = only_refusal(source(environment="staging", automatic=True, **change))
    assert where == WHERE
    assert why in expected


def test_a_rule_of_the_catalog_that_asks_for_reviews_is_not_got_round() -> None:
    given = source(environment="staging", automatic=True)
    given["rule"] = [{"id": "staging-too", "environment": "staging", "review": [{"group": "security", "count": 1}]}]
    where, expected, _ = only_refusal(given)
    assert where == WHERE
    assert "staging-too" in expected
