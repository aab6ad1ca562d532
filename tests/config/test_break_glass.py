"""What a catalog may say of emergencies, alone and before a directory."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.config.test_catalog import only_refusal, source
from tests.config.test_crosscheck import A, R, catalog, directory, said

from countersign.config.catalog import parse_catalog
from countersign.config.crosscheck import check_together
from countersign.domain.entitlement import Factor

GLASS: dict[str, Any] = {"review": [{"group": "responders", "count": 1}], "max_duration_s": 600}
WHERE = 'entitlement[0] "orders-db-read".break_glass'


def test_defaults_are_a_day_the_owner_and_three() -> None:
    item = parse_catalog(source(break_glass=GLASS)).entitlements["orders-db-read"]
    assert item.break_glass is not None
    assert item.break_glass.review == (Factor(group="responders", count=1),)
    assert item.break_glass.max_duration == timedelta(minutes=10)
    assert item.break_glass.after_review == timedelta(days=1)
    assert (item.break_glass.reviewers, item.break_glass.per_incident) == ("team", 3)


def test_break_glass_is_part_of_the_rule_and_rules_without_it_are_as_they_were() -> None:
    plain = parse_catalog(source()).entitlements["orders-db-read"]
    glass = parse_catalog(source(break_glass=GLASS)).entitlements["orders-db-read"]
    other = parse_catalog(source(break_glass=GLASS | {"per_incident": 2})).entitlements["orders-db-read"]
    assert "break_glass" not in plain.document()
    assert len({plain.rule_digest, glass.rule_digest, other.rule_digest}) == 3


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"review": []}, ".review"),
        ({"review": [{"group": "responders", "count": 0}]}, ".review[0].count"),
        ({"max_duration_s": 3601}, ".max_duration_s"),
        ({"max_duration_s": 59}, ".max_duration_s"),
        ({"after_review_s": 0}, ".after_review_s"),
        ({"after_review_s": 7 * 86400 + 1}, ".after_review_s"),
        ({"per_incident": 0}, ".per_incident"),
        ({"per_incident": 21}, ".per_incident"),
        ({"reviewers": "Team"}, ".reviewers"),
        ({"waive": True}, ".waive"),
        ({"review": [{"group": "responders", "count": 1}] * 2}, ".review[1].group"),
    ],
)
def test_what_would_waive_or_widen_too_far_is_refused_by_name(change: dict[str, Any], where: str) -> None:
    assert only_refusal(source(break_glass=GLASS | change))[0] == WHERE + where


@pytest.mark.parametrize("longest", [60, 3600])
def test_the_bounds_of_the_entitlement_are_allowed(longest: int) -> None:
    assert parse_catalog(source(break_glass=GLASS | {"max_duration_s": longest})).entitlements


def test_its_groups_are_looked_at_as_those_of_the_rule_are() -> None:
    people = directory(team=("a b", [A, R]), responders=("a", [A]), empty=("", [A]))
    glass = {"review": [{"group": "ghosts", "count": 1}], "max_duration_s": 2, "reviewers": "empty"}
    found = said(check_together(catalog([("team", 1)], break_glass=glass), people))
    assert ("error", 'entitlement "e".break_glass.review[0].group', '"ghosts"') in found
    assert ("warning", 'entitlement "e".break_glass.reviewers', '"empty", which is empty and means nobody') in found
    glass = {"review": [{"group": "responders", "count": 1}], "max_duration_s": 2}
    assert said(check_together(catalog([("team", 1)], break_glass=glass), people)) == [
        ("warning", 'entitlement "e".break_glass.review', "nobody could approve for a")
    ]
