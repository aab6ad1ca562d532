"""Detectors beside a replay, in a process of their own, find what they find within it."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

import pytest
from tests.auditlog.forging import Log, place, rows_of
from tests.auditlog.test_detectors import BEGIN, History, everyday
from tests.quick import quick_world

from countersign.auditlog.leaf import spelled
from countersign.auditlog.meaning import MeaningCheck
from countersign.auditlog.meaning.detectors import Detectors
from countersign.auditlog.meaning.notebook import Notebook
from countersign.auditlog.meaning.watching import AT_ONCE, Beside, Here
from countersign.domain.refusals import SelfReview
from countersign.service.detecting import Detecting


def history() -> list[dict[str, Any]]:
    told = History()
    everyday(told, Random(7))  # noqa: S311 - a history that is the same each time
    for day in range(25):
        told.decided(BEGIN + timedelta(days=day), "ann1", "mole1", wait=2)
    return [{"v": 1, **fact} for _, fact in sorted(told.facts, key=lambda each: each[0])]


def test_another_process_finds_the_same_at_the_same_entries() -> None:
    here, beside = Here(detectors=Detectors()), Beside(worth_it=1000)
    facts = history()
    assert len(facts) > 1000 + AT_ONCE
    for index, fact in enumerate(facts):
        here.watch(index, fact, b"")
        beside.watch(index, fact, spelled(fact))
    assert beside._process is not None
    assert beside.found() == here.found() != []
    assert beside.found() == here.found()
    assert not beside._process.is_alive()


def test_a_short_log_starts_no_other_process() -> None:
    here, beside = Here(detectors=Detectors()), Beside()
    for index, fact in enumerate(history()):
        here.watch(index, fact, b"")
        beside.watch(index, fact, b"")
    assert beside.found() == here.found() != []
    assert beside._process is None


def test_another_process_that_breaks_off_does_not_pass_for_one_that_found_nothing() -> None:
    beside = Beside(worth_it=1)
    beside.watch(0, {}, b"{}")
    assert beside._process is not None
    beside._process.kill()
    beside._process.join()
    with pytest.raises((EOFError, OSError)):
        beside.found()


@pytest.fixture
def log() -> Log:
    with quick_world() as world:
        world.follow(Detecting(store=world.store))
        for _ in range(2):
            with pytest.raises(SelfReview):
                world.review(world.ask("alice", "orders-db-thrice"), "alice")
            world.follow()
        return list(rows_of(world))


@pytest.mark.parametrize("withheld", [False, True])
def test_a_verification_with_detectors_beside_says_the_same(log: Log, withheld: bool) -> None:  # noqa: FBT001 - drawn by the parameters
    if withheld:
        log[place(log, "finding.raised", 0)] |= {"type": "token.issued", "data": {"principal": "dave", "token": "tok"}}
    alone, helped = MeaningCheck(), MeaningCheck(watching=Beside(worth_it=5))
    for index, row in enumerate(log):
        alone.read(index, spelled(row))
        helped.read(index, spelled(row))
    assert helped.finish() == alone.finish()
    assert {finding.code for finding in alone.finish()} == ({"finding-missing"} if withheld else set())


def test_a_membership_that_was_removed_takes_nothing_else_from_its_person(log: Log) -> None:
    notebook = Notebook()
    for index, row in enumerate(log):
        if row["type"].startswith("rulebook."):
            notebook.learn(index, row)
    fact = {"type": "membership.removed", "at": log[-1]["at"], "subject": "alice", "data": {"group": "developers"}}
    notebook.learn(len(log), fact)
    assert notebook.rules.now is not None
    assert notebook.rules.now.withheld == {("alice", "developers")}
    assert notebook.rules.now.disabled == frozenset()
