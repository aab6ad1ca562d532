"""Findings in a verification: the detectors run again, and a finding that was withheld, made up or waved through is named."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from tests.auditlog.forging import Log, place, rows_of, verified
from tests.quick import quick_world

from countersign.auditlog.meaning import MeaningCheck
from countersign.domain.refusals import SelfReview
from countersign.service.detecting import Detecting


@cache
def _told() -> tuple[dict[str, Any], ...]:
    with quick_world() as world:
        world.follow(Detecting(store=world.store))
        for _ in range(3):
            with pytest.raises(SelfReview):
                world.review(world.ask("alice", "orders-db-thrice"), "alice")
            world.follow()
        found, _ = world.broker.findings.findings(world.principal("erin"), open_only=True, before=None, limit=9)
        world.broker.findings.acknowledge(world.principal("erin"), found[0].id, comment="asked alice")
        world.clock.forward(seconds=30)
        world.ask("dave", "orders-db-read")
        return tuple(rows_of(world))


@pytest.fixture
def log() -> Log:
    import copy  # noqa: PLC0415 - each test has a log of its own to forge

    return copy.deepcopy(list(_told()))


def codes(log: Log) -> list[tuple[int | None, str]]:
    return [(failure.index, failure.code) for failure in verified(log).failures]


def test_an_honest_log_holds_what_the_detectors_find(log: Log) -> None:
    assert codes(log) == []
    assert [row["data"]["detector"] for row in log if row["type"] == "finding.raised"] == ["self-approval-attempt"] * 3


def test_a_finding_that_was_withheld_is_named_by_what_shows_it(log: Log) -> None:
    withheld = place(log, "finding.raised", 1)
    shown = log[withheld]["data"]["evidence"][-1]
    log[withheld] |= {"type": "token.issued", "data": {"principal": "dave", "token": "tok"}, "subject": "dave"}
    assert codes(log) == [(shown, "finding-missing")]


def test_a_finding_that_was_never_raised_is_told_once_there_was_time_enough(log: Log) -> None:
    last = place(log, "finding.raised", 2)
    log[last] |= {"type": "token.issued", "data": {"principal": "dave", "token": "tok"}, "subject": "dave"}
    acknowledged = place(log, "finding.acknowledged")
    log[acknowledged]["subject"] = log[place(log, "finding.raised", 0)]["subject"]
    assert codes(log) == [], "it may still be on its way"
    log[-1]["at"] = log[-1]["at"].replace("T09", "T11")
    check = MeaningCheck()
    for index, row in enumerate(log):
        check.feed(index, row)
    assert "finding-missing" in {finding.code for finding in check.finish()}


def test_a_finding_that_was_made_up_or_raised_twice_is_named(log: Log) -> None:
    made_up = place(log, "request.submitted", 3)
    log.insert(made_up, log[place(log, "finding.raised", 0)] | {"subject": "fnd_" + "b" * 16})
    assert codes(log) == [(made_up, "finding-unfounded")]
    log[made_up]["subject"] = log[place(log, "finding.raised", 0)]["subject"]
    assert codes(log) == [(made_up, "finding-twice")]


def test_who_is_concerned_acknowledges_nothing(log: Log) -> None:
    acknowledged = place(log, "finding.acknowledged")
    log[acknowledged]["actor"] = "alice"
    assert codes(log) == [(acknowledged, "finding-own")]
    log[acknowledged] |= {"actor": "erin", "subject": "fnd_" + "b" * 16}
    assert codes(log) == [(acknowledged, "finding-unknown")]


def test_what_other_detectors_found_is_not_held_against_the_log(log: Log) -> None:
    for row in log:
        if row["type"] == "finding.raised":
            row["data"]["version"] = 99
            row["subject"] = row["subject"].replace("a", "b")
        elif row["type"] == "detectors.began":
            row["data"]["version"] = 99
    log[place(log, "finding.acknowledged")]["subject"] = log[place(log, "finding.raised", 2)]["subject"]
    assert codes(log) == []
