"""Entries as OCSF events: each keeps the schema, says whom it concerns, and can be taken back to its entry."""

from __future__ import annotations

import json
from typing import Any

from tests.auditlog.forging import honest
from tests.auditlog.ocsf_1_9 import problems_of
from tests.kinds import KINDS, example
from tests.world import BEGINNING

from countersign.auditlog.leaf import Leaf
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


def test_a_credential_is_its_persons_from_the_first_event_to_the_last() -> None:
    events = [event for event in events_of(honest()) if event["class_uid"] == 3007]
    assert {event["user"]["uid"] for event in events} == {"alice", "dave"}


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
