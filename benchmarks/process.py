"""A broker as a process of its own: what it holds in memory while idle, and how soon after a start what is overdue is seen dead.

Floors: an interpreter that imports the same libraries and does nothing; an interpreter that imports the broker and ends.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.servers import Stack

from benchmarks.figures import Figure, Goal
from benchmarks.stage import Bench, now, ready, real_broker, reschedule, watch_deaths
from countersign.auditlog.signer import create_key_file
from countersign.embedded.processes import Child, free_port

RSS_GOAL, RESTART_GOAL = Goal(limit=250), Goal(limit=2)
_IDLE_AFTER_S = 3.0
_LIBRARIES = (
    "fastapi, uvicorn, sqlalchemy, alembic, pydantic_settings, apscheduler.schedulers.background, structlog, psycopg,"
    " cryptography"
)


def idle(folder: Path, stack: Stack, *, full: bool) -> Iterator[Figure]:
    """Yield the resident memory of an idle broker, and the time from its start to the first certificate."""
    del full
    state = folder / "state"
    state.mkdir(mode=0o700)
    with real_broker(state, stack, "countersign") as bench:
        leases = _overdue(bench, state)
    child, port = _child(folder, state, stack)
    began = time.perf_counter()
    child.start()
    try:
        watch_deaths(state / "countersign.db", leases)
        first_sweep_s = time.perf_counter() - began
        child.wait_until(lambda: ready(port))
        ready_s = time.perf_counter() - began
        time.sleep(_IDLE_AFTER_S)
        rss = _rss_mb(child.pid)
    finally:
        child.stop(signal.SIGTERM)
    floor_rss, import_s = _floors()
    yield Figure(
        name="idle_rss_mb",
        value=rss,
        unit="MB",
        floor=floor_rss,
        ratio=rss / floor_rss,
        goal=RSS_GOAL,
        details={"providers": "vault; without AWS, boto3 is not loaded", "floor": "the libraries alone"},
    )
    yield Figure(
        name="restart_to_first_death_s",
        value=first_sweep_s,
        unit="s",
        floor=import_s,
        ratio=first_sweep_s / import_s,
        goal=RESTART_GOAL,
        details={"overdue_leases": leases, "ready_to_serve_s": round(ready_s, 2), "floor": "importing the broker"},
    )


def _overdue(bench: Bench, state: Path) -> int:
    """Draw a few leases that fell due while nobody was there."""
    alice = bench.principal("alice")
    leases = [bench.running.issuing.issuer.draw(alice, grant).lease for grant in bench.granted(3, what="direct")]
    reschedule(state / "countersign.db", leases, start=now() - timedelta(seconds=2))
    return len(leases)


def _child(folder: Path, state: Path, stack: Stack) -> tuple[Child, int]:
    port = free_port()
    create_key_file(state / "log.key", "bench.example/log")
    for name in ("catalog.toml", "directory.toml"):
        (state / name).write_text(_rules(name, stack), encoding="utf-8")
    told: dict[str, Any] = {
        "MODE": "embedded",
        "ALLOW_TOKENS": "true",
        "STATE_DIR": str(state),
        "CATALOG_PATH": str(state / "catalog.toml"),
        "DIRECTORY_PATH": str(state / "directory.toml"),
        "LOG_ORIGIN": "bench.example/log",
        "LISTEN_PORT": str(port),
        "OPENBAO": json.dumps(
            {"addr": stack.vault.address, "role_id": stack.vault.role_id, "secret_id": stack.vault.secret_id}
        ),
        "TARGETS": json.dumps({"orders-db": {"dsn": stack.vault.target_dsn}}),
    }
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "PYTHONPATH") if name in os.environ}
    command = [sys.executable, "-m", "countersign", "serve"]
    environment = kept | {f"COUNTERSIGN_{name}": value for name, value in told.items()}
    if "PYTHONPATH" in kept:
        environment["PYTHONPATH"] = os.pathsep.join(
            str(Path(part).absolute()) for part in kept["PYTHONPATH"].split(os.pathsep)
        )
    return Child(name="broker", command=command, log=folder / "broker.log", environment=environment), port


def _rules(name: str, stack: Stack) -> str:
    """Return the embedded stack's rules; those in force in the database are others, and stay."""
    text = (Path(__file__).parents[1] / "src/countersign/embedded" / name).read_text(encoding="utf-8")
    role = "arn:aws:iam::111122223333:role/countersign-target-reports"
    return text.replace("$postgres_port", str(stack.postgres.port)).replace("$reports_role", role)


def _rss_mb(pid: int | None) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024


def _floors() -> tuple[float, float]:
    script = f"import {_LIBRARIES}, sys; print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        rss = _rss_mb(process.pid)
        process.communicate(b"")
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import countersign.bootstrap.serving"], check=True)
    return rss, time.perf_counter() - began
