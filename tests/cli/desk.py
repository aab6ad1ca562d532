"""A desk for tests of the command line: the real API on a loopback port over a small world, and commands run at it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import structlog
import uvicorn
from tests.api.calling import PRINCIPALS, READY, new_world
from tests.world import World

from countersign.api.app import make_app
from countersign.cli.main import run

SOURCES = Path(__file__).parents[2] / "src"
PROGRAM = [sys.executable, "-m", "countersign"]


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.out))


def run_here(args: Sequence[str], environment: Mapping[str, str]) -> Ran:
    """Run a command in this process with this environment and no other."""
    out, err = io.StringIO(), io.StringIO()
    with mock.patch.dict(os.environ, environment, clear=True), redirect_stdout(out), redirect_stderr(err):
        code = run(args)
    return Ran(code=code, out=out.getvalue(), err=err.getvalue())


@dataclass(kw_only=True)
class Desk:
    """A broker that listens, and who may call it."""

    world: World
    url: str
    database: Path
    tokens: dict[str, str] = field(default_factory=dict)

    def environment(self, who: str | None, **changes: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERSIGN_")}
        known = kept | {"COUNTERSIGN_URL": self.url, "PYTHONPATH": str(SOURCES), "TZ": "UTC"}
        token = {} if who is None else {"COUNTERSIGN_TOKEN": self.tokens.get(who, who)}
        return known | token | changes

    def run(self, who: str | None, *args: str, **changes: str) -> Ran:
        """Run a command in this process, which is quick."""
        return run_here(args, self.environment(who, **changes))

    def process(self, who: str | None, *args: str, **changes: str) -> Ran:
        """Run a command as a process of its own."""
        done = subprocess.run(
            [*PROGRAM, *args],
            env=self.environment(who, **changes),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        return Ran(code=done.returncode, out=done.stdout, err=done.stderr)

    def start(self, who: str | None, *args: str, **changes: str) -> subprocess.Popen[str]:
        """Start a command and leave it running; the caller ends it."""
        return subprocess.Popen(
            [*PROGRAM, *args],
            env=self.environment(who, **changes),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def asked(self, who: str = "alice", *more: str, what: str = "orders-db-read") -> dict[str, Any]:
        ran = self.run(who, "request", what, "--for", "1m", "--reason", "invoice 4711", "--json", *more)
        assert ran.code == 0, ran.err
        return ran.json()

    def granted(self, what: str = "orders-db-read", *more: str) -> str:
        made = self.asked("alice", *more, what=what)
        ran = self.run("bob", "approve", made["id"], "--digest", made["digest"], "--json")
        assert ran.code == 0, ran.err
        return str(ran.json()["grant_id"])


@contextmanager
def listening_desk(folder: Path, port: int = 0, /, **rules: dict[str, Any]) -> Iterator[Desk]:
    """Start the API over the world's rules, or over a `catalog` and `directory` that are given; stop it at the end."""
    database = folder / "countersign.db"
    world = new_world(database, **rules)
    app = make_app(world.broker, readiness=lambda: READY)
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run)
    logging = structlog.get_config()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())  # its lines would stand in what commands print
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the API did not start"
            time.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        tokens = {name: world.broker.gate.issue(name) for name in PRINCIPALS}
        yield Desk(world=world, url=f"http://127.0.0.1:{port}", database=database, tokens=tokens)
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        structlog.configure(**logging)
        world.store.close()
