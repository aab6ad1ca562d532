"""What recording costs on both databases: a fact's share of a state change's transaction, and how many a second there can be.

Floors: for the share, the same transaction with nothing recorded, so without a leaf, without the tree's new head and without
their pages; for the ceiling, bare commits of the same database by as many writers, each to a row of its own.
"""

from __future__ import annotations

import os
import secrets
import statistics
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import sqlalchemy as sa

from benchmarks.databases import both
from benchmarks.figures import Figure, Goal, shown, summary_ms
from benchmarks.growing import grow
from benchmarks.herd import keep
from benchmarks.stage import now
from countersign.domain.ids import GRANT, LEASE, RANDOM_BYTES, REQUEST, make_id
from countersign.domain.lease import Lease
from countersign.domain.lease_facts import LeaseEndAsked
from countersign.store import Store
from countersign.store.engine import make_engine

SHARE_GOAL = Goal(limit=0.2)
WRITERS = (1, 2, 4)
SHORT = 1_000
TOGETHER = 100
"""Facts in one transaction, as the sweep's outcomes are."""
_READY_AFTER_S = 1.5
_TARGET = {"id": "memory", "provider": "fake", "kind": "memory", "settings": {}}


def record(folder: Path, *, full: bool) -> Iterator[Figure]:
    """Yield what recording takes of a transaction, in a short log and in a long one."""
    with both(folder, "record") as urls:
        for database, url in urls.items():
            [lease] = _leases(url, 1)
            store = Store(url, clock=now)
            for size in (SHORT, 1_000_000 if full else 200_000):
                grow(url, size)
                yield _share(store, lease, database, size, rounds=400 if full else 150)
            store.close()


def ceiling(folder: Path, *, full: bool) -> Iterator[Figure]:
    """Yield how many state changes with a fact each a database takes in a second.

    SQLite has one process, so its writers are threads of it; PostgreSQL's are brokers, each a process of its own.
    """
    seconds = 5.0 if full else 2.0
    with both(folder, "ceiling") as urls:
        for database, url in urls.items():
            leases = [lease.id for lease in _leases(url, max(WRITERS))]
            _prepare_bare(url)
            for writers in WRITERS:
                yield _ceiling(database, url, leases[:writers], seconds)


def _leases(url: str, count: int) -> list[Lease]:
    """Keep leases that can be moved to and fro."""
    end = now() + timedelta(days=1)
    made = [
        Lease(
            id=_id(LEASE),
            grant_id=_id(GRANT),
            request_id=_id(REQUEST),
            person="alice",
            entitlement="direct",
            provider="fake",
            target=_TARGET,
            prepared_at=now(),
            not_after=end,
            backstop_at=end,
            due=end,
        )
        for _ in range(count)
    ]
    keep(url, made)
    return made


def _id(prefix: str) -> str:
    return make_id(prefix, secrets.token_bytes(RANDOM_BYTES))


def _read(store: Store, lease_id: str) -> Lease:
    with store.read() as tx:
        lease = tx.lease(lease_id)
    assert lease is not None
    return lease


def _fact(lease_id: str) -> LeaseEndAsked:
    return LeaseEndAsked(actor="alice", subject=lease_id, cause="returned", not_after=now(), draw_given_back=False)


