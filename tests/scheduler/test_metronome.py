"""The metronome: it beats whatever the wall clock does, survives failing jobs, and is watched by a clock nobody can set."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

from countersign.scheduler import Beat, Metronome
from countersign.scheduler.metronome import NowPlus

QUICK = timedelta(milliseconds=50)


def wait_for(event: threading.Event) -> bool:
    return event.wait(timeout=5)


def test_the_next_beat_is_an_interval_from_now_whatever_the_clock_said_before() -> None:
    trigger = NowPlus(timedelta(seconds=1))
    now = datetime(2026, 11, 22, tzinfo=UTC)
    assert trigger.get_next_fire_time(None, now) == now
    for before in (now - timedelta(days=3650), now + timedelta(days=3650), now):
        assert trigger.get_next_fire_time(before, now) == now + timedelta(seconds=1)


def test_a_beat_that_fails_beats_again_and_does_not_count_as_done() -> None:
    twice = threading.Event()
    calls: list[int] = []

    def fail() -> None:
        calls.append(1)
        if len(calls) == 2:
            twice.set()
        raise RuntimeError("a bad beat")

    metronome = Metronome(beats=[Beat(name="sweep", interval=QUICK, job=fail, vital=True)])
    metronome.start()
    try:
        assert wait_for(twice)
        time.sleep(0.05)
        assert metronome.age("sweep") >= 0.05
    finally:
        metronome.stop()


def test_a_nudge_beats_at_once() -> None:
    beaten = threading.Semaphore(0)
    metronome = Metronome(
        beats=[Beat(name="sweep", interval=timedelta(hours=1), job=beaten.release, vital=True)],
    )
    metronome.start()
    try:
        assert beaten.acquire(timeout=5)
        metronome.nudged.set()
        assert beaten.acquire(timeout=5)
    finally:
        metronome.stop()


def test_a_nudge_during_a_beat_is_not_lost() -> None:
    begun, go_on, again = threading.Event(), threading.Event(), threading.Event()
    calls: list[int] = []

    def job() -> None:
        calls.append(1)
        if len(calls) == 1:
            begun.set()
            go_on.wait(timeout=5)
        else:
            again.set()

    metronome = Metronome(beats=[Beat(name="sweep", interval=timedelta(hours=1), job=job, vital=True)])
    metronome.start()
    try:
        assert wait_for(begun)
        metronome.nudged.set()
        time.sleep(0.05)
        go_on.set()
        assert wait_for(again)
    finally:
        go_on.set()
        metronome.stop()


def test_the_watchdog_beats_when_the_scheduler_is_dead() -> None:
    beaten = threading.Event()
    metronome = Metronome(beats=[Beat(name="sweep", interval=QUICK, job=beaten.set, vital=True)])
    metronome.start()
    try:
        assert wait_for(beaten)
        metronome._scheduler.remove_all_jobs()
        time.sleep(0.1)
        beaten.clear()
        assert wait_for(beaten)
    finally:
        metronome.stop()
