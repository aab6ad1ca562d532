"""A real witness: a process of its own that can be killed and started again."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.cli.desk import PROGRAM, SOURCES, run_here

STARTED_WITHIN_S = 30


@dataclass(kw_only=True)
class WitnessProcess:
    """`countersign witness` in a folder.

    Attributes:
        keys: public keys of the one log that it vouches for.
    """

    folder: Path
    keys: tuple[str, ...]
    name: str = "witness.example/w1"
    silence_s: int | None = None
    port: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        if not self.port:
            with socket.create_server(("127.0.0.1", 0)) as free:
                self.port = free.getsockname()[1]
        quoted = ", ".join(f'"{key}"' for key in self.keys)
        silence = "" if self.silence_s is None else f"silence_s = {self.silence_s}\n"
        self.settings.write_text(
            f'schema = 1\nname = "{self.name}"\nkey_path = "witness.key"\nstate_path = "witness.db"\n'
            f"listen_port = {self.port}\n\n[[log]]\nkeys = [{quoted}]\n{silence}"
        )
        made = run_here(["witness", "key", str(self.settings)], {})
        assert made.code == 0, made.err
        self.vkey = made.out.strip()

    @property
    def settings(self) -> Path:
        return self.folder / "witness.toml"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and return once it serves."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERSIGN_")}
        self.process = subprocess.Popen(
            [*PROGRAM, "witness", "run", str(self.settings)],
            env=kept | {"PYTHONPATH": str(SOURCES)},
            stderr=(self.folder / "witness.log").open("ab"),
        )
        until = time.monotonic() + STARTED_WITHIN_S
        while self.process.poll() is None and time.monotonic() < until:
            try:
                self.call("GET", "/healthz")
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError((self.folder / "witness.log").read_text())

    def call(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def kill(self) -> None:
        """Kill it on the spot; idempotent."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None
