"""Runs the campaign: `python -m campaign [--kills N] [--seed S]`; writes campaign-report.json, exits 1 on a broken promise."""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from campaign.faults import FAULTS, OFTEN
from campaign.load import Tally, Worker
from campaign.watch import Watch
from countersign.bootstrap.clock import now
from countersign.bootstrap.logkey import log_signer
from countersign.domain.lease import LeaseState
from countersign.domain.timestamps import read
from countersign.embedded.stack import EmbeddedStack
from countersign.service.verification import verify_store
from countersign.store import Store

REPORT = Path("campaign-report.json")
WORKERS = ("alice", "dave", "alice", "dave")
SETTLE_S = 75.0
CUT_WITHIN_S = 2.0
LOGIN_TOLERANCE_S = 0.05
BACKSTOP_S = 30.0


def main() -> int:
    """Run it and return the exit code."""
    parser = argparse.ArgumentParser(prog="campaign", description=__doc__)
    parser.add_argument("--kills", type=int, default=10 if os.environ.get("SHORT") else 100)
    parser.add_argument("--seed", type=int, default=2026)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="countersign-campaign-") as folder:
        figures = _play(Path(folder) / "state", kills=given.kills, seed=given.seed)
    command = f"python -m campaign --kills {given.kills} --seed {given.seed}"
    report = {"schema": 1, "figures": [figure | {"command": command} for figure in figures]}
    REPORT.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    for figure in figures:
        print(f"{'ok  ' if figure['ok'] else 'FAIL'} {figure['name']:<28} {figure['value']} {figure['unit']}")  # noqa: T201 - its output
    return 0 if all(figure["ok"] for figure in figures) else 1


def _play(folder: Path, *, kills: int, seed: int) -> list[dict[str, Any]]:
    chance = random.Random(seed)  # noqa: S311 - a replayable course of events, not a secret
    stack = EmbeddedStack(folder=folder)
    stack.start()
    tally, done, faults = Tally(), threading.Event(), Counter[str]()
    watch = Watch(dsn=stack.vault.owner_dsn)
    workers = [
        Worker(stack=stack, tally=tally, chance=random.Random(seed + at), stopping=done, requester=who)  # noqa: S311 - as above
        for at, who in enumerate(WORKERS)
    ]
    threads = [threading.Thread(target=run, daemon=True) for run in [watch.run, *(worker.run for worker in workers)]]
    try:
        for thread in threads:
            thread.start()
        for number in range(kills):
            time.sleep(chance.uniform(0.5, 2.5))
            fault = chance.choice(OFTEN)
            print(f"{number + 1:>4} of {kills}: {fault}", file=sys.stderr)  # noqa: T201 - its output
            FAULTS[fault](stack, chance)
            faults[fault] += 1
        done.set()
        left = _settle(stack, watch)
        watch.stopping.set()
        return _figures(stack, watch, tally, faults, left)
    finally:
        done.set()
        watch.stopping.set()
        stack.stop()


def _settle(stack: EmbeddedStack, watch: Watch) -> list[str]:
    """Wait until every lease has its certificate of death; return what the target still holds then, or at patience's end."""
    store = Store(stack.settings().database_url.get_secret_value(), clock=now)
    deadline = time.monotonic() + SETTLE_S
    alive = (LeaseState.PREPARED, LeaseState.ACTIVE, LeaseState.REVOKING)
    while time.monotonic() < deadline:
        with store.read() as tx:
            if not tx.leases(states=alive, limit=1):
                break
        time.sleep(0.5)
    store.close()
    return watch.left()


