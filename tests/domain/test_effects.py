"""A proposal's effects: each entitlement whose answer differs and no other, and what there was no time for."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from tests.world import CATALOG, DIRECTORY, World, entitlement

from countersign.config.catalog import parse_catalog
from countersign.config.directory import parse_directory
from countersign.domain.proving import Effects, effects_of, outcome

TWO = [{"group": "orders-owners", "count": 1}, {"group": "security", "count": 1}]


def compare(catalog: dict[str, Any], directory: dict[str, Any], *, looks: int = 99) -> Effects:
    left = iter(range(looks))

    def in_time() -> bool:
        return next(left, None) is not None

    before = parse_catalog(CATALOG), parse_directory(DIRECTORY)
    return effects_of(before, (parse_catalog(catalog), parse_directory(directory)), in_time=in_time)


def test_only_what_changes_is_told_with_the_answer_before_and_after() -> None:
    items = [entitlement("orders-db-read", review=TWO), *CATALOG["entitlement"][1:-1], entitlement("new")]
    found = {each.entitlement: each for each in compare({**CATALOG, "entitlement": items}, DIRECTORY).found}
    assert found.keys() == {"orders-db-read", "new", "orders-db-nobody"}
    read = found["orders-db-read"]
    assert (read.before and read.before.least, read.after and read.after.least) == (2, 3)
    assert (found["new"].before, found["orders-db-nobody"].after) == (None, None)


def test_a_change_of_people_is_told_for_every_entitlement_that_it_reaches() -> None:
    directory = copy.deepcopy(DIRECTORY)
    next(g for g in directory["group"] if g["id"] == "security")["members"] = []
    assert [each.entitlement for each in compare(CATALOG, directory).found] == ["orders-db-write"]
    [effect] = compare(CATALOG, directory).found
    assert outcome(effect.after) == {
        "least": None,
        "alone": {"count": 0, "named": []},
        "witnesses": [None],
        "nobody_for": 2,
    }


def test_what_there_was_no_time_for_is_named_and_not_passed_over() -> None:
    directory = copy.deepcopy(DIRECTORY)
    next(g for g in directory["group"] if g["id"] == "engineers")["members"] = []
    found = compare(CATALOG, directory, looks=2)
    assert {each.entitlement for each in found.found} | set(found.uncompared) >= {
        name for name in parse_catalog(CATALOG).entitlements if name != "orders-db-nobody"
    }
    assert len(found.uncompared) == len(CATALOG["entitlement"]) - 2


def test_every_proposal_says_what_it_changes_in_who_reaches_what(world: World) -> None:
    items = [entitlement("orders-db-read", review=TWO), *CATALOG["entitlement"][1:]]
    view = world.broker.rulemaking.propose(
        world.principal("frank"), catalog={**CATALOG, "entitlement": items}, directory=None, reason="two should sign"
    )
    assert list(_told(view.effects)) == [("orders-db-read", 2, 3)]
    read = world.broker.rulemaking.proposal(world.principal("erin"), view.proposal.id)
    assert list(_told(read.effects)) == [("orders-db-read", 2, 3)]


def _told(effects: Effects) -> Iterator[tuple[str, int | None, int | None]]:
    for each in effects.found:
        assert each.before is not None
        assert each.after is not None
        yield each.entitlement, each.before.least, each.after.least
