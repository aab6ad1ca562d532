"""Verifies a folder of tiles as `countersign verify` does, bytes and then meaning, in a process of its own; prints what it took.

It imports little: the process beside it, in which the detectors run, imports this module again.
"""

from __future__ import annotations

import gc
import json
import resource
import statistics
import sys
import time
from itertools import islice
from pathlib import Path

from countersign.auditlog.bulk import verify_directory
from countersign.auditlog.meaning import MeaningCheck
from countersign.auditlog.meaning.tiles import leaves_of, replay_directory
from countersign.auditlog.meaning.watching import GARBAGE_AFTER
from countersign.auditlog.note import read_vkey
from countersign.auditlog.report import Report
from countersign.auditlog.tiles import WIDTH, LogDirectory

PROCESSES, ROUNDS = 2, 3
KIBIBYTES = 1024
"""The kernel counts memory in these."""


def _cpu_s() -> tuple[float, float]:
    """Return the processor's time of this process, and of those beside it that have ended."""
    beside = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time(), beside.ru_utime + beside.ru_stime


def _replayed(log: LogDirectory, report: Report, processes: int) -> dict[str, float]:
    began, (own, beside) = time.perf_counter(), _cpu_s()
    check = MeaningCheck()
    replay_directory(log, report.size, check, processes=processes)
    joined = check.joined(report)
    taken, (own_after, beside_after) = time.perf_counter() - began, _cpu_s()
    assert joined.ok, joined.failures[:3]
    return {"s": taken, "cpu_s": own_after - own, "cpu_beside_s": beside_after - beside}


def _json_s(log: LogDirectory, size: int) -> float:
    taken, source = 0.0, leaves_of(log, size)
    while block := [leaf for _, leaf in islice(source, WIDTH)]:
        began = time.process_time()
        for leaf in block:
            json.loads(leaf)
        taken += time.process_time() - began
    return taken


def _own_peak_kb() -> int:
    """Return the most memory that this program had; `getrusage` would count that of the one that started it as well."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))


def replay(place: Path, vkey: str) -> dict[str, float]:
    """Return seconds, processor seconds and the largest memory of either process."""
    gc.set_threshold(GARBAGE_AFTER)
    log, began = LogDirectory(place), time.perf_counter()
    report = verify_directory(log, checkpoints=[], verifiers=[read_vkey(vkey)], processes=PROCESSES, spelling=True)
    assert report.ok, report.failures[:3]
    bytes_s = time.perf_counter() - began
    rounds = sorted((_replayed(log, report, PROCESSES) for _ in range(ROUNDS)), key=lambda each: each["s"])
    peak = max(_own_peak_kb(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    return {
        **rounds[ROUNDS // 2],
        "bytes_and_spelling_s": bytes_s,
        "peak_mb": peak / KIBIBYTES,
        "in_one_process_cpu_s": _replayed(log, report, 1)["cpu_s"],
        "json_cpu_s": statistics.median(_json_s(log, report.size) for _ in range(ROUNDS)),
    }


if __name__ == "__main__":
    print(json.dumps(replay(Path(sys.argv[1]), sys.argv[2])))
