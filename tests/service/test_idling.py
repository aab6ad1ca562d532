"""Leases that nobody uses end early: only where a use would have been told, and never later than they would have."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import count

import pytest
from tests.service.test_records import Told, lease_of, read_of
from tests.world import CATALOG, World, entitlement

from countersign.domain.lease import LeaseState
from countersign.domain.records import Act
from countersign.domain.refusals import Invalid
from countersign.domain.timestamps import spell

IDLE = entitlement("orders-db-idle", idle_s=120, draws=2)


@pytest.fixture
def told(world: World) -> Told:
    source = Told(name="sessions", delay=timedelta(0), by_lease=False)
    world.sources = [source]
    world.restart()
    world.adopt(catalog=CATALOG | {"entitlement": [*CATALOG["entitlement"], IDLE]})
    world.issuing.records.follow()
    return source


def use(world: World, told: Told, lease_id: str) -> None:
    told.records.append(read_of(world, lease_id, "", act=Act.USE, what="session at work", place=""))


def test_a_lease_that_nobody_uses_ends_early_with_its_own_cause_and_the_grant_stays(world: World, told: Told) -> None:
    lease = world.draw(world.granted(what="orders-db-idle", seconds=600)).lease
    use(world, told, lease.id)
    world.clock.forward(seconds=100)
    use(world, told, lease.id)
    world.issuing.records.follow()
    last = spell(world.clock())
    world.clock.forward(seconds=119)
    assert world.issuing.idling.end_unused() == 0
    world.clock.forward(seconds=1)
    assert world.issuing.idling.end_unused() == 1
    assert world.issuing.idling.end_unused() == 0
    world.sweep()
    dead = lease_of(world, lease.id)
    assert (dead.state, dead.cause, dead.not_after) == (LeaseState.REVOKED, "idle", lease.not_after)
    assert not world.provider.works(lease.id)
    [said] = [json.loads(row["leaf"])["data"] for row in world.facts("lease.idle")]
    assert (said["last_used_at"], said["idle_s"]) == (last, 120)
    [certificate] = [json.loads(row["leaf"])["data"] for row in world.facts("lease.dead")]
    assert (certificate["cause"], certificate["seen"]["last_used_at"]) == ("idle", last)
    again = world.draw(lease.grant_id)
    assert again.lease.not_after == lease.not_after


def test_a_lease_that_was_never_used_ends_counted_from_its_draw(world: World, told: Told) -> None:
    lease = world.draw(world.granted(what="orders-db-idle", seconds=600)).lease
    world.clock.forward(seconds=120)
    assert told.name
    assert world.issuing.idling.end_unused() == 1
    assert lease_of(world, lease.id).cause == "idle"


def test_nothing_is_ended_by_a_source_that_was_not_read_lately(world: World, told: Told) -> None:
    lease = world.draw(world.granted(what="orders-db-idle", seconds=600)).lease
    told.away = True
    late = count(10**9)
    world.issuing.records.monotonic = lambda: float(next(late))
    world.clock.forward(seconds=500)
    world.issuing.records.follow()
    assert world.issuing.idling.end_unused() == 0
    told.away = False
    world.restart()
    assert world.issuing.idling.end_unused() == 0
    world.issuing.records.follow()
    assert world.issuing.idling.end_unused() == 1
    assert lease_of(world, lease.id).cause == "idle"


def test_a_source_that_tells_late_moves_the_end_back_by_as_much(world: World, told: Told) -> None:
    told.delay = timedelta(seconds=300)
    world.draw(world.granted(what="orders-db-idle", seconds=3600))
    world.clock.forward(seconds=419)
    assert world.issuing.idling.end_unused() == 0
    world.clock.forward(seconds=1)
    assert world.issuing.idling.end_unused() == 1


def test_a_source_that_was_not_asked_about_a_lease_ends_it_not(world: World, told: Told) -> None:
    told.by_lease = True
    world.draw(world.granted(what="orders-db-idle", seconds=600))
    world.issuing.records.follow()
    world.clock.forward(seconds=500)
    assert world.issuing.idling.end_unused() == 0


def test_leases_without_the_key_are_left_alone(world: World, told: Told) -> None:
    assert told.name
    world.draw(world.granted(seconds=600))
    world.clock.forward(seconds=599)
    assert world.issuing.idling.end_unused() == 0


def test_where_last_use_cannot_be_known_such_an_entitlement_is_refused_with_the_reason(world: World) -> None:
    with pytest.raises(Invalid, match='"orders-db-idle": idle_s needs a source that tells of uses at orders-db'):
        world.adopt(catalog=CATALOG | {"entitlement": [*CATALOG["entitlement"], IDLE]})
    world.sources = [Told(blind="the use of s3")]
    world.restart()
    with pytest.raises(Invalid, match="no source sees the use of s3"):
        world.adopt(catalog=CATALOG | {"entitlement": [*CATALOG["entitlement"], IDLE]})


def test_the_approver_is_shown_it_and_the_rule_s_digest_covers_it(world: World, told: Told) -> None:
    assert told.name
    request = world.ask(what="orders-db-idle")
    view = world.broker.questions.request(world.principal("bob"), request.id)
    assert view.preview is not None
    assert "each credential ends early once it was not used for 120 s" in view.preview.privileges
    before = request.rule_digest
    world.adopt(catalog=CATALOG | {"entitlement": [*CATALOG["entitlement"], IDLE | {"idle_s": 121}]})
    assert world.ask(what="orders-db-idle").rule_digest != before
