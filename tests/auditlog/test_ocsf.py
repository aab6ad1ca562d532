"""Entries as OCSF events: each keeps the schema, says whom it concerns, and can be taken back to its entry."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.auditlog.forging import honest
from tests.auditlog.ocsf_1_9 import problems_of
from tests.kinds import KINDS, example
from tests.world import BEGINNING

from countersign.auditlog import ocsf
from countersign.auditlog.leaf import Leaf, NotALeaf
from countersign.auditlog.merkle import leaf_hash
from countersign.auditlog.ocsf import Events
from countersign.domain.canonical import canonical


def events_of(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    events, made = Events("logs.example/x"), []
    for index, row in enumerate(rows):
        leaf = canonical(row)
        made.append(json.loads(events.event(index, leaf, leaf_hash(leaf))[1]))
    return made


def test_every_event_of_an_honest_log_keeps_the_schema_and_holds_its_entry() -> None:
    log = honest()
    for index, event in enumerate(events_of(log)):
        assert problems_of(event) == [], log[index]["type"]
        assert event["unmapped"] == log[index]
        assert event["metadata"]["sequence"] == index
        [attested] = event["attestation_list"]
        assert attested["fingerprint"]["value"] == leaf_hash(canonical(log[index])).hex()


def test_every_kind_of_fact_becomes_an_event_that_keeps_the_schema() -> None:
    rows = []
    for kind in KINDS:
        fact = example(kind)
        leaf = Leaf(type=fact.type, at=BEGINNING, actor=fact.actor, subject=fact.subject, data=fact.data())
        rows.append(json.loads(leaf.encode()))
    for event in events_of(rows):
        assert problems_of(event) == [], event["unmapped"]["type"]
        assert event["class_uid"], event["unmapped"]["type"]


def test_an_approval_by_rule_alone_is_an_activation_and_nothing_unlisted() -> None:
    row = honest()[0] | {"type": "request.approved-automatically", "subject": "req_aaaaaaaaaaaaaaaa"}
    [event] = events_of([row])
    assert (event["type_uid"], event["entity"]["type"]) == (300410, "request")


def test_what_a_newer_broker_says_is_an_event_too() -> None:
    row = honest()[0] | {"type": "moon.phased"}
    [event] = events_of([row])
    assert (event["class_uid"], event["type_uid"]) == (3004, 300499)
    assert problems_of(event) == []


@pytest.mark.parametrize(
    "changed", [{"subject": 1}, {"actor": None}, {"data": []}, {"at": "tomorrow"}, {"type": {}}], ids=str
)
def test_what_is_no_leaf_becomes_no_event(changed: dict[str, Any]) -> None:
    with pytest.raises(NotALeaf):
        events_of([honest()[0] | changed])


def test_a_credential_is_its_persons_from_the_first_event_to_the_last() -> None:
    events = [event for event in events_of(honest()) if event["class_uid"] == 3007]
    assert {event["user"]["uid"] for event in events} == {"alice", "dave"}


def test_of_very_many_credentials_the_newest_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocsf, "_REMEMBERED", 10)
    log = honest()
    opened, closed = (next(row for row in log if row["type"] == kind) for kind in ("grant.opened", "grant.closed"))
    opens = [opened | {"subject": f"grt_{number:016d}"} for number in range(100)]
    closes = [closed | {"subject": row["subject"]} for row in opens]
    named = [event["user"]["uid"] == "unknown" for event in events_of([*opens, *closes])[100:]]
    assert named == sorted(named, reverse=True)
    assert 5 <= named.count(False) <= 10


def test_texts_that_would_break_out_of_json_do_not() -> None:
    refused = next(row for row in honest() if row["type"] == "request.submitted") | {
        "type": "act.refused",
        "subject": 'x","class_uid":1,"y":"\u2028\n',
        "data": {"principal": "a", "act": "b", "code": '"}', "rule": None},
    }
    [event] = events_of([refused])
    assert problems_of(event) == []
    assert event["entity"]["uid"] == refused["subject"]
    assert event["status_code"] == '"}'
