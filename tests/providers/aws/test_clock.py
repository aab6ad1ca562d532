"""The offset between AWS's clock and ours, from Date headers alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from countersign.providers.aws import clock as module
from countersign.providers.aws.clock import AwsClock

START = datetime(2026, 11, 22, 22, 0, tzinfo=UTC)


class Scene:
    """Our clock, and an AWS whose clock differs by `ahead` and that takes `takes` to answer."""

    def __init__(self, ahead: float, takes: float = 0.02) -> None:
        self.ours = START
        self.ahead, self.takes = timedelta(seconds=ahead), timedelta(seconds=takes)
        self.clock = AwsClock(lambda: self.ours)

    def ask(self, after: float = 0.0) -> None:
        self.ours += timedelta(seconds=after)

        def call() -> dict[str, Any]:
            self.ours += self.takes / 2
            header = format_datetime((self.ours + self.ahead).replace(microsecond=0), usegmt=True)
            self.ours += self.takes / 2
            return {"ResponseMetadata": {"HTTPHeaders": {"date": header}}}

        self.clock.watch(call)


def test_before_aws_was_heard_nothing_is_known() -> None:
    scene = Scene(0)
    assert scene.clock.offset() is None
    assert not scene.clock.is_fresh
    assert scene.clock.spoken() == {"clock": "never heard"}
    assert scene.clock.time() == START


@pytest.mark.parametrize("ahead", [0.0, 0.3, -0.3, 0.9])
def test_a_difference_that_one_answer_does_not_prove_is_taken_as_none(ahead: float) -> None:
    scene = Scene(ahead)
    scene.ask()
    offset = scene.clock.offset()
    assert offset is not None
    assert offset.low <= ahead <= offset.high
    assert offset.seconds == pytest.approx(0.0, abs=1.0)
    assert not offset.is_skewed


@pytest.mark.parametrize("ahead", [5.0, -5.0, 90.5, -3600.25])
def test_many_answers_bound_a_real_difference_closely(ahead: float) -> None:
    scene = Scene(ahead)
    for _ in range(12):
        scene.ask(after=0.37)
    offset = scene.clock.offset()
    assert offset is not None
    assert offset.low <= ahead <= offset.high
    assert offset.high - offset.low < 0.3
    assert abs(offset.seconds - ahead) < 0.3
    assert offset.is_skewed
    assert abs((offset.to_aws(START) - START).total_seconds() - ahead) < 0.3
    assert scene.clock.spoken()["clock_skewed"] is True


def test_when_a_clock_is_set_what_was_known_before_is_void() -> None:
    scene = Scene(0)
    for _ in range(5):
        scene.ask(after=0.37)
    scene.ours += timedelta(hours=1)
    scene.ahead = timedelta(hours=-1)
    scene.ask()
    offset = scene.clock.offset()
    assert offset is not None
    assert abs(offset.seconds + 3600) < 1.1


def test_old_answers_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    passed = [0.0]
    monkeypatch.setattr(module, "monotonic", lambda: passed[0])
    scene = Scene(5)
    scene.ask()
    assert scene.clock.is_fresh
    passed[0] = 61.0
    assert not scene.clock.is_fresh
    assert scene.clock.offset() is not None
    passed[0] = 601.0
    assert scene.clock.offset() is None


@pytest.mark.parametrize("header", [None, "", "yesterday", "Sun, 22 Nov 2026 22:00:00", 7])
def test_an_unreadable_date_teaches_nothing(header: object) -> None:
    clock = AwsClock(lambda: START)
    clock.watch(lambda: {"ResponseMetadata": {"HTTPHeaders": {"date": header}}})
    assert clock.offset() is None
