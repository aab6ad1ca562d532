"""What it costs to know who is calling: an access token's check, and an ID token's at a sign-in.

Candidate: `Gate.admit` over SQLite on disk, with people whose groups an issuer asserts, so that everything is judged that can be.
Floor: the transaction and the rules that every call reads anyway. The figure is what the check adds.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.api.signing import Desk, Device, signing_desk

from benchmarks.figures import Figure, Goal, summary_ms
from countersign.domain.device import nonce_for
from countersign.identity import TokenKind, verify

TOKEN_GOAL, SIGN_IN_GOAL = Goal(limit=5), Goal(limit=5)


def signin(folder: Path, *, full: bool) -> Iterator[Figure]:
    """Yield what a token's check adds to a call, and what an ID token's check takes, at the median."""
    rounds = 2000 if full else 400
    terms: dict[str, Any] = {"groups_claim": "groups", "groups": {"engineers": ["eng"], "orders-owners": ["leads"]}}
    (folder / "signin").mkdir()
    with signing_desk(folder / "signin", **terms) as desk:
        told = [desk.tokens(who, groups=["eng", "leads"]) for who in ("alice", "bob", "carol", "dave")]
        gate, token = desk.world.broker.gate, str(told[0]["access_token"])
        checks, floors = _timed(lambda: gate.admit(token), rounds), _timed(lambda: _floor(desk), rounds)
        yield Figure(
            name="token_check_p50_ms",
            value=(statistics.median(checks) - statistics.median(floors)) * 1000,
            unit="ms",
            floor=statistics.median(floors) * 1000,
            floor_unit="ms",
            goal=TOKEN_GOAL,
            details={"check": summary_ms(checks), "floor": summary_ms(floors)},
        )
        verified = _timed(_verification(desk), rounds // 4)
        yield Figure(
            name="id_token_check_p50_ms",
            value=statistics.median(verified) * 1000,
            unit="ms",
            goal=SIGN_IN_GOAL,
            details={"check": summary_ms(verified)},
        )


def _floor(desk: Desk) -> None:
    with desk.world.store.read() as tx:
        _ = desk.world.broker.office.rules.current(tx).roster


def _verification(desk: Desk) -> Callable[[], object]:
    broker, device = desk.world.broker, Device()
    with desk.world.store.read() as tx:
        provider, now = broker.sign_in.identities.provider(broker.office.rules.current(tx), "corp"), tx.now
    token, nonce = desk.id_token(device, groups=["eng"]), nonce_for(key=device.public, random=device.random)
    audience = str(provider.issuer.cli_audience)
    return lambda: verify(token, provider=provider, kind=TokenKind.IDENTITY, audience=audience, now=now, nonce=nonce)


def _timed(do: Callable[[], object], rounds: int) -> list[float]:
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        do()
        taken.append(time.perf_counter() - began)
    return taken
