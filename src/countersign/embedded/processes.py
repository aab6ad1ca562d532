"""Starts and stops child processes by their own handle: own process group, log in a file, killed when the parent dies."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

READY_WITHIN_S = 20.0
_LOG_TAIL = 2000

# Runs before the real program, in its process: asks Linux for `signal` when the parent's starting thread ends, then becomes it.
_DIE_WITH_PARENT = """
import ctypes, os, sys
parent, number, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
ctypes.CDLL(None, use_errno=True).prctl(1, number, 0, 0, 0)
if os.getppid() != parent:
    sys.exit(70)
os.execv(program[0], program)
"""


class NotReady(Exception):
    """A server did not come up, or ended before it was ready; the end of its log is in the message."""


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def private_folder(folder: Path) -> Path:
    """Create `folder` (and parents) for our eyes only and return it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    return folder


@dataclass(kw_only=True)
class Child:
    """One child process.

    The starting thread matters: on Linux the child gets `when_orphaned` as soon as that *thread* ends, so start children
    from a thread that lives as long as they should.

    Attributes:
        name: for messages.
        command: program (absolute path) and arguments; no secrets, process lists are public.
        log: file that receives standard output and error.
        environment: the whole environment of the child.
        when_orphaned: the signal it gets when its parent dies.
    """

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(repr=False)
    when_orphaned: signal.Signals = signal.SIGKILL
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    @property
    def pid(self) -> int | None:
        """Return the process id while it runs."""
        return self._process.pid if self._process is not None and self.running else None

    @property
    def running(self) -> bool:
        """Say whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process.

        Raises:
            NotReady: it runs already.
        """
        if self.running:
            raise NotReady(f"{self.name} runs already")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._guard(), *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(self.environment),
                cwd=self.log.parent,
                start_new_session=True,
                close_fds=True,
            )

    def wait_until(self, ready: Callable[[], bool], *, within_s: float = READY_WITHIN_S) -> float:
        """Wait until `ready` says so and return the seconds that took.

        Raises:
            NotReady: the process ended, or `within_s` passed.
        """
        began = time.monotonic()
        while not ready():
            if not self.running:
                raise NotReady(f"{self.name} ended before it was ready: {self._tail()}")
            if time.monotonic() - began > within_s:
                raise NotReady(f"{self.name} was not ready after {within_s:g} s: {self._tail()}")
            time.sleep(0.01)
        return time.monotonic() - began

    def stop(self, ask: signal.Signals = signal.SIGTERM, *, within_s: float = 10.0) -> None:
        """Ask the process to stop, and kill its whole group when it does not within `within_s`. Idempotent."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(ask)
            try:
                self._process.wait(within_s)
            except subprocess.TimeoutExpired:
                self.kill()
        self._process = None

    def kill(self) -> None:
        """Kill the process and its group at once, as a power cut would."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None

    def _guard(self) -> list[str]:
        if not sys.platform.startswith("linux"):
            return []
        return [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), str(int(self.when_orphaned))]

    def _tail(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL:]
