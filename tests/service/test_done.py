"""What was done under a grant: other people's records beside what was granted, and never a silence where something is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.service.test_records import Told, read_of
from tests.world import World

from countersign.domain.records import Act, Outcome
from countersign.domain.refusals import NotFound, NotPermitted
from countersign.service.done import Done


@pytest.fixture
def told(world: World) -> Told:
    source = Told(name="postgresql-log orders-db")
    world.sources = [source]
    world.restart()
    world.issuing.records.follow()
    return source


def act(world: World, told: Told, lease_id: str, what: str, outcome: Outcome = Outcome.DONE) -> None:
    told.records.append(read_of(world, lease_id, what, act=Act.USE, what=what, outcome=outcome, place=""))


def done(world: World, grant: str) -> Done:
    return world.broker.doings.done(world.principal("erin"), grant)


def lines(found: Done) -> list[tuple[str, str, int, bool]]:
    return [(use.what, use.outcome.value, use.count, use.outside) for use in found.uses]


def finished(world: World, told: Told, lines: Sequence[tuple[str, Outcome]]) -> str:
    """Return a grant that was used and has ended, and whose records were all told."""
    lease = world.draw(world.granted(seconds=60)).lease
    for what, outcome in lines:
        act(world, told, lease.id, what, outcome)
    world.issuing.records.follow()
    world.clock.forward(seconds=60)
    world.sweep()
    world.clock.forward(seconds=60)
    world.issuing.records.follow()
    return lease.grant_id


def test_uses_refusals_and_what_was_granted_stand_together(world: World, told: Told) -> None:
    grant = finished(
        world,
        told,
        [
            ("statement SELECT", Outcome.DONE),
            ("statement SELECT", Outcome.DONE),
            ("permission denied for table payroll", Outcome.REFUSED),
        ],
    )
    found = done(world, grant)
    assert sorted(lines(found)) == [
        ("permission denied for table payroll", "refused", 1, False),
        ("statement SELECT", "done", 2, False),
    ]
    assert [use.what for use in found.refused] == ["permission denied for table payroll"]
    assert found.missing == []
    assert found.privileges
    assert world.facts("audit.asked")[-1]["subject"] == grant


def test_a_use_after_the_end_is_outside_of_the_window(world: World, told: Told) -> None:
    grant = finished(world, told, [])
    with world.store.read() as tx:
        [lease] = tx.leases(grant_id=grant)
    act(world, told, lease.id, "login (28P01)", Outcome.REFUSED)
    world.issuing.records.follow()
    assert [use.what for use in done(world, grant).outside] == ["login (28P01)"]


def test_where_no_source_is_declared_that_is_said(world: World) -> None:
    lease = world.draw(world.granted()).lease
    assert done(world, lease.grant_id).missing == [
        f"{lease.id}: no source is declared that tells what is done at orders-db"
    ]


def test_what_a_source_did_not_tell_yet_or_was_not_there_for_is_said(world: World, told: Told) -> None:
    lease = world.draw(world.granted(seconds=60)).lease
    world.clock.forward(seconds=60)
    world.sweep()
    [line] = done(world, lease.grant_id).missing
    assert "tells up to 2 s late" in line
    later = Told(name="another log")
    told.tells_acts = later.tells_acts = False
    world.sources.append(later)
    world.restart()
    missing = done(world, lease.grant_id).missing
    assert any("another log: was never read" in line for line in missing)
    assert any("not what was done" in line for line in missing)
    world.clock.forward(seconds=60)
    world.issuing.records.follow()
    assert any("another log: is followed since" in line for line in done(world, lease.grant_id).missing)


def test_a_gap_shows_where_it_overlaps_the_lease_and_nowhere_else(world: World, told: Told) -> None:
    before = finished(world, told, [])
    world.clock.forward(seconds=60)
    world.issuing.records.follow()
    told.gaps = ["the file that was read last is gone"]
    lease = world.draw(world.granted(seconds=60)).lease
    world.clock.forward(seconds=5)
    world.issuing.records.follow()
    assert any("is gone" in line for line in done(world, lease.grant_id).missing)
    assert done(world, before).missing == []


def test_a_source_that_is_silent_is_said(world: World, told: Told) -> None:
    grant = finished(world, told, [])
    with world.store.begin() as tx:
        state = tx.source(told.name)
        assert state is not None
        tx.move_source(state, replace(state, silent_since=tx.now - timedelta(seconds=40)))
    assert any("cannot be read since" in line for line in done(world, grant).missing)


def test_only_auditors_and_operators_ask_and_only_of_what_there_is(world: World, told: Told) -> None:
    grant = finished(world, told, [])
    with pytest.raises(NotPermitted):
        world.broker.doings.done(world.principal("alice"), grant)
    with pytest.raises(NotFound):
        done(world, "grt_zzzzzzzzzzzzzzzz")
