"""What the issuing half remembers of the log: a database that was set back, or a grant that was widened, gives nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa
from tests.world import World

from countersign.auditlog.merkle import Frontier, leaf_hash
from countersign.domain.lease import Cause
from countersign.domain.refusals import ApprovalVoid, DrawsExhausted, LogRewound, LogUnavailable, WindowOver
from countersign.service.endings import end_asked, end_lease
from countersign.service.memory import LogMemory
from countersign.store import Store, Tx, schema


def unguarded(tx: Tx, world: World, *verbs: str) -> None:
    for verb in verbs if world.store.is_embedded else ("",):
        drop = (
            f"DROP TRIGGER IF EXISTS facts_{verb}_refused" if verb else "DROP TRIGGER IF EXISTS facts_refused ON facts"
        )
        tx._connection.exec_driver_sql(drop)


def set_head(tx: Tx, leaves: list[bytes]) -> None:
    grown = Frontier().extend([leaf_hash(leaf) for leaf in leaves])
    moved = {"size": grown.size, "root": grown.root(), "frontier": grown.encode()}
    tx._connection.execute(sa.update(schema.log_head).values(**moved))


def leaves(world: World) -> list[bytes]:
    return [bytes(entry.leaf) for entry in world.store.entries()]


def cut(world: World, size: int) -> None:
    """Take entries off the end of the log, and set its head back to fit."""
    kept = leaves(world)[:size]
    with world.store.begin() as tx:
        unguarded(tx, world, "DELETE")
        tx._connection.execute(sa.delete(schema.openings).where(schema.openings.c.index >= size))
        tx._connection.execute(sa.delete(schema.facts).where(schema.facts.c.index >= size))
        set_head(tx, kept)


def rewrite(world: World, index: int) -> None:
    """Change one entry, and every hash that follows from it."""
    changed = leaves(world)
    changed[index] = changed[index].replace(b"alice", b"alicf", 1)
    with world.store.begin() as tx:
        unguarded(tx, world, "UPDATE")
        values = {"leaf": changed[index], "leaf_hash": leaf_hash(changed[index])}
        tx._connection.execute(sa.update(schema.facts).where(schema.facts.c.index == index).values(**values))
        set_head(tx, changed)


def look(memory: LogMemory, world: World) -> None:
    with world.store.read() as tx:
        memory.demand_growth(tx)
    memory.keep()


def set_back(world: World, grant: str, **columns: Any) -> None:  # noqa: ANN401 - columns of all kinds
    with world.store.begin() as tx:
        tx._connection.execute(sa.update(schema.grants).where(schema.grants.c.id == grant).values(**columns))


def test_a_log_that_was_cut_stops_issuing_and_not_ending(world: World) -> None:
    drawn = world.draw(world.granted())
    grant = world.granted("dave")
    look(world.issuing.issuer.memory, world)
    cut(world, len(leaves(world)) - 1)
    with pytest.raises(LogRewound, match="entries, and had"):
        world.draw(grant, "dave")
    world.clock.forward(seconds=90)
    world.sweep()
    assert not world.provider.works(drawn.lease.id)


def test_a_log_with_another_past_stops_issuing_also_after_a_restart(world: World, tmp_path: Path) -> None:
    memory = LogMemory(path=tmp_path / "memory.json")
    world.draw(world.granted())
    look(memory, world)
    rewrite(world, next(row["index"] for row in world.facts("request.submitted")))
    world.ask("dave")
    with pytest.raises(LogRewound, match="not the one that was seen growing"):
        look(LogMemory(path=tmp_path / "memory.json"), world)
    assert (tmp_path / "memory.json").stat().st_mode & 0o077 == 0


def test_a_log_that_only_grew_goes_on(world: World, tmp_path: Path) -> None:
    for _ in range(3):
        look(LogMemory(path=tmp_path / "memory.json"), world)
        world.draw(world.granted())
        world.clock.forward(hours=4)


@pytest.mark.parametrize("change", [{"draws": 50}, {"duration_s": 86_400}, {"draw_by": timedelta(days=300)}])
def test_a_grant_widened_in_the_database_gives_nothing(world: World, change: dict[str, Any]) -> None:
    grant = world.granted()
    values = {name: world.clock() + value if isinstance(value, timedelta) else value for name, value in change.items()}
    with world.store.begin() as tx:
        tx._connection.execute(sa.update(schema.grants).where(schema.grants.c.id == grant).values(**values))
    with pytest.raises(ApprovalVoid, match="something else"):
        world.draw(grant)
    assert not world.provider.target.reserved


def test_a_disablement_that_is_hidden_in_the_database_still_holds(world: World) -> None:
    grant = world.granted()
    look(world.issuing.issuer.memory, world)
    world.broker.control.disable(world.principal("olga"), "bob", reason="left")
    look(world.issuing.issuer.memory, world)
    with world.store.begin() as tx:
        tx._connection.execute(sa.delete(schema.disabled))
    with pytest.raises(ApprovalVoid):
        world.draw(grant)


def test_draws_that_are_set_back_in_the_database_are_counted_all_the_same(world: World) -> None:
    grant = world.granted()
    world.draw(grant)
    set_back(world, grant, draws_used=0, not_after=None)
    with pytest.raises(DrawsExhausted):
        world.draw(grant)


def test_an_end_that_is_moved_in_the_database_is_the_logs_all_the_same(world: World) -> None:
    grant = world.granted(what="orders-db-thrice")
    first = world.draw(grant).lease
    world.clock.forward(seconds=30)
    set_back(world, grant, not_after=None)
    assert world.draw(grant).lease.not_after == first.not_after
    world.clock.forward(seconds=31)
    later = world.clock() + timedelta(minutes=1)
    set_back(world, grant, not_after=later, due=later)
    with pytest.raises(WindowOver):
        world.draw(grant)


def test_a_grant_that_is_opened_again_later_or_anew_in_the_database_gives_nothing(world: World) -> None:
    late, closed = world.granted(), world.granted()
    world.broker.control.give_back(world.principal("alice"), closed)
    world.clock.forward(minutes=6)
    moved = {"opened_at": world.clock(), "draw_by": world.clock() + timedelta(minutes=5)}
    set_back(world, late, **moved)
    with pytest.raises(ApprovalVoid, match="not an open grant of the log"):
        world.draw(late)
    set_back(world, closed, state="open", **moved)
    with pytest.raises(ApprovalVoid, match="not an open grant of the log"):
        world.draw(closed)
    assert not world.provider.target.reserved


def test_a_draw_that_was_given_back_is_there_again_and_its_clock_with_it(world: World) -> None:
    grant = world.granted()
    first = world.draw(grant).lease
    world.issuing.issuer.undelivered(first.id)
    world.clock.forward(seconds=5)
    assert world.draw(grant).lease.not_after == first.not_after + timedelta(seconds=5)
    with pytest.raises(DrawsExhausted):
        world.draw(grant)


def test_of_a_lease_that_ended_nobody_gives_the_draw_back_later(world: World) -> None:
    grant = world.granted(what="orders-db-thrice")
    leases = [world.draw(grant).lease for _ in range(3)]
    with world.store.begin() as tx:
        end_lease(tx, leases[0], cause=Cause.IDLE, actor="broker/idling")
        tx.record(end_asked(leases[0], cause=Cause.UNDELIVERED, actor="broker/delivery", give_back=True))
    with pytest.raises(DrawsExhausted):
        world.draw(grant)


def test_draws_are_remembered_over_a_restart_whatever_the_columns_say(world: World, tmp_path: Path) -> None:
    issuer = replace(world.issuing.issuer, memory=LogMemory(path=tmp_path / "memory.json"))
    grant, principal = world.granted(), world.principal("alice")
    issuer.draw(principal, grant)
    reborn = replace(issuer, memory=LogMemory(path=tmp_path / "memory.json"))
    cut(world, len(leaves(world)) - 2)  # the lease's handle and its outcome; its intent is remembered
    set_back(world, grant, draws_used=0, not_after=None)
    with pytest.raises(DrawsExhausted):
        reborn.draw(principal, grant)
    cut(world, len(leaves(world)) - 2)  # the refusal that was just recorded, and the intent
    with pytest.raises(LogRewound):
        replace(issuer, memory=LogMemory(path=tmp_path / "memory.json")).draw(principal, grant)


def test_what_open_grants_need_is_read_again_and_nothing_before_it(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("countersign.service.memory.READ_AT_ONCE", 4)
    path = tmp_path / "memory.json"
    for _ in range(3):
        grant = world.granted()
        world.draw(grant)
        world.broker.control.give_back(world.principal("alice"), grant)
        world.sweep()
        look(LogMemory(path=path), world)
    kept = world.granted("dave")
    opened = next(row["index"] for row in world.facts("grant.opened") if row["subject"] == kept)
    for _ in range(5):
        world.ask("alice", what="orders-db-thrice")
    look(LogMemory(path=path), world)
    anchor = Frontier.decode(bytes.fromhex(json.loads(path.read_text())["anchor"]))
    assert opened - 8 < anchor.size <= opened, "not from the beginning"
    issuer = replace(world.issuing.issuer, memory=LogMemory(path=path))
    assert issuer.draw(world.principal("dave"), kept).lease.grant_id == kept


def test_without_a_place_to_remember_in_nothing_is_issued(world: World, tmp_path: Path) -> None:
    issuer = replace(world.issuing.issuer, memory=LogMemory(path=tmp_path / "gone" / "memory.json"))
    grant = world.granted()
    with pytest.raises(LogUnavailable):
        issuer.draw(world.principal("alice"), grant)
    assert not world.provider.target.issued
    assert world.draw(grant), "the draw was given back"


def test_two_who_wake_it_at_once_do_not_take_the_older_view_for_a_log_that_was_cut(world: World) -> None:
    memory, opened, go_on = LogMemory(), threading.Event(), threading.Event()

    class Slow:
        """The store, whose first view is old by the time it is looked at."""

        @contextmanager
        def read(self) -> Iterator[Tx]:
            with world.store.read() as tx:
                tx.head()
                opened.set()
                go_on.wait(5)
                yield tx

    world.ask()
    with ThreadPoolExecutor(1) as other:
        first = other.submit(memory.wake, cast("Store", Slow()))
        opened.wait(5)
        threading.Timer(0.1, go_on.set).start()
        memory.wake(world.store)
        world.ask("dave")
        look(memory, world)
        go_on.set()
        first.result()
