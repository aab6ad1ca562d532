"""Work in another process ends with whoever started it, and is missed if it ends before."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from countersign.auditlog.apart import Apart

STARTER = """
from countersign.auditlog.apart import Apart
from tests.auditlog.test_apart import endless

if __name__ == "__main__":
    with Apart(endless) as other:
        print(other.result(), flush=True)
        other.result()
"""


def endless() -> Iterator[int]:
    """Yield this process's id, and then work without an end."""
    yield os.getpid()
    while True:
        time.sleep(0.05)


def counting(end: int) -> Iterator[int]:
    yield from range(end)


def broken_off() -> Iterator[int]:
    yield 0
    os.kill(os.getpid(), signal.SIGKILL)


def is_gone(pid: int) -> bool:
    """Wait until a process is gone, ten seconds at most."""
    for _ in range(200):
        try:
            if Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


def test_results_come_in_order_and_more_than_a_pipe_holds() -> None:
    with Apart(partial(counting, 20_000)) as other:
        assert [other.result() for _ in range(20_000)] == list(range(20_000))
        with pytest.raises(ChildProcessError):
            other.result()
    assert not other.is_alive


def test_a_process_that_is_killed_is_missed() -> None:
    with Apart(broken_off) as other:
        assert other.result() == 0
        with pytest.raises(ChildProcessError):
            other.result()


def test_work_that_nobody_waits_for_any_more_is_ended() -> None:
    with Apart(endless) as other:
        pid = other.result()
    assert is_gone(pid)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_no_process_outlives_who_started_it_however_he_ended(tmp_path: Path, how: signal.Signals) -> None:
    (tmp_path / "starter.py").write_text(STARTER, encoding="utf-8")
    started = subprocess.Popen(
        [sys.executable, str(tmp_path / "starter.py")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
        start_new_session=True,
    )
    assert started.stdout is not None
    with started.stdout as told:
        assert select.select([told], [], [], 30)[0]
        pid = int(told.readline())
        os.kill(started.pid, how)
        assert started.wait(30) != 0
    assert is_gone(pid)
