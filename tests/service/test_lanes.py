"""Lanes: what is stuck holds up nothing else, at its own target neither, and a claim is a fence."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.service.oracle import Inline
from tests.world import World

from countersign.domain.lease import Cause, Due, Lease, LeaseState
from countersign.domain.refusals import Conflict
from countersign.providers.base import Answer, LeaseRef
from countersign.providers.fake import Crash, Fault
from countersign.service.lane import HELD_AT_ONCE
from countersign.store import schema

SOON_S = 20.0


def lease(world: World, lease_id: str) -> Lease:
    with world.store.read() as tx:
        found = tx.lease(lease_id)
    assert found is not None
    return found


def drawn(world: World, what: str = "orders-db-thrice", *, seconds: int = 60) -> Lease:
    return world.draw(world.granted(what=what, seconds=seconds)).lease


@contextmanager
def held_up(world: World, *stuck: Lease) -> Iterator[None]:
    """Let the ends of these leases take until the block is over, and all others none."""
    released, end, names = threading.Event(), world.provider.end, {each.id for each in stuck}

    def late(ref: LeaseRef) -> Answer:
        if ref.lease_id in names:
            assert released.wait(timeout=2 * SOON_S)
        return end(ref)

    world.provider.end = late  # type: ignore[method-assign] # the fault that the test is about
    try:
        yield
    finally:
        released.set()
        wait(world.issuing.sweeper.sweep(), timeout=SOON_S)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SOON_S
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


def is_dead(world: World, one: Lease) -> bool:
    return lease(world, one.id).state is LeaseState.REVOKED


def test_what_falls_due_while_an_end_is_stuck_does_not_wait_for_it(world: World) -> None:
    stuck, later = drawn(world, seconds=60), drawn(world, seconds=70)
    with held_up(world, stuck):
        world.clock.forward(seconds=60)
        world.issuing.sweeper.sweep()
        world.clock.forward(seconds=10)
        world.issuing.sweeper.sweep()
        until(lambda: is_dead(world, later))
        assert not is_dead(world, stuck)


def test_leases_that_were_tried_before_have_a_lane_of_their_own(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.provider, "ends_at_once", 1)
    stuck = drawn(world, seconds=60)
    world.clock.forward(seconds=60)
    world.provider.faults["end"] = Fault.LIES
    assert world.sweep() == 0
    fresh = drawn(world, seconds=60)
    with held_up(world, stuck):
        world.clock.forward(seconds=60)
        begun = world.issuing.sweeper.sweep()
        assert len(begun) == 2
        until(lambda: is_dead(world, fresh))
        assert not is_dead(world, stuck)


def test_a_receipt_that_nobody_answers_for_delays_no_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("countersign.service.sweeper.RECEIPTS_AT_ONCE", 2)
    wrapped = [drawn(world, "orders-db-wrapped", seconds=70) for _ in range(3)]
    over = world.draw(world.granted("dave", "orders-db-wrapped", seconds=60), "dave").lease
    released = threading.Event()

    def silent(ref: LeaseRef) -> None:
        del ref
        assert released.wait(timeout=2 * SOON_S)

    monkeypatch.setattr(world.provider, "received", silent)
    try:
        world.issuing.sweeper.sweep()
        world.clock.forward(seconds=60)
        world.issuing.sweeper.sweep()
        until(lambda: is_dead(world, over))
        world.clock.forward(seconds=10)
        world.issuing.sweeper.sweep()
        until(lambda: all(is_dead(world, one) for one in wrapped))
    finally:
        released.set()
    wait(world.issuing.sweeper.sweep(), timeout=SOON_S)
    assert [lease(world, one.id).cause for one in wrapped] == [Cause.EXPIRED] * 3


def test_a_provider_that_stumbles_over_one_receipt_is_asked_for_the_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, lost = (drawn(world, "orders-db-wrapped") for _ in range(2))

    def stumbling(ref: LeaseRef) -> bool:
        if ref.lease_id == bad.id:
            raise RuntimeError("a bug nobody foresaw")
        return False

    monkeypatch.setattr(world.provider, "received", stumbling)
    assert world.sweep() == 0
    assert world.sweep() == 1
    assert lease(world, lost.id).cause is Cause.UNDELIVERED
    assert lease(world, bad.id).state is LeaseState.ACTIVE


def test_leases_of_a_provider_that_was_taken_away_stop_no_other_end(world: World) -> None:
    gone, here = drawn(world), drawn(world, "orders-db-thrice")
    with world.store._engine.begin() as connection:
        mine = schema.leases.c.id == gone.id
        connection.execute(sa.update(schema.leases).where(mine).values(provider="vault"))
    world.clock.forward(seconds=60)
    assert world.sweep() == 1
    assert is_dead(world, here)
    assert not is_dead(world, gone)


def test_asking_for_a_receipt_never_puts_off_the_end(world: World) -> None:
    one = drawn(world, "orders-db-wrapped", seconds=10)
    [claimed] = world.issuing.sweeper._errand("fake", "other-db", Due.RECEIPT).claim(10)
    assert claimed.due == one.not_after
    world.clock.forward(seconds=10)
    assert world.sweep() == 1


def test_one_statement_moves_a_lease_as_its_transitions_do(world: World) -> None:
    before = drawn(world)
    world.clock.forward(seconds=61)
    with world.store.begin() as tx:
        [after] = tx.claim_expired(provider="fake", target="orders-db", until=tx.now + timedelta(seconds=12), limit=10)
        expected = before.revoking(cause=Cause.EXPIRED, now=tx.now).claimed(tx.now + timedelta(seconds=12))
    assert after == replace(expected, version=before.version + 1)
    world.clock.forward(seconds=12)
    with world.store.begin() as tx:
        [again] = tx.claim_revoking(
            provider="fake", target="orders-db", again=False, until=tx.now + timedelta(seconds=12), limit=10
        )
        assert again == after.claimed(tx.now + timedelta(seconds=12))


def test_a_claim_takes_what_is_due_at_its_target_once_and_fences_whoever_read_before(world: World) -> None:
    before = [drawn(world) for _ in range(3)]
    elsewhere = drawn(world, "orders-db-wrapped")
    world.provider.picked_up = True
    world.clock.forward(seconds=60)
    errand = world.issuing.sweeper._errand("fake", "orders-db", Due.END)
    claimed = errand.claim(2)
    assert len(claimed) == 2
    assert {one.id for one in claimed + errand.claim(10)} == {one.id for one in before}
    assert errand.claim(10) == []
    with pytest.raises(Conflict), world.store.begin() as tx:
        tx.move_lease(before[0], before[0].revoking(cause=Cause.EXPIRED, now=tx.now))
    assert world.sweep() == 1
    assert is_dead(world, elsewhere)
    assert len(world.facts("lease.end-asked")) == 4


def test_two_brokers_share_a_herd_and_every_lease_has_one_certificate(world: World) -> None:
    herd = [drawn(world) for _ in range(9)]
    first = world.issuing.sweeper
    world.restart()
    world.clock.forward(seconds=60)
    wait([*first.sweep(), *world.issuing.sweeper.sweep()], timeout=SOON_S)
    assert sorted(row["subject"] for row in world.facts("lease.dead")) == sorted(one.id for one in herd)
    assert sorted(row["subject"] for row in world.facts("lease.end-asked")) == sorted(one.id for one in herd)


def test_a_claim_that_ran_out_while_its_lease_waited_is_renewed_and_the_lease_ended_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.provider, "ends_at_once", 1)
    stuck, waiting = drawn(world, seconds=60), drawn(world, seconds=61)
    ended: list[str] = []
    with held_up(world, stuck):
        end = world.provider.end

        def counted(ref: LeaseRef) -> Answer:
            ended.append(ref.lease_id)
            return end(ref)

        monkeypatch.setattr(world.provider, "end", counted)
        world.clock.forward(seconds=61)
        world.issuing.sweeper.sweep()
        until(lambda: lease(world, waiting.id).state is LeaseState.REVOKING and ended == [stuck.id])
        version = lease(world, waiting.id).version
        world.clock.forward(seconds=13)
        world.issuing.sweeper.sweep()
        until(lambda: lease(world, waiting.id).version > version)
    until(lambda: is_dead(world, stuck) and is_dead(world, waiting))
    assert sorted(ended) == sorted([stuck.id, waiting.id])


def test_a_lane_that_broke_down_says_so_and_the_next_sweep_opens_another(world: World) -> None:
    drawn(world)
    world.clock.forward(seconds=60)
    world.provider.faults["end"] = Fault.CRASH
    with pytest.raises(Crash):
        world.sweep()
    world.clock.forward(seconds=12)
    assert world.sweep() == 1


def test_more_than_a_lane_holds_at_once_is_ended_in_one_sweep(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("countersign.service.lane.HELD_AT_ONCE", 2)
    assert HELD_AT_ONCE > 2
    for _ in range(5):
        drawn(world)
    world.clock.forward(seconds=60)
    world.issuing.sweeper.hands = world.issuing.sweeper.lanes = Inline(1)
    assert world.sweep() == 5
