"""The sweep: on time, for ever, only believing what it sees, and one bad target delays no other."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import Any

import pytest
from tests.world import World

from countersign.domain.grant import GrantState
from countersign.domain.lease import Due, LeaseState
from countersign.domain.refusals import WrongState
from countersign.providers.base import Answer, LeaseRef, Stray
from countersign.providers.fake import Fault


def state(world: World, lease_id: str) -> LeaseState:
    with world.store.read() as tx:
        lease = tx.lease(lease_id)
    assert lease is not None
    return lease.state


def certificate(world: World) -> dict[str, object]:
    [row] = world.facts("lease.dead")
    return dict(json.loads(row["leaf"])["data"])


def test_a_lease_left_alone_dies_at_its_second_by_the_sweep_and_before_the_backstop(world: World) -> None:
    drawn = world.draw(world.granted(seconds=60))
    world.clock.forward(seconds=59.999)
    assert world.sweep() == 0
    assert world.provider.works(drawn.lease.id)
    world.clock.forward(seconds=0.001)
    assert world.sweep() == 1
    assert not world.provider.works(drawn.lease.id)
    assert world.clock() < drawn.lease.backstop_at
    assert certificate(world) == {
        "grant": drawn.lease.grant_id,
        "cause": "expired",
        "evidence": "observed",
        "standing": "gone",
        "seen": {"login": False},
        "not_after": "2026-11-22T09:01:00.000Z",
        "lateness_ms": 0,
    }


def test_without_a_sweep_the_backstop_still_ends_it(world: World) -> None:
    drawn = world.draw(world.granted(seconds=60))
    world.clock.forward(seconds=89)
    assert world.provider.works(drawn.lease.id)
    world.clock.forward(seconds=1)
    assert not world.provider.works(drawn.lease.id)


def test_a_new_life_of_the_broker_ends_what_the_old_one_issued(world: World) -> None:
    drawn = world.draw(world.granted(seconds=60))
    world.restart()
    world.clock.forward(seconds=61)
    assert world.sweep() == 1
    assert not world.provider.works(drawn.lease.id)


def test_a_broker_that_died_holding_a_claim_does_not_delay_the_next(world: World) -> None:
    drawn = world.draw(world.granted(seconds=60))
    world.clock.forward(seconds=60)
    assert world.issuing.sweeper._errand("fake", "orders-db", Due.END).claim(10)
    assert world.sweep() == 0
    world.restart()
    assert world.sweep() == 1
    assert not world.provider.works(drawn.lease.id)


def test_an_accepted_order_is_no_death(world: World) -> None:
    drawn = world.draw(world.granted(seconds=60))
    world.clock.forward(seconds=60)
    world.provider.faults["end"] = Fault.LIES
    assert world.sweep() == 0
    assert state(world, drawn.lease.id) is LeaseState.REVOKING
    assert not world.facts("lease.dead")
    assert len(world.facts("lease.end-written")) == 1
    world.clock.forward(seconds=1)
    assert world.sweep() == 1
    assert len(world.facts("lease.end-written")) == 1


def test_what_cannot_be_looked_at_is_not_dead(world: World) -> None:
    drawn = world.draw(world.granted(seconds=60))
    world.clock.forward(seconds=60)
    world.provider.faults["look"] = Fault.AWAY
    assert world.sweep() == 0
    assert state(world, drawn.lease.id) is LeaseState.REVOKING


def test_retries_never_end_and_an_overdue_lease_is_alarmed_once(world: World) -> None:
    drawn = world.draw(world.granted(seconds=60))
    world.clock.forward(seconds=60)
    for _ in range(40):
        world.provider.faults["end"] = Fault.LIES
        world.provider.target.live[drawn.lease.id] = world.clock.at.replace(year=2030)
        assert world.sweep() == 0
        world.clock.forward(seconds=46)
    assert len(world.facts("lease.overdue")) == 1
    assert world.sweep() == 1
    assert state(world, drawn.lease.id) is LeaseState.REVOKED
    with world.store.read() as tx:
        assert tx.count_overdue() == 0
        assert tx.lease(drawn.lease.id).tries == 40  # type: ignore[union-attr] # it exists


def test_a_target_that_is_away_delays_no_other(world: World) -> None:
    bad, good = (
        world.draw(world.granted(seconds=60)),
        world.draw(world.granted("dave", "orders-db-wrapped", seconds=60), "dave"),
    )
    world.provider.picked_up = True
    end = world.provider.end

    def end_elsewhere(ref: LeaseRef) -> Answer:
        if ref.target["id"] == "orders-db":
            raise RuntimeError("a bug nobody foresaw")
        return end(ref)

    world.provider.end = end_elsewhere  # type: ignore[method-assign] # one target is broken
    world.clock.forward(seconds=60)
    assert world.sweep() == 1
    assert not world.provider.works(good.lease.id)
    assert state(world, bad.lease.id) is LeaseState.REVOKING


def test_handing_back_ends_the_grant_and_kills_the_lease_at_once(world: World) -> None:
    grant = world.granted()
    drawn = world.draw(grant)
    assert world.broker.control.give_back(world.principal("alice"), grant).state is GrantState.RETURNED
    assert world.sweep() == 1
    assert not world.provider.works(drawn.lease.id)
    assert certificate(world)["cause"] == "returned"
    with pytest.raises(WrongState):
        world.draw(grant)


def test_overlapping_grants_do_not_end_each_other(world: World) -> None:
    one, other = world.granted(), world.granted()
    first, second = world.draw(one), world.draw(other)
    world.broker.control.give_back(world.principal("alice"), one)
    world.sweep()
    assert not world.provider.works(first.lease.id)
    assert world.provider.works(second.lease.id)


def test_a_grant_ends_by_itself_and_says_so(world: World) -> None:
    grant = world.granted()
    world.clock.forward(seconds=300)
    world.sweep()
    with world.store.read() as tx:
        assert tx.grant(grant).state is GrantState.ENDED  # type: ignore[union-attr] # it exists
    assert [row["subject"] for row in world.facts("grant.closed")] == [grant]


def test_reconciliation_ends_what_was_never_ordered_and_what_outlived_its_certificate(world: World) -> None:
    drawn = world.draw(world.granted())
    live = world.draw(world.granted("dave"), "dave")
    world.broker.control.give_back(world.principal("alice"), drawn.lease.grant_id)
    world.sweep()
    until = world.clock.at.replace(year=2030)
    world.provider.target.live |= {drawn.lease.id: until, "lse_zzzzzzzzzzzzzzzz": until}
    assert world.issuing.reconciler.reconcile() == 2
    assert list(world.provider.target.live) == [live.lease.id]
    assert world.issuing.reconciler.reconcile() == 0
    kinds = {json.loads(row["leaf"])["data"]["kind"] for row in world.facts("provider.anomaly")}
    assert kinds == {"never-ordered", "outlived-its-certificate"}


def test_what_was_certified_after_the_listing_began_is_no_contradiction(world: World) -> None:
    drawn = world.draw(world.granted())
    listing = world.provider.roll_call

    def slow_listing(targets: Sequence[Mapping[str, Any]]) -> list[Stray]:
        listed = list(listing(targets))
        world.clock.forward(seconds=1)
        world.broker.control.give_back(world.principal("alice"), drawn.lease.grant_id)
        assert world.sweep() == 1
        return listed

    world.provider.roll_call = slow_listing  # type: ignore[method-assign] # the listing that this test is about
    assert world.issuing.reconciler.reconcile() == 0
    assert not world.facts("provider.anomaly")


def test_a_target_that_hangs_leaves_hands_for_the_others(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.provider, "ends_at_once", 2)
    world.issuing.sweeper.hands = ThreadPoolExecutor(3)
    hanging = [world.draw(world.granted(what="orders-db-thrice")).lease for _ in range(3)]
    other = world.draw(world.granted(what="orders-db-wrapped")).lease
    released, end = threading.Event(), world.provider.end

    def hang(ref: LeaseRef) -> Answer:
        if ref.lease_id in {lease.id for lease in hanging}:
            assert released.wait(timeout=20)
        return end(ref)

    monkeypatch.setattr(world.provider, "end", hang)
    world.clock.forward(seconds=60)
    begun = world.issuing.sweeper.sweep()
    try:
        done, _ = wait(begun, timeout=10, return_when=FIRST_COMPLETED)
        assert [piece.result() for piece in done] == [1]
        assert state(world, other.id) is LeaseState.REVOKED
    finally:
        released.set()
    assert sum(piece.result() for piece in begun) == 4
