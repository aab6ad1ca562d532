"""APScheduler as a metronome with a memory: it says when, the database says what.

Nothing is scheduled per lease. The trigger answers "now plus the interval", so a clock that is set neither replays nor skips
beats; a watchdog on the monotonic clock beats itself when the metronome does not.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

logger = structlog.get_logger(__name__)

MISSED_BEATS = 3
SHORTEST_WATCH = 1.0


class NowPlus(BaseTrigger):  # type: ignore[misc] # APScheduler publishes no types
    """Fires an interval after it is asked, whatever the clock said before."""

    def __init__(self, interval: timedelta) -> None:
        """Keep the interval."""
        self.interval = interval

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """Return now plus the interval; the first beat comes at once."""
        return now if previous_fire_time is None else now + self.interval


@dataclass(frozen=True, kw_only=True)
class Beat:
    """A named job and how often it is due.

    Attributes:
        vital: readiness depends on it, and the watchdog does it itself when the metronome is stuck.
    """

    name: str
    interval: timedelta
    job: Callable[[], object]
    vital: bool = False


@dataclass(kw_only=True)
class Metronome:
    """Runs the beats until it is stopped.

    Attributes:
        nudged: whoever sets it asks for the vital beats now rather than at their next time.
        monotonic: seconds on a clock that nobody can set.
    """

    beats: Sequence[Beat]
    nudged: threading.Event = field(default_factory=threading.Event)
    monotonic: Callable[[], float] = time.monotonic
    _done: dict[str, float] = field(default_factory=dict)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        """Set up the scheduler; nothing runs yet."""
        self._scheduler = BackgroundScheduler(
            jobstores={"default": MemoryJobStore()},
            executors={"default": ThreadPoolExecutor(max_workers=max(4, len(self.beats)))},
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
            timezone="UTC",
        )
        self._running = {beat.name: threading.Lock() for beat in self.beats}
        # Whoever finds a beat under way leaves word, and it beats once more: what became due meanwhile is not missed.
        self._wanted = {beat.name: threading.Event() for beat in self.beats}
        self._watchdog = threading.Thread(target=self._watch, name="countersign-watchdog", daemon=True)

    def start(self) -> None:
        """Start beating."""
        now = self.monotonic()
        for beat in self.beats:
            self._done[beat.name] = now
            self._scheduler.add_job(self._run, NowPlus(beat.interval), args=[beat], id=beat.name)
        self._scheduler.start()
        self._watchdog.start()

    def stop(self) -> None:
        """Stop after the beats under way; returns when nothing of it runs any more."""
        self._stopping.set()
        self.nudged.set()
        self._scheduler.shutdown(wait=True)
        self._watchdog.join(timeout=10)

    def age(self, name: str) -> float:
        """Return the seconds since a beat was last completed."""
        return self.monotonic() - self._done.get(name, float("-inf"))

    def _run(self, beat: Beat) -> None:
        self._wanted[beat.name].set()
        while self._wanted[beat.name].is_set() and self._running[beat.name].acquire(blocking=False):
            self._wanted[beat.name].clear()
            try:
                beat.job()
                self._done[beat.name] = self.monotonic()
            except Exception:  # the outermost handler of a beat: the next one comes regardless
                logger.exception("a beat failed", beat=beat.name)
            finally:
                self._running[beat.name].release()

    def _watch(self) -> None:
        """Beat on a nudge, and in place of a metronome that has stopped."""
        vital = [beat for beat in self.beats if beat.vital]
        pause = min([SHORTEST_WATCH, *(beat.interval.total_seconds() for beat in vital)])
        while not self._stopping.is_set():
            nudged = self.nudged.wait(timeout=pause)
            self.nudged.clear()
            for beat in vital:
                late = self.age(beat.name) > MISSED_BEATS * max(beat.interval.total_seconds(), SHORTEST_WATCH)
                if (nudged or late) and not self._stopping.is_set():
                    self._run(beat)