def _figures(
    stack: EmbeddedStack, watch: Watch, tally: Tally, faults: Counter[str], left: list[str]
) -> list[dict[str, Any]]:
    stack.kill_broker()
    settings = stack.settings()
    store = Store(settings.database_url.get_secret_value(), clock=now)
    report = verify_store(store, verifiers=[log_signer(settings).verifier()])
    with store.read() as tx:
        leases = {lease.id: lease for lease in tx.leases(limit=1_000_000)}
        facts = [(row["type"], row["subject"], row["leaf"]) for row in tx.facts(limit=10_000_000)]
        approved = {request.id for request in tx.requests(limit=1_000_000) if tx.reviews(request.id)}
    store.close()
    asked = {subject: read(json.loads(leaf)["at"]) for kind, subject, leaf in facts if kind == "lease.end-asked"}
    ends = {lease.id: lease.not_after.timestamp() for lease in leases.values()}
    issued = {subject for kind, subject, _ in facts if kind == "lease.issued"}
    logins = [seen - ends[lease] for lease, seen in watch.login.items() if lease in issued]
    lost = [seen - ends[lease] for lease, seen in watch.login.items() if lease in ends.keys() - issued]
    sessions = [seen - ends[lease] for lease, seen in watch.session.items() if lease in ends]
    deaths = Counter(subject for kind, subject, _ in facts if kind == "lease.dead")
    unknown = sorted((watch.login.keys() | watch.session.keys()) - leases.keys())
    without = [lease.id for lease in leases.values() if lease.request_id not in approved]
    doubled = [lease for lease, count in deaths.items() if count > 1]
    missing = [lease.id for lease in leases.values() if lease.id not in asked or not deaths[lease.id]]
    late = sorted(max(0.0, each) for each in sessions)
    return [
        _figure("grants_drawn", tally.drawn, "draws", tally.drawn > 0),
        _figure("faults", sum(faults.values()), "faults: " + ", ".join(f"{n} {f}" for f, n in faults.items()), ok=True),
        _figure("looks_at_the_target", watch.looks, "looks", watch.looks > 0),
        _figure("login_after_not_after", sum(e > LOGIN_TOLERANCE_S for e in logins), "leases", goal="= 0"),
        _figure(
            "lost_past_backstop", sum(e > BACKSTOP_S + CUT_WITHIN_S for e in lost), "logins nobody got", goal="= 0"
        ),
        _figure("session_past_backstop", sum(e > BACKSTOP_S + CUT_WITHIN_S for e in sessions), "leases", goal="= 0"),
        _figure("session_late_p99_s", _p99(late), "s, broker killed at random", ok=True),
        _figure("session_late_max_s", round(late[-1], 3) if late else 0.0, "s, broker killed at random", ok=True),
        _figure("roles_left_after_settling", len(left), "roles", goal="= 0"),
        _figure("roles_nobody_ordered", len(unknown), "roles", goal="= 0"),
        _figure("issued_without_approval", len(without), "leases", goal="= 0"),
        _figure("deaths_missing", len(missing), "leases", goal="= 0"),
        _figure("deaths_doubled", len(doubled), "leases", goal="= 0"),
        _figure("log_failures", len(report.failures), "findings", goal="= 0"),
        _figure("secrets_found", _secrets_found(stack.folder, tally.secrets), "files", goal="= 0"),
    ]


def _figure(name: str, value: float, unit: str, ok: bool | None = None, goal: str | None = None) -> dict[str, Any]:  # noqa: FBT001 - a table's cell
    judged = value == 0 if ok is None else ok
    return {"name": name, "value": value, "unit": unit, "floor": None, "ratio": None, "goal": goal, "ok": judged}


def _p99(values: list[float]) -> float:
    return round(values[min(len(values) - 1, int(len(values) * 0.99))], 3) if values else 0.0


def _secrets_found(folder: Path, secrets: list[str]) -> int:
    """Return in how many of the broker's and OpenBao's plain files a drawn password stands."""
    places = [*(folder / "broker").rglob("*"), folder / "broker.log", folder / "openbao" / "audit.log"]
    found = 0
    for place in places:
        if place.is_file():
            content = place.read_bytes()
            found += any(secret.encode("ascii") in content for secret in secrets)
    return found


if __name__ == "__main__":
    sys.exit(main())
