"""Detectors at work: what they find is on record within a second, once, and found again by whoever verifies the log."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import sqlalchemy as sa
from tests.world import CATALOG, DIRECTORY, World

from countersign.auditlog.meaning import MeaningCheck, Severity
from countersign.domain.refusals import NotEligible, NotFound, Refused, SelfReview, WrongState
from countersign.service import detecting
from countersign.service.detecting import Detecting
from countersign.store import RaisedFinding, finding_tables


def attempt_own(world: World) -> None:
    request = world.ask("alice")
    with pytest.raises(SelfReview):
        world.review(request, "alice-laptop")


def raised(world: World) -> list[dict[str, Any]]:
    return [json.loads(row["leaf"]) | {"index": row["index"]} for row in world.facts("finding.raised")]


def listed(world: World, who: str = "erin", *, open_only: bool = False) -> list[RaisedFinding]:
    found, _ = world.broker.findings.findings(world.principal(who), open_only=open_only, before=None, limit=50)
    return found


def told(world: World) -> set[str]:
    found = MeaningCheck()
    for entry in world.store.entries():
        found.read(entry.index, entry.leaf)
    return {each.code for each in found.finish() if each.severity in {Severity.BROKEN, Severity.HIGH}}


def test_what_is_found_is_a_fact_with_its_evidence_and_once_however_often_it_is_found_again(world: World) -> None:
    world.follow(Detecting(store=world.store))
    attempt_own(world)
    [refusal] = world.facts("act.refused")
    world.follow()
    [finding] = raised(world)
    assert finding["data"]["detector"] == "self-approval-attempt"
    assert finding["data"]["evidence"] == [refusal["index"]]
    assert (finding["data"]["persons"], finding["data"]["severity"]) == (["alice"], "high")
    again = Detecting(store=world.store)  # a new process, and the same entries once more
    again.handle(list(world.store.entries()))
    again.handle(list(world.store.entries())[5:])
    assert len(raised(world)) == 1
    attempt_own(world)
    world.follow()
    assert len({each["subject"] for each in raised(world)}) == 2
    assert len(world.facts("detectors.began")) == 1


def test_after_a_start_it_remembers_what_came_before(world: World) -> None:
    world.follow(Detecting(store=world.store))
    for _ in range(4):
        world.draw(world.granted(what="orders-db-thrice"))
        world.issuing.issuer.office.nudge()
        world.follow()
    world.follow(Detecting(store=world.store))
    assert raised(world) == []
    world.granted(what="orders-db-thrice")
    world.follow()
    assert [each["data"]["detector"] for each in raised(world)] == ["frequent-grants"]
    assert raised(world)[0]["data"]["owner"] == "orders-owners"
    assert len(raised(world)[0]["data"]["evidence"]) == 5


def test_a_crash_between_finding_and_recording_loses_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    follower = Detecting(store=world.store)
    world.follow(follower)
    attempt_own(world)
    with monkeypatch.context() as patched:
        patched.setattr(detecting, "_record", lambda *_: 1 / 0)
        world.follow()
    assert raised(world) == []
    world.clock.forward(seconds=1)
    world.follow()
    assert len(raised(world)) == 1


def test_a_long_log_is_read_in_turns_at_a_start(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    attempt_own(world)
    world.follow(Detecting(store=world.store))
    monkeypatch.setattr(detecting, "READING_S", -1.0)
    attempt_own(world)
    world.follow(Detecting(store=world.store))
    [lag] = [each for each in world.broker.followers.look() if each.name == "detectors"]
    assert str(lag.error).startswith("reading what was written before")
    for _ in range(60):
        world.clock.forward(seconds=60)
        world.follow()
    assert len(raised(world)) == 2


def test_in_a_running_broker_it_takes_less_than_a_second(world: World) -> None:
    world.followers = (Detecting(store=world.store),)
    world.restart()
    world.running.metronome.start()
    try:
        time.sleep(0.5)
        attempt_own(world)
        begun = time.monotonic()
        while not raised(world):
            assert time.monotonic() - begun < 10
            time.sleep(0.01)
        assert time.monotonic() - begun < 1
    finally:
        world.running.metronome.stop()
        world.broker.followers.stop()


def test_thresholds_are_those_that_two_people_countersigned(world: World) -> None:
    world.follow(Detecting(store=world.store))
    world.adopt(catalog={**CATALOG, "trust": {"thresholds": {"grants_per_day": 2}}})
    world.granted()
    world.granted()
    world.follow()
    assert [each["data"]["detector"] for each in raised(world)] == ["frequent-grants"]
    assert told(world) == set()


def test_an_approver_who_reports_to_who_asked_is_told_of(world: World) -> None:
    persons = [
        person
        | ({"manager": "carol"} if person["id"] == "bob" else {"manager": "alice"} if person["id"] == "carol" else {})
        for person in DIRECTORY["person"]
    ]
    world.adopt(directory={**DIRECTORY, "person": persons})
    world.follow(Detecting(store=world.store))
    world.granted("alice")
    world.granted("dave")
    world.follow()
    [finding] = raised(world)
    assert finding["data"]["detector"] == "reporting-line"
    assert finding["data"]["persons"] == ["alice", "bob"]


def test_findings_are_acknowledged_by_somebody_independent_once(world: World) -> None:
    world.follow(Detecting(store=world.store))
    attempt_own(world)
    world.adopt(catalog={**CATALOG, "trust": {"thresholds": {"grants_per_day": 1}}})
    world.granted()
    world.follow()
    findings = world.broker.findings
    frequent, own = sorted(listed(world), key=lambda each: each.detector)
    assert [each.detector for each in (frequent, own)] == ["frequent-grants", "self-approval-attempt"]
    assert listed(world, "bob") == [frequent]
    assert listed(world, "alice") == []
    for who, error in (("alice", NotFound), ("frank", NotFound), ("bob", SelfReview), ("olga", NotEligible)):
        with pytest.raises(error):
            findings.acknowledge(world.principal(who), frequent.id, comment="nothing to see")
    seen = findings.acknowledge(world.principal("carol"), frequent.id, comment="a migration, as announced")
    assert (seen.acknowledged_by, seen.acknowledged_at) == ("carol", world.clock())
    with pytest.raises(WrongState):
        findings.acknowledge(world.principal("erin"), frequent.id, comment="me too")
    assert [each.id for each in listed(world, open_only=True) if each.detector == "self-approval-attempt"] == [own.id]
    assert told(world) == set()


@pytest.mark.parametrize("change", [{"severity": "low"}, {"detail": "nothing"}, {"acknowledged_by": "alice"}])
def test_the_database_changes_no_finding_and_no_acknowledgement(world: World, change: dict[str, str]) -> None:
    world.follow(Detecting(store=world.store))
    attempt_own(world)
    world.follow()
    [finding] = listed(world)
    world.broker.findings.acknowledge(world.principal("erin"), finding.id, comment="I looked")
    for statement in (sa.update(finding_tables.findings).values(**change), sa.delete(finding_tables.findings)):
        with pytest.raises((Refused, sa.exc.DBAPIError)), world.store.begin() as tx:
            tx._connection.execute(statement)
