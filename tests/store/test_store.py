"""Transactions, time and the log: all or nothing, never backwards, and the head is what the rows give."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from tests.world import Clock, World

from countersign.auditlog.merkle import root_of
from countersign.auditlog.signer import Ed25519Signer
from countersign.domain.broker_facts import BrokerStarted
from countersign.domain.refusals import Conflict, LogUnavailable
from countersign.service.verification import verify_store
from countersign.store import Store, schema


def started(number: int = 0) -> BrokerStarted:
    return BrokerStarted(actor="countersign/test", subject="broker", version=str(number), configuration="none")


def test_a_state_change_and_its_fact_commit_together_or_not_at_all(store: Store) -> None:
    def half_way() -> None:
        with store.begin() as tx:
            tx.disable_person("alice")
            tx.record(started())
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        half_way()
    with store.read() as tx:
        assert tx.head().size == 0
        assert not tx.disabled_persons()


def test_the_head_is_what_the_rows_give(store: Store) -> None:
    for number in range(20):
        with store.begin() as tx:
            tx.record(*(started(number) for _ in range(number % 4)))
    with store.read() as tx:
        head = tx.head()
    assert head.size == sum(number % 4 for number in range(20))
    assert head.root == root_of([entry.leaf_hash or b"" for entry in store.entries()])


def test_many_writers_make_one_log(store: Store) -> None:
    def write() -> None:
        for number in range(10):
            with store.begin() as tx:
                tx.record(started(number), started(number))

    threads = [threading.Thread(target=write) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report = verify_store(store, verifiers=[])
    assert report.ok
    assert report.size == 120


def test_who_was_overtaken_since_he_read_the_head_appends_behind(fresh_database: str, clock: Clock) -> None:
    store = Store(fresh_database, clock=clock, own_clock=True)
    store.migrate()
    with store.begin() as slow:
        with store.begin() as quick:
            quick.record(started(1), started(2))
        assert slow.head().size == 2  # what is counted from the log behind a row's lock must be what is there now
        slow.record(started(3))
    report = verify_store(store, verifiers=[])
    with store.read() as tx:
        told = [fact["leaf"] for fact in tx.facts()]
    store.close()
    assert (report.ok, report.size) == (True, 3)
    assert [b'"version":"%d"' % number in leaf for number, leaf in enumerate(told, 1)] == [True] * 3


def test_time_never_runs_behind_what_was_written(store: Store, clock: Clock) -> None:
    with store.begin() as tx:
        tx.record(started())
        before = tx.now
    clock.forward(hours=-1)
    with store.begin() as tx:
        assert tx.now == before
        assert tx.clock_behind == timedelta(hours=1)
        tx.record(started())
    assert verify_store(store, verifiers=[], checkpoints=[]).ok


def test_postgresql_answers_with_its_own_clock(fresh_database: str, clock: Clock) -> None:
    store = Store(fresh_database, clock=clock)
    store.migrate()
    with store.read() as tx:
        assert abs(tx.now - clock()) > timedelta(seconds=1)
    store.close()


def test_a_reading_transaction_leaves_nothing_behind(store: Store) -> None:
    with store.read() as tx:
        if not store.is_embedded:
            tx.disable_person("alice")
    with store.read() as tx:
        assert not tx.disabled_persons()


def test_whoever_read_an_older_row_is_told_and_changes_nothing(world: World) -> None:
    request = world.ask()
    with world.store.read() as tx:
        stale = tx.request(request.id)
    assert stale is not None
    world.review(request)

    def move() -> None:
        with world.store.begin() as tx:
            tx.record(started())
            tx.move_request(stale, stale)

    with pytest.raises(Conflict):
        move()
    assert not [row for row in world.facts("broker.started") if row["actor"] == "countersign/test"]


def test_migrating_twice_changes_nothing(store: Store) -> None:
    with store.begin() as tx:
        tx.record(started())
    store.migrate()
    with store.read() as tx:
        assert tx.head().size == 1


def test_the_migrated_schema_is_the_one_that_the_code_speaks_of(store: Store) -> None:
    found = sa.inspect(store._engine)
    for table in schema.metadata.sorted_tables:
        columns = {column["name"]: column["nullable"] for column in found.get_columns(table.name)}
        assert columns == {column.name: column.nullable for column in table.columns}, table.name


def test_the_schema_that_is_called_the_newest_is_the_newest_step() -> None:
    folder = Path(str(schema.__file__)).parent / "migrations"
    assert ScriptDirectory(str(folder)).get_current_head() == schema.REVISION


def test_a_schema_of_another_step_is_brought_up_and_not_taken_for_the_newest(store: Store) -> None:
    with store._engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0000'"))
    with pytest.raises(CommandError, match="0000"):
        store.migrate()


def test_a_database_that_is_away_is_one_clear_refusal(clock: Clock) -> None:
    store = Store("postgresql://nobody:nothing@127.0.0.1:1/none", clock=clock)
    with pytest.raises(LogUnavailable), store.begin():
        pass
    with pytest.raises(LogUnavailable):
        store.migrate()


def test_a_database_that_cannot_be_written_is_one_clear_refusal(tmp_path: Path, clock: Clock) -> None:
    store = Store(f"sqlite:///{tmp_path / 'ro.db'}", clock=clock)
    store.migrate()
    with store.begin() as tx:
        tx._connection.exec_driver_sql("PRAGMA query_only = ON")
        tx.record(started())
        with pytest.raises(LogUnavailable), store._faults():
            tx.flush()
        tx._connection.exec_driver_sql("PRAGMA query_only = OFF")


def test_other_databases_are_refused(clock: Clock) -> None:
    with pytest.raises(ValueError, match="sqlite or postgresql"):
        Store("mysql://localhost/x", clock=clock)


def test_a_checkpoint_contradicts_no_other(world: World) -> None:
    world.ask()
    note = world.issuing.checkpoints.sign()
    assert note is not None
    assert world.issuing.checkpoints.sign() == note
    world.ask()
    assert world.issuing.checkpoints.sign() != note
    signer = world.issuing.checkpoints.signer
    assert isinstance(signer, Ed25519Signer)
    assert verify_store(world.store, verifiers=[signer.verifier()], checkpoints=[note]).ok


def test_a_row_edited_into_another_type_is_named_all_the_same(tmp_path: Path, clock: Clock) -> None:
    store = Store(f"sqlite:///{tmp_path / 'edited.db'}", clock=clock)
    store.migrate()
    for number in range(3):
        with store.begin() as tx:
            tx.record(started(number))
    with store.begin() as tx:
        tx._connection.exec_driver_sql("DROP TRIGGER facts_UPDATE_refused")
        tx._connection.exec_driver_sql("UPDATE facts SET leaf = replace(leaf, 'none', 'some') WHERE \"index\" = 1")
    first = verify_store(store, verifiers=[]).failures[0]
    assert (first.index, first.code) == (1, "leaf-hash")
    with store.read() as tx:
        assert b"some" in tx.facts(limit=3)[1]["leaf"]
    store.close()


def test_an_edited_row_is_named_and_a_log_cut_short_is_seen(world: World) -> None:
    world.granted()
    signer = world.issuing.checkpoints.signer
    assert isinstance(signer, Ed25519Signer)
    world.issuing.checkpoints.sign()
    with world.store.begin() as tx:
        suffix = [""] if world.store.is_embedded else [" ON facts"]
        names = ["facts_UPDATE_refused", "facts_DELETE_refused"] if world.store.is_embedded else ["facts_refused"]
        for name in names:
            tx._connection.execute(sa.text(f"DROP TRIGGER {name}{suffix[0]}"))
        edit = schema.facts.update().where(schema.facts.c.index == 2).values(leaf=b'{"forged":true}')
        tx._connection.execute(edit)
    report = verify_store(world.store, verifiers=[signer.verifier()])
    assert {(failure.index, failure.code) for failure in report.failures} >= {(2, "leaf-hash")}
    with world.store.begin() as tx:
        tx._connection.execute(schema.facts.delete().where(schema.facts.c.index == 3))
    codes = {failure.code for failure in verify_store(world.store, verifiers=[signer.verifier()]).failures}
    assert codes & {"truncated", "index-gap"}


def test_leases_are_moved_together_or_not_at_all(world: World) -> None:
    first, second = (world.draw(world.granted(who), who).lease for who in ("alice", "dave"))
    later = world.clock.at + timedelta(hours=1)
    with world.store.begin() as tx:
        tx.move_leases([(first, first.claimed(later)), (second, second.claimed(later))])
    with world.store.read() as tx:
        assert [tx.lease(lease.id) for lease in (first, second)] == [first.claimed(later), second.claimed(later)]
    moved, stale = first.claimed(later), second
    with pytest.raises(Conflict), world.store.begin() as tx:
        tx.move_leases([(moved, moved.claimed(world.clock.at)), (stale, stale.claimed(world.clock.at))])
    with world.store.read() as tx:
        assert tx.lease(first.id) == moved


def test_writers_take_turns_so_that_none_of_many_waits_long(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'countersign.db'}", clock=Clock())
    store.migrate()
    waited: list[float] = []

    def write(number: int) -> None:
        began = time.monotonic()
        with store.begin() as tx:
            tx.record(started(number))
            time.sleep(0.005)
        waited.append(time.monotonic() - began)

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(write, range(160)))
    assert max(waited) < 5.0
    with store.read() as tx:
        assert tx.head().size == 160
    store.close()
