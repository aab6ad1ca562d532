"""A stop at the targets themselves: what was made past the broker is shut out too, once, and until it is done."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest
from tests.world import CATALOG, World, entitlement

from countersign.providers.base import Answer, Away
from countersign.service.followers import Unfinished
from countersign.service.rules import RuleReader
from countersign.service.stopping import TargetStops


@dataclass
class Door:
    """A provider that notes what it was told to shut."""

    shut: list[tuple[str, datetime]] = field(default_factory=list)
    away: bool = False

    def stop_target(self, target: Mapping[str, Any], *, before: datetime) -> Answer:
        if self.away:
            raise Away("not there")
        self.shut.append((str(target["id"]), before))
        return Answer(said={"stop": "written"})


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
def stops(world: World, door: Door) -> TargetStops:
    return TargetStops(store=world.store, rules=RuleReader(), providers={"fake": door})


def stop(world: World, scope: str, target: str | None = None) -> None:
    world.broker.control.stop(world.principal("olga"), scope=scope, target=target, reason="a stolen key")


def told(world: World) -> list[str]:
    return [str(row["subject"]) for row in world.facts("target.stopped")]


@pytest.mark.parametrize(
    ("stopped", "shut"),
    [
        (("all", None), {"orders-db", "other-db"}),
        (("provider", "fake"), {"orders-db", "other-db"}),
        (("entitlement", "orders-db-wrapped"), set()),
        (("person", "alice"), set()),
    ],
)
def test_what_a_stop_concerns_as_a_whole_is_shut_for_whatever_was_made_before_it(
    world: World, stops: TargetStops, door: Door, stopped: tuple[str, str | None], shut: set[str]
) -> None:
    moment = world.clock()
    stop(world, *stopped)
    world.clock.forward(seconds=5)
    stops.handle(list(world.store.entries()))
    assert set(door.shut) == {(target, moment) for target in shut}
    assert set(told(world)) == shut


def test_a_stop_of_an_entitlement_shuts_its_target_where_no_other_leads_there(world: World, stops: TargetStops) -> None:
    alone = {"id": "alone", "provider": "fake", "kind": "memory", "settings": {"role_arn": "arn"}}
    world.adopt(
        catalog=CATALOG
        | {
            "target": [*CATALOG["target"], alone],
            "entitlement": [*CATALOG["entitlement"], entitlement("reports", target="alone")],
        }
    )
    stop(world, "entitlement", "reports")
    stops.handle(list(world.store.entries()))
    assert told(world) == ["alone"]


def test_a_target_that_is_away_is_tried_again_and_none_is_shut_twice(
    world: World, stops: TargetStops, door: Door
) -> None:
    stop(world, "all")
    entries = list(world.store.entries())
    door.away = True
    with pytest.raises(Unfinished) as unfinished:
        stops.handle(entries)
    assert json.loads(entries[unfinished.value.done].leaf or b"{}")["type"] == "stop.placed"
    door.away = False
    stops.handle(entries[unfinished.value.done :])
    stops.handle(entries)
    assert sorted(told(world)) == ["orders-db", "other-db"]
    assert len(door.shut) == 2
