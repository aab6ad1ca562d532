"""Ten thousand leases due in one second at a provider that takes ten milliseconds for each end.

Floors: the same ends at the same provider on as many threads, with nothing decided, looked at or written down; and, for the
processor's time, the same rows written to the same tables by bare SQL. That time depends less on what else the machine does.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks.figures import Figure, Goal, quantile, summary_ms
from benchmarks.stage import broker, now, watch_deaths
from countersign.domain.grant import Grant
from countersign.domain.ids import GRANT, LEASE, RANDOM_BYTES, REQUEST, make_id
from countersign.domain.lease import Lease, LeaseState
from countersign.domain.request import Request, RequestState, Sealed
from countersign.domain.timestamps import spell
from countersign.providers.base import Answer, LeaseRef
from countersign.providers.fake import FakeProvider
from countersign.service.deaths import reference
from countersign.store import Store, rows, schema
from countersign.store.engine import make_engine

END_TAKES_S = 0.01
P99_GOAL, MAX_GOAL = Goal(limit=1.5), Goal(limit=2)
_BATCH, _LEAF_BYTES = 200, 300
_ASK = "UPDATE leases SET state = 'revoking', cause = 'expired', asked_at = ?1, due = ?1 WHERE id = ?2"
_BURY = "UPDATE leases SET state = 'revoked', dead_at = ?1, evidence = 'observed' WHERE id = ?2"
_TARGET = {"id": "memory", "provider": "fake", "kind": "memory", "settings": {}}


class Slow(FakeProvider):
    """The provider in memory, at the distance of a network."""

    def end(self, ref: LeaseRef) -> Answer:
        """Order the end."""
        time.sleep(END_TAKES_S)
        return super().end(ref)


def herd(folder: Path, *, full: bool) -> Iterator[Figure]:
    """Yield the lateness of a herd."""
    count = 10_000 if full else 2_000
    provider = Slow(clock=now)
    with broker(folder, provider, target=_TARGET, name="herd") as bench:
        start = now() + timedelta(seconds=2 + count / 5000)
        leases = [_lease(start + timedelta(seconds=turn / count)) for turn in range(count)]
        provider.target.live.update({lease.id: start + timedelta(days=1) for lease in leases})
        keep(f"sqlite:///{folder / 'herd.db'}", leases)
        time.sleep(max(0.0, (start - now()).total_seconds()))
        began = time.process_time()
        bench.running.metronome.start()
        try:
            ours = watch_deaths(folder / "herd.db", count)
        finally:
            spent = time.process_time() - began
            bench.running.metronome.stop()
    floors = _bare(provider, leases)
    details = {
        "leases": count,
        "late": summary_ms(ours),
        "bare_ends": summary_ms(floors),
        "threads": provider.ends_at_once,
    }
    for name, value, floor, goal in (
        ("late_herd_p99_s", quantile(ours, 0.99), quantile(floors, 0.99), P99_GOAL),
        ("late_herd_max_s", max(ours), max(floors), MAX_GOAL),
    ):
        yield Figure(name=name, value=value, unit="s", floor=floor, ratio=value / floor, goal=goal, details=details)
    spent_us, written_us = (seconds / count * 1e6 for seconds in (spent, _bare_writes(folder / "bare.db", leases)))
    yield Figure(
        name="herd_cpu_us_per_lease",
        value=spent_us,
        unit="µs",
        floor=written_us,
        ratio=spent_us / written_us,
        details={"leases": count, "floor": "two updates and three entries of each, by bare SQL in batches"},
    )


def _bare_writes(path: Path, leases: list[Lease]) -> float:
    """Return the processor's seconds for the rows that the ends of these leases write, and nothing else."""
    store = Store(f"sqlite:///{path}", clock=now)
    store.migrate()
    store.close()
    keep(f"sqlite:///{path}", leases)
    at, leaf = spell(now()), bytes(_LEAF_BYTES)
    size, spent, engine = 0, 0.0, make_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        for first in range(0, len(leases), _BATCH):
            told = [(at, lease.id) for lease in leases[first : first + _BATCH]]
            began = time.process_time()
            for statement, entries in ((_ASK, 1), (_BURY, 2)):
                entered = [
                    (size + turn, at, "fact", "bench", lease_id, leaf, leaf[:32])
                    for turn, (_, lease_id) in enumerate(told * entries)
                ]
                size += len(entered)
                with connection.begin():
                    connection.exec_driver_sql(statement, told)
                    connection.exec_driver_sql("INSERT INTO facts VALUES (?, ?, ?, ?, ?, ?, ?)", entered)
            spent += time.process_time() - began
    engine.dispose()
    return spent


def _lease(end: datetime) -> Lease:
    return Lease(
        id=_id(LEASE),
        grant_id=_id(GRANT),
        request_id=_id(REQUEST),
        person="alice",
        entitlement="direct",
        provider="fake",
        target=_TARGET,
        prepared_at=end - timedelta(minutes=10),
        not_after=end,
        backstop_at=end + timedelta(seconds=30),
        due=end,
        state=LeaseState.ACTIVE,
    )


def _id(prefix: str) -> str:
    return make_id(prefix, secrets.token_bytes(RANDOM_BYTES))


def _grant(lease: Lease) -> Mapping[str, Any]:
    grant = Grant(
        id=lease.grant_id,
        request_id=lease.request_id,
        request_digest="0" * 64,
        person=lease.person,
        entitlement=lease.entitlement,
        target="memory",
        duration=timedelta(minutes=10),
        draws=1,
        draws_used=1,
        opened_at=lease.prepared_at,
        draw_by=lease.prepared_at,
        not_after=lease.not_after,
    )
    return rows.grant_row(grant)


def _request(lease: Lease) -> Mapping[str, Any]:
    request = Request(
        id=lease.request_id,
        person=lease.person,
        principal=lease.person,
        entitlement=lease.entitlement,
        rule_digest="0" * 64,
        parameters={},
        duration=timedelta(minutes=10),
        reason=Sealed(text="a benchmark", salt=bytes(16)),
        ticket=None,
        submitted_at=lease.prepared_at,
        lapses_at=lease.not_after,
        state=RequestState.APPROVED,
    )
    return rows.request_row(request, target="memory")


def keep(url: str, leases: list[Lease]) -> None:
    """Write requests, grants and leases as ten minutes of work would have left them."""
    engine = make_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.insert(schema.requests), [_request(lease) for lease in leases])
        connection.execute(sa.insert(schema.grants), [_grant(lease) for lease in leases])
        connection.execute(sa.insert(schema.leases), [rows.lease_row(lease) for lease in leases])
    engine.dispose()


def _bare(provider: Slow, leases: list[Lease]) -> list[float]:
    start, count = now(), len(leases)
    late: list[float] = []

    def end(turn: int) -> None:
        due = start + timedelta(seconds=turn / count)
        time.sleep(max(0.0, (due - now()).total_seconds()))
        provider.end(reference(leases[turn]))
        late.append((now() - due).total_seconds())

    with ThreadPoolExecutor(provider.ends_at_once) as pool:
        list(pool.map(end, range(count)))
    return late
