"""How long an end takes until it was seen, on real servers: one asked for by a return, and many due in one second.

Floors: a bare `revoke-accessor` sent to OpenBao until the role is gone at the target; and OpenBao's own expiry of as many
leases that end in the same second, with nothing of ours at work.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from tests.servers import Stack

from benchmarks.figures import Figure, Goal, quantile, summary_ms
from benchmarks.stage import (
    Bench,
    Direct,
    in_parallel,
    now,
    real_broker,
    reschedule,
    roles_at,
    until_no_roles,
    watch_deaths,
)
from countersign.domain.lease import LeaseState

THREADS = 16
LATE_GOAL, LATE_RATIO_GOAL = Goal(limit=10), Goal(limit=0.5)
_LOOK_EVERY_S = 0.002


def asked(folder: Path, stack: Stack, *, full: bool) -> Iterator[Figure]:
    """Yield the time from a return until the certificate of death is committed."""
    ours, floors = [], []
    with real_broker(folder, stack, "asked") as bench:
        alice, broker, direct = bench.principal("alice"), bench.running.broker, Direct(stack=stack)
        bench.running.metronome.start()
        try:
            for grant in bench.granted(200 if full else 40, what="direct"):
                lease = bench.running.issuing.issuer.draw(alice, grant).lease
                began = time.perf_counter()
                broker.control.give_back(alice, grant)
                until_dead(bench, lease.id)
                ours.append(time.perf_counter() - began)
                accessor = direct.draw(wrapped=False).accessor
                began = time.perf_counter()
                direct.revoke(accessor)
                with stack.owner() as owner:
                    while owner.execute(r"SELECT 1 FROM pg_roles WHERE rolname LIKE 'lse\_%'").fetchone():
                        time.sleep(_LOOK_EVERY_S)
                floors.append(time.perf_counter() - began)
        finally:
            bench.running.metronome.stop()
    for name, share in (("asked_to_seen_dead_p50_ms", 0.5), ("asked_to_seen_dead_p99_ms", 0.99)):
        value, floor = quantile(ours, share) * 1000, quantile(floors, share) * 1000
        yield Figure(
            name=name,
            value=value,
            unit="ms",
            floor=floor,
            ratio=value / floor,
            details={"return": summary_ms(ours), "bare_revoke_until_role_is_gone": summary_ms(floors)},
        )


def until_dead(bench: Bench, lease_id: str) -> None:
    """Wait until a lease was seen dead and its certificate is committed."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with bench.store.read() as tx:
            lease = tx.lease(lease_id)
        if lease is not None and lease.state is LeaseState.REVOKED:
            return
        time.sleep(_LOOK_EVERY_S)
    raise AssertionError(f"{lease_id} was not seen dead")


def late(folder: Path, stack: Stack, *, full: bool) -> Iterator[Figure]:
    """Yield how late leases that are due in one second are seen dead, beside OpenBao's own expiry of as many."""
    count = 2000 if full else 200
    floors = _late_by_themselves(stack, count)
    until_no_roles(stack)
    ours = _late_with_us(folder, stack, count)
    until_no_roles(stack)
    p99, floor = quantile(ours, 0.99), quantile(floors, 0.99)
    details = {
        "leases": count,
        "seen_dead_late": summary_ms(ours),
        "openbao_alone": summary_ms(floors),
    }
    yield Figure(
        name="late_p99_s", value=p99, unit="s", floor=floor, ratio=p99 / floor, goal=LATE_GOAL, details=details
    )
    yield Figure(name="late_max_s", value=max(ours), unit="s", floor=max(floors), ratio=max(ours) / max(floors))
    yield Figure(
        name="late_p99_ratio",
        value=p99 / floor,
        unit="ratio",
        floor=floor,
        floor_unit="s",
        ratio=p99 / floor,
        goal=LATE_RATIO_GOAL,
    )


def _late_by_themselves(stack: Stack, count: int) -> list[float]:
    """Let OpenBao's own expiry end leases that are all due within one second, and watch the target."""
    direct = Direct(stack=stack)
    end = now() + timedelta(seconds=10 + count / 20)
    due: dict[str, datetime] = {}

    def draw(_: int) -> None:
        ttl_s = int((end - now()).total_seconds())
        made_at, name = now(), direct.draw(wrapped=False, ttl_s=ttl_s).name
        due[name] = made_at + timedelta(seconds=ttl_s)

    in_parallel(THREADS, draw, range(count))
    assert now() < end - timedelta(seconds=1), "OpenBao was too slow to make so many before they are due"
    late, left = [], set(due)
    while left:
        here = roles_at(stack)
        seen = now()
        late += [max(0.0, (seen - due[name]).total_seconds()) for name in left - here]
        left &= here
        time.sleep(0.02)
    return late


def _late_with_us(folder: Path, stack: Stack, count: int) -> list[float]:
    """Draw so many, move their ends into one second, and let the sweep at them."""
    with real_broker(folder, stack, "late") as bench:
        alice, issuer = bench.principal("alice"), bench.running.issuing.issuer
        leases = in_parallel(
            THREADS, lambda g: issuer.draw(alice, g).lease, bench.granted(count, what="direct", seconds=240)
        )
        start = now() + timedelta(seconds=3)
        reschedule(folder / "late.db", leases, start=start)
        bench.running.metronome.start()
        try:
            return watch_deaths(folder / "late.db", count)
        finally:
            bench.running.metronome.stop()
