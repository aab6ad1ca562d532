"""Reads that are facts: an auditor's, and an approver's first look."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from tests.world import World

from countersign.auditlog.meaning import MeaningCheck, Severity
from countersign.domain.refusals import NotFound
from countersign.service.reads import FILES_EVERY_S, Reads


def looks(world: World) -> list[tuple[str, str]]:
    return [(row["actor"], row["subject"]) for row in world.facts("request.seen")]


def test_an_approver_s_first_look_is_a_fact_once_per_person_and_request(world: World) -> None:
    reads, request = world.broker.reads, world.ask("alice")
    for who in ("bob", "bob", "bob-bot", "carol", "alice", "erin", "olga"):
        assert reads.look(world.principal(who), request.id).request.id == request.id
    with pytest.raises(NotFound):
        reads.look(world.principal("dave"), request.id)
    assert looks(world) == [("bob", request.id), ("carol", request.id)]
    second = world.ask("alice", "orders-db-thrice")
    world.review(second)
    reads.look(world.principal("carol"), second.id)
    assert len(looks(world)) == 2, "it is decided: nobody considers it any more"
    check = MeaningCheck()
    for entry in world.store.entries():
        check.read(entry.index, entry.leaf)
    assert [each for each in check.finish() if each.severity is Severity.BROKEN] == []


def test_two_looks_at_the_same_moment_are_one_fact(world: World) -> None:
    request, start = world.ask("alice"), threading.Barrier(4)

    def look() -> None:
        start.wait()
        world.broker.reads.look(world.principal("bob"), request.id)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert looks(world) == [("bob", request.id)]


def test_what_an_auditor_is_shown_is_a_fact_and_what_others_are_shown_is_not(world: World) -> None:
    reads = world.broker.reads
    about: dict[str, Any] = {"after": 5, "subject": "req_x" * 100}
    for who in ("alice", "bob", "olga", "erin"):
        reads.shown(world.principal(who), "GET /audit/entries", about)
    [row] = world.facts("audit.read")
    said = json.loads(row["leaf"])
    assert (said["actor"], said["data"]["call"], said["data"]["about"]["after"]) == ("erin", "GET /audit/entries", "5")
    assert len(said["data"]["about"]["subject"]) == 80


def test_that_the_log_s_files_are_read_is_said_now_and_then(world: World) -> None:
    times = iter([0.0, 1.0, FILES_EVERY_S + 1])
    reads = Reads(office=world.broker.office, questions=world.broker.questions, monotonic=lambda: next(times))
    for _ in range(3):
        reads.files_shown(world.principal("erin"))
    assert len(world.facts("audit.read")) == 2
