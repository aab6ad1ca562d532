"""Followers: in order, nothing lost, caught up after an outage, by one process at a time, and seen when they fall behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
import sqlalchemy as sa
from tests.world import World

from countersign.auditlog.leaf import Entry
from countersign.domain.refusals import Conflict, LogUnavailable, NotPermitted, Refused
from countersign.service import followers
from countersign.service.followers import HOLD, Followers, Lag, Unfinished
from countersign.store import Cursor, Store, Tx
from countersign.store.follower_tables import followers as table


@dataclass(kw_only=True)
class Reader:
    """A follower that keeps the indexes it was given, and may be told to fail."""

    name: str = "reader"
    seen: list[int] = field(default_factory=list)
    trouble: Callable[[Sequence[Entry]], None] = lambda _: None

    def handle(self, entries: Sequence[Entry]) -> None:
        self.trouble(entries)
        self.seen += [entry.index for entry in entries]


def raising(error: Exception) -> Callable[[Sequence[Entry]], None]:
    def trouble(entries: Sequence[Entry]) -> None:
        del entries
        raise error

    return trouble


def fill(world: World, times: int = 5) -> int:
    for _ in range(times):
        world.broker.requests.withdraw(world.principal("alice"), world.ask().id)
    return size_of(world)


def size_of(world: World) -> int:
    with world.store.read() as tx:
        return tx.head().size


def lag(world: World, name: str = "reader") -> Lag:
    [found] = [each for each in world.broker.followers.look() if each.name == name]
    return found


def cursor(store: Store, name: str = "reader") -> Cursor:
    with store.read() as tx:
        found = tx.cursor(name)
    assert found is not None
    return found


def test_a_follower_is_given_every_entry_once_and_in_order_from_the_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followers, "BATCH", 3)
    reader, size = Reader(), fill(world)
    world.follow(reader)
    assert reader.seen == list(range(size))
    grown = fill(world, 1)
    world.follow()
    assert reader.seen == list(range(grown))
    assert (lag(world).behind, lag(world).behind_s, lag(world).alarming) == (0, 0.0, False)


def test_an_outage_is_caught_up_with_nothing_lost_or_reordered(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followers, "BATCH", 4)
    reader, size = Reader(trouble=raising(Unfinished("the receiver is away"))), fill(world)
    world.follow(reader)
    assert reader.seen == []
    assert (lag(world).failures, lag(world).error, lag(world).next) == (1, "the receiver is away", 0)
    world.follow()
    assert lag(world).failures == 1, "it waits before it tries again"
    for tries in range(2, 30):
        world.clock.forward(seconds=followers.LAST_RETRY.total_seconds())
        world.follow()
        found = lag(world)
        assert found.failures == tries
        assert found.retry_at is not None
        assert found.retry_at - world.clock() <= followers.LAST_RETRY
    assert found.alarming
    assert found.behind_s > 1000
    reader.trouble = lambda _: None
    world.clock.forward(seconds=followers.LAST_RETRY.total_seconds())
    world.follow()
    assert reader.seen == list(range(size))
    assert (lag(world).failures, lag(world).error, lag(world).failing_since) == (0, None, None)


def test_what_was_handled_before_the_trouble_does_not_come_again(world: World) -> None:
    reader, size = Reader(), fill(world)

    def second_half_fails(entries: Sequence[Entry]) -> None:
        reader.seen += [entry.index for entry in entries[:4]]
        raise Unfinished("no more today", done=4)

    reader.trouble = second_half_fails
    world.follow(reader)
    assert (lag(world).next, lag(world).failures) == (4, 1)
    reader.trouble = lambda _: None
    world.clock.forward(seconds=1)
    world.follow()
    assert reader.seen == list(range(size))


def test_who_only_wants_to_be_called_again_is_in_no_trouble(world: World) -> None:
    reader, size = Reader(), fill(world)

    def one_at_a_time(entries: Sequence[Entry]) -> None:
        reader.seen.append(entries[0].index)
        raise Unfinished(done=1)

    reader.trouble = one_at_a_time
    world.follow(reader)
    assert reader.seen == list(range(size))
    assert lag(world).failures == 0


def test_a_follower_that_does_nothing_is_not_called_without_end(world: World) -> None:
    reader = Reader(trouble=raising(Unfinished(done=0)))
    world.follow(reader)
    assert lag(world).error == "it did nothing and did not say why"


def test_a_crash_between_handling_and_its_record_lets_the_same_come_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, size = Reader(), fill(world)
    move = Tx.move_cursor

    def dying(tx: Tx, before: Cursor, after: Cursor) -> Cursor:
        if after.next > before.next:
            raise LogUnavailable("the process died here")
        return move(tx, before, after)

    with monkeypatch.context() as patched:
        patched.setattr(Tx, "move_cursor", dying)
        world.follow(reader)
    assert reader.seen == list(range(size))
    assert lag(world).next == 0
    world.follow()
    assert reader.seen == [*range(size), *range(size)], "at least once, and never out of order"


def test_replicas_do_not_handle_the_same_twice(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followers, "BATCH", 2)
    reader, size = Reader(), fill(world, 10)
    replicas = [Followers(office=world.broker.office, followers=[reader], me=f"process-{n}") for n in range(4)]
    start = threading.Barrier(len(replicas))

    def run(replica: Followers) -> None:
        start.wait()
        for _ in range(20):
            replica.follow_and_wait()

    threads = [threading.Thread(target=run, args=[replica]) for replica in replicas]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert reader.seen == list(range(size))


def test_a_process_that_died_is_replaced_when_its_hold_is_over_and_one_that_leaves_at_once(world: World) -> None:
    reader = Reader()
    first, second, third = (
        Followers(office=world.broker.office, followers=[reader], me=name) for name in ("first", "second", "third")
    )
    first.follow_and_wait()
    size = fill(world)
    second.follow_and_wait()
    assert len(reader.seen) < size, "the first one may still be at it"
    world.clock.forward(seconds=HOLD.total_seconds())
    second.follow_and_wait()
    assert reader.seen == list(range(size))
    grown = fill(world, 1)
    second.stop()
    third.follow_and_wait()
    assert reader.seen == list(range(grown))


def test_who_was_overtaken_in_the_middle_does_not_move_the_cursor(world: World) -> None:
    reader = Reader()
    slow, quick = (Followers(office=world.broker.office, followers=[reader], me=name) for name in ("slow", "quick"))
    size = fill(world)

    def overtaken(_: Sequence[Entry]) -> None:
        reader.trouble = lambda _: None
        world.clock.forward(seconds=HOLD.total_seconds())
        quick.follow_and_wait()

    reader.trouble = overtaken
    slow.follow_and_wait()
    found = cursor(world.store)
    assert (found.next, found.holder) == (size, "quick")


def test_a_follower_that_fails_or_hangs_delays_no_other(world: World) -> None:
    stuck = threading.Event()
    hanging = Reader(name="hanging", trouble=lambda _: (stuck.wait(20), None)[1])
    failing = Reader(name="failing", trouble=raising(RuntimeError("hunter2 stood in it")))
    reader, size = Reader(), fill(world)
    world.followers = (hanging, failing, reader)
    world.restart()
    world.broker.followers.follow()
    deadline = time.monotonic() + 10
    while len(reader.seen) < size or not any(each.failures for each in world.broker.followers.look()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert hanging.seen == []
    assert lag(world, "failing").error == "a fault of its own: RuntimeError"
    stuck.set()
    world.broker.followers.stop()


def test_no_cursor_runs_back_not_even_by_hand(world: World) -> None:
    fill(world)
    world.follow(Reader())
    with pytest.raises((Refused, sa.exc.DBAPIError)), world.store.begin() as tx:
        tx._connection.execute(sa.update(table).values(next=0))
    before = cursor(world.store)
    with pytest.raises(Conflict), world.store.begin() as tx:
        tx.move_cursor(Cursor(name="reader", next=0, updated_at=tx.now, version=before.version - 1), before)


def test_a_log_that_is_shorter_than_what_was_followed_is_told_aloud(world: World) -> None:
    world.follow(Reader())
    with world.store.begin() as tx:
        tx._connection.execute(sa.update(table).values(next=10_000))
    world.follow()
    assert lag(world).alarming
    told = world.broker.followers.checks()["follower reader"]
    assert told == f"has followed 10000 entries of a log that has {size_of(world)}"


def test_names_are_not_shared(world: World) -> None:
    with pytest.raises(ValueError, match="share a name"):
        Followers(office=world.broker.office, followers=[Reader(), Reader()], me="me")


def test_operators_and_auditors_see_the_lag_and_nobody_else(world: World) -> None:
    world.follow(Reader(trouble=raising(Unfinished("away"))))
    for who in ("olga", "erin"):
        [found] = [each for each in world.broker.followers.lags(world.principal(who)) if each.name == "reader"]
        assert (found.name, found.behind, found.error) == ("reader", size_of(world), "away")
    for who in ("alice", "bob", "frank"):
        with pytest.raises(NotPermitted):
            world.broker.followers.lags(world.principal(who))
    world.clock.forward(seconds=100)
    assert world.broker.followers.checks()["follower reader"].endswith("entries behind for 100 s: away")
