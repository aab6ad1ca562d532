"""Detectors beside a replay, in a process of their own, find what they find within it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.auditlog.forging import Log, place, rows_of
from tests.auditlog.test_detectors import BEGIN, History, everyday
from tests.quick import quick_world

from countersign.auditlog.bulk import verify_directory
from countersign.auditlog.checkpoint import Checkpoint, sign_checkpoint
from countersign.auditlog.leaf import Entry, Fact, spelled
from countersign.auditlog.meaning import MeaningCheck, tiles
from countersign.auditlog.meaning.detectors import Detectors
from countersign.auditlog.meaning.notebook import Notebook
from countersign.auditlog.meaning.watching import Along, Beside
from countersign.auditlog.merkle import leaf_hash, root_of
from countersign.auditlog.signer import Ed25519Signer
from countersign.auditlog.tiles import LogDirectory, write_directory
from countersign.auditlog.verify import verify_entries
from countersign.domain.refusals import SelfReview
from countersign.service.detecting import Detecting

SIGNER = Ed25519Signer.generate("test.example/log")


def history() -> list[dict[str, Any]]:
    told = History()
    everyday(told, Random(7))  # noqa: S311 - a history that is the same each time
    for day in range(25):
        told.decided(BEGIN + timedelta(days=day), "ann1", "mole1", wait=2)
    return [{"v": 1, **fact} for _, fact in sorted(told.facts, key=lambda each: each[0])]


def told(facts: Sequence[Fact]) -> Iterator[tuple[int, bytes]]:
    """Open a log, in this process or in another."""
    return ((index, spelled(fact)) for index, fact in enumerate(facts))


def broken_off() -> Iterator[tuple[int, bytes]]:
    yield 0, b"{}"
    os._exit(1)


def test_another_process_finds_the_same_at_the_same_entries() -> None:
    facts = history()
    along, beside = Along(detectors=Detectors()), Beside(partial(told, facts))
    for index, fact in enumerate(facts):
        along.watch(index, fact)
        beside.watch(index, fact)
    assert beside.found() == along.found() != []
    assert beside.found() == along.found()
    assert not beside._other.is_alive


def test_another_process_that_breaks_off_does_not_pass_for_one_that_found_nothing() -> None:
    with pytest.raises(ChildProcessError):
        Beside(broken_off).found()


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
def test_a_verification_with_detectors_beside_says_the_same(
    *, log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, withheld: bool
) -> None:
    if withheld:
        log[place(log, "finding.raised", 0)] |= {"type": "token.issued", "data": {"principal": "dave", "token": "tok"}}
    leaves = [spelled(row) for row in log]
    made = Checkpoint(origin=SIGNER.name, size=len(leaves), root=root_of([leaf_hash(leaf) for leaf in leaves]))
    write_directory(tmp_path, leaves, sign_checkpoint(made, [SIGNER]))
    monkeypatch.setattr(tiles, "WORTH_IT", 0)
    reports = []
    for processes in (1, 2):
        check, folder = MeaningCheck(), LogDirectory(tmp_path)
        report = verify_directory(folder, checkpoints=[], verifiers=[SIGNER.verifier()], spelling=True)
        tiles.replay_directory(folder, report.size, check, processes=processes)
        assert isinstance(check._watching, Beside if processes > 1 else Along)
        reports.append((check.joined(report), check.finish()))
    assert reports[0] == reports[1]
    assert {finding.code for finding in reports[0][1]} == ({"finding-missing"} if withheld else set())


@pytest.mark.parametrize("processes", [1, 2])
def test_a_clock_that_was_set_back_is_named_in_tiles_as_in_an_export(
    *, log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    monkeypatch.setattr(tiles, "WORTH_IT", 0)
    log[-2]["at"] = f"2020{log[-2]['at'][4:]}"
    leaves = [spelled(row) for row in log]
    made = Checkpoint(origin=SIGNER.name, size=len(leaves), root=root_of([leaf_hash(leaf) for leaf in leaves]))
    write_directory(tmp_path, leaves, sign_checkpoint(made, [SIGNER]))
    check, folder = MeaningCheck(), LogDirectory(tmp_path)
    report = verify_directory(folder, checkpoints=[], verifiers=[SIGNER.verifier()], spelling=True)
    tiles.replay_directory(folder, report.size, check, processes=processes)
    named = [(each.index, each.code) for each in check.joined(report).failures if each.code == "time-backwards"]
    assert named == [(len(log) - 2, "time-backwards")]
    entries = [Entry(index=index, leaf=leaf, leaf_hash=leaf_hash(leaf)) for index, leaf in enumerate(leaves)]
    by_entry = MeaningCheck()
    exported = by_entry.joined(verify_entries(entries, head=None, checkpoints=[], verifiers=[], reader=by_entry))
    assert [(each.index, each.code) for each in exported.failures if each.code == "time-backwards"] == named


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