def _share(store: Store, lease: Lease, database: str, size: int, *, rounds: int) -> Figure:
    """Move a lease to and fro, in turn with its fact and without."""
    fact, lease = _fact(lease.id), _read(store, lease.id)
    taken: dict[bool, list[float]] = {True: [], False: []}
    spent = {True: 0.0, False: 0.0}
    for turn in range(2 * rounds):
        is_recorded = bool(turn % 2)
        moved = lease.claimed(now() + timedelta(days=1))
        cpu, began = time.process_time(), time.perf_counter()
        with store.begin() as tx:
            tx.move_lease(lease, moved)
            if is_recorded:
                tx.record(fact)
        taken[is_recorded].append(time.perf_counter() - began)
        spent[is_recorded] += time.process_time() - cpu
        lease = moved
    with_fact, without = statistics.median(taken[True]), statistics.median(taken[False])
    share = max(0.0, (with_fact - without) / with_fact)
    named = "record_share" if database == "sqlite" else f"record_share_{database}"
    return Figure(
        name=named if size <= SHORT else f"{named}_{size}",
        value=share,
        unit="share",
        floor=without * 1000,
        floor_unit="ms",
        ratio=with_fact / without,
        goal=SHARE_GOAL,
        details={
            "entries": size,
            "with_fact": summary_ms(taken[True]),
            "without": summary_ms(taken[False]),
            "our_cpu_us": {
                "with_fact": shown(spent[True] / rounds * 1e6),
                "without": shown(spent[False] / rounds * 1e6),
            },
        },
    )


def _ceiling(database: str, url: str, leases: list[str], seconds: float) -> Figure:
    with _writers(database, len(leases)) as pool:
        _gather(pool, len(leases))

        def rate(do: Callable[..., int], what: Iterable[object], *more: int) -> float:
            start = time.time() + _READY_AFTER_S
            return sum(pool.map(partial(do, url, start, seconds, *more), what)) / seconds

        facts, together = rate(_change, leases, 1), rate(_change, leases, TOGETHER)
        bare, one_row = rate(_commit, range(len(leases))), rate(_commit, [0] * len(leases))
    return Figure(
        name=f"facts_per_s_{database}_{len(leases)}",
        value=facts,
        unit="facts/s",
        floor=bare,
        floor_unit="commits/s",
        ratio=facts / bare,
        details={
            "writers": len(leases),
            "each_with_a_state_change": True,
            f"facts_per_s_in_transactions_of_{TOGETHER}": shown(together),
            "bare_commits_per_s_to_one_row": shown(one_row),
        },
    )


def _writers(database: str, count: int) -> Executor:
    if database == "sqlite":
        return ThreadPoolExecutor(count)
    return ProcessPoolExecutor(count, mp_context=get_context("spawn"))


def _gather(pool: Executor, count: int) -> None:
    """Wait until so many writers are there."""
    there: set[tuple[int, int]] = set()
    while len(there) < count:
        there |= set(pool.map(_here, range(count)))


def _here(number: int) -> tuple[int, int]:
    del number
    time.sleep(0.1)
    return os.getpid(), threading.get_ident()


def _until(start: float, seconds: float, do: Callable[[], int]) -> int:
    """Do something again and again, all writers at once, and return what came of it within the time."""
    assert time.time() < start, "the writers were not ready in time"
    time.sleep(max(0.0, start - time.time()))
    done = 0
    while time.time() < start + seconds:
        done += do()
    return done


def _change(url: str, start: float, seconds: float, facts: int, lease_id: str) -> int:
    store = Store(url, clock=now)
    lease, fact = _read(store, lease_id), _fact(lease_id)

    def change() -> int:
        nonlocal lease
        moved = lease.claimed(now() + timedelta(days=1))
        with store.begin() as tx:
            tx.move_lease(lease, moved)
            tx.record(*[fact] * facts)
        lease = moved
        return facts

    done = _until(start, seconds, change)
    store.close()
    return done


def _prepare_bare(url: str) -> None:
    engine = make_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE bare (id INTEGER PRIMARY KEY, n INTEGER NOT NULL)")
        for number in range(max(WRITERS)):
            connection.execute(sa.text("INSERT INTO bare VALUES (:id, 0)"), {"id": number})
    engine.dispose()


def _commit(url: str, start: float, seconds: float, number: int) -> int:
    engine = make_engine(url)
    with engine.connect() as connection:
        change = sa.text("UPDATE bare SET n = n + 1 WHERE id = :id").bindparams(id=number)

        def commit() -> int:
            with connection.begin():
                connection.execute(change)
            return 1

        done = _until(start, seconds, commit)
    engine.dispose()
    return done
