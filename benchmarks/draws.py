"""What a draw costs over the OpenBao calls that any credential costs, one at a time and sixteen at once.

Floor, sent directly over one keep-alive connection per thread: mint a child token response-wrapped (`auth/token/create`), unwrap
it (`sys/wrapping/unwrap`), read `database/creds/…` (wrapped or not, as the delivery says). Candidate: `Issuer.draw` over SQLite
on disk with the same servers, which judges, commits three times, makes the same three calls and aligns the role at the target.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from tests.servers import Stack

from benchmarks.figures import Figure, Goal, shown, summary_ms
from benchmarks.stage import Bench, Direct, TimedVault, in_parallel, real_broker, until_no_roles
from countersign.domain.lease import Lease
from countersign.providers.target.client import PostgresTarget

P50_GOAL, THROUGHPUT_GOAL = Goal(limit=1.5), Goal(limit=0.7, at_least=True)
THREADS = 16


def latency(folder: Path, stack: Stack, *, full: bool) -> Iterator[Figure]:
    """Yield the draw's median over the floor's, wrapped and direct, and what each millisecond buys."""
    rounds, each = (5, 60) if full else (3, 16)
    with real_broker(folder, stack, "latency") as bench:
        for what in ("wrapped", "direct"):
            ratios, ours, floors, parts = [], [], [], []
            for _ in range(rounds):
                candidate, floor, told = _pairs(bench, Direct(stack=stack), stack, what, each)
                ratios.append(statistics.median(candidate) / statistics.median(floor))
                ours += candidate
                floors += floor
                parts += told
                until_no_roles(stack)
            yield Figure(
                name="draw_p50_ratio" if what == "wrapped" else "draw_p50_ratio_direct",
                value=statistics.median(ratios),
                unit="ratio",
                floor=statistics.median(floors) * 1000,
                floor_unit="ms",
                ratio=statistics.median(ratios),
                goal=P50_GOAL,
                details={
                    "draw": summary_ms(ours),
                    "floor": summary_ms(floors),
                    "ratios_of_rounds": [shown(ratio) for ratio in ratios],
                    "what_each_millisecond_buys": {
                        key: shown(statistics.median(part[key] for part in parts) * 1000) for key in parts[0]
                    },
                },
            )


def _pairs(
    bench: Bench, direct: Direct, stack: Stack, what: str, count: int
) -> tuple[list[float], list[float], list[dict[str, float]]]:
    ours: list[float] = []
    floors: list[float] = []
    parts: list[dict[str, float]] = []
    leases: list[Lease] = []
    accessors: list[str] = []
    alice, target = bench.principal("alice"), PostgresTarget(stack.vault.target_dsn)
    for turn, grant in enumerate(bench.granted(count, what=what)):
        for is_floor in (True, False) if turn % 2 else (False, True):
            began = time.perf_counter()
            if is_floor:
                accessors.append(direct.draw(wrapped=what == "wrapped").accessor)
                floors.append(time.perf_counter() - began)
                continue
            bench.store.taken().clear()
            leases.append(bench.running.issuing.issuer.draw(alice, grant).lease)
            took = time.perf_counter() - began
            ours.append(took)
            align_began = time.perf_counter()
            target.align(leases[-1].id, leases[-1].not_after - timedelta(seconds=1))
            parts.append(_parts(bench, direct, took, time.perf_counter() - align_began))
    target.close_connections()
    bench.end(leases)
    in_parallel(THREADS, direct.revoke, accessors)
    return ours, floors, parts


def _parts(bench: Bench, direct: Direct, took: float, align: float) -> dict[str, float]:
    """Say where one draw's time went; `align` was measured on the same role right after."""
    intent, handle, outcome = bench.store.taken()
    reserve, issue = TimedVault.spans.reserve, TimedVault.spans.issue
    mint, unwrap, read = direct.seconds[-1] if direct.seconds else (0.0, 0.0, 0.0)
    return {
        "intent: judged again, committed with its fact": intent,
        "reserve: child token minted wrapped, unwrapped, compared": reserve,
        "handle: committed with its fact": handle,
        "read: credentials at OpenBao": issue - align,
        "align: the last second set and the role compared, at the target": align,
        "outcome: committed with its fact": outcome,
        "rest": took - intent - reserve - handle - issue - outcome,
        "(floor) mint": mint,
        "(floor) unwrap": unwrap,
        "(floor) read": read,
    }


def throughput(folder: Path, stack: Stack, *, full: bool) -> Iterator[Figure]:
    """Yield how many draws a second sixteen threads get, over what they get from OpenBao directly."""
    rounds, each = (5, 320) if full else (3, 96)
    ratios, rates, floors = [], [], []
    with real_broker(folder, stack, "throughput") as bench:
        alice, direct, issuer = bench.principal("alice"), Direct(stack=stack), bench.running.issuing.issuer
        for turn in range(rounds):
            grants = bench.granted(each, what="wrapped")
            for is_floor in (True, False) if turn % 2 else (False, True):
                began = time.perf_counter()
                if is_floor:
                    accessors = in_parallel(THREADS, lambda _: direct.draw(wrapped=True).accessor, grants)
                    floors.append(each / (time.perf_counter() - began))
                    in_parallel(THREADS, direct.revoke, accessors)
                else:
                    leases = in_parallel(THREADS, lambda grant: issuer.draw(alice, grant).lease, grants)
                    rates.append(each / (time.perf_counter() - began))
                    bench.end(leases)
                until_no_roles(stack)
            ratios.append(rates[-1] / floors[-1])
    yield Figure(
        name="draw_throughput_ratio_16",
        value=statistics.median(ratios),
        unit="ratio",
        floor=statistics.median(floors),
        floor_unit="draws/s",
        ratio=statistics.median(ratios),
        goal=THROUGHPUT_GOAL,
        details={
            "draws_per_s": [shown(rate) for rate in rates],
            "floor_per_s": [shown(rate) for rate in floors],
            "threads": THREADS,
        },
    )
