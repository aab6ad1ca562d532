"""Facts: each has its own tag, is spelled canonically, and shows of free text only the commitment."""

from __future__ import annotations

import dataclasses
from datetime import datetime

import pytest
from tests.kinds import KINDS, MOMENT, SEALED, TEXT, Colour, example

from countersign.domain.canonical import canonical
from countersign.domain.facts import BROKER, Fact
from countersign.domain.ids import is_name
from countersign.domain.lease_facts import Anomaly, LeaseIssued
from countersign.domain.request import Sealed
from countersign.domain.request_facts import RequestSubmitted, ReviewRecorded
from countersign.domain.timestamps import NotATime

TAGS = {
    "act.refused",
    "audit.asked",
    "audit.read",
    "audit.reviewed",
    "break-glass.opened",
    "break-glass.reviewed",
    "break-glass.unreviewed",
    "broker.started",
    "campaign.closed",
    "campaign.decided",
    "campaign.started",
    "checkpoint.clock",
    "clock.stepped",
    "counter.proposed",
    "detectors.began",
    "envelope.proposed",
    "envelope.revoked",
    "envelope.signed",
    "erasure.approved",
    "erasure.asked",
    "finding.acknowledged",
    "finding.raised",
    "grant.closed",
    "grant.opened",
    "issuer.groups-said",
    "issuer.logout",
    "lease.dead",
    "lease.end-asked",
    "lease.end-written",
    "lease.idle",
    "lease.issued",
    "lease.overdue",
    "lease.prepared",
    "lease.reserved",
    "log.checked",
    "log.failed",
    "membership.removed",
    "notice.delivered",
    "notice.failed",
    "notice.unaddressed",
    "passkey.enrolled",
    "passkey.founded",
    "passkey.proposed",
    "passkey.removal-asked",
    "passkey.removed",
    "passkey.vouched",
    "person.disabled",
    "provider.anomaly",
    "records.began",
    "records.gap",
    "records.heard",
    "records.silent",
    "request.approved-automatically",
    "request.decided",
    "request.seen",
    "request.submitted",
    "review.recorded",
    "rulebook.adopted",
    "rulebook.decided",
    "rulebook.proposed",
    "rulebook.signed",
    "rulebook.written",
    "session.ended",
    "session.opened",
    "session.refresh-reused",
    "sign-in.refused",
    "stop.lift-asked",
    "stop.lifted",
    "stop.placed",
    "target.stopped",
    "texts.erased",
    "token.issued",
    "token.revoked",
    "trust.mismatched",
    "witness.disputed",
}


def test_every_tag_is_known_and_used_once() -> None:
    tags = [kind.type for kind in KINDS]
    assert len(tags) == len(set(tags))
    assert set(tags) >= TAGS, "a tag never goes away: the log may hold it"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.type)
def test_every_fact_is_spelled_canonically_without_its_free_texts(kind: type[Fact]) -> None:
    fact = example(kind)
    data = fact.data()
    assert TEXT.encode() not in canonical(data)
    assert set(data) == {field.name for field in dataclasses.fields(kind)} - {"actor", "subject"}
    sealed = {field.name for field in dataclasses.fields(kind) if getattr(fact, field.name) is SEALED}
    assert fact.openings() == dict.fromkeys(sealed, SEALED)
    for name in sealed:
        assert data[name] == SEALED.commitment


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.type)
def test_no_fact_can_be_changed(kind: type[Fact]) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        example(kind).actor = "mallory"  # type: ignore[misc]  # the attempt is the test


def test_values_are_spelled_as_plain_json() -> None:
    fact = Anomaly(
        actor="countersign/reconcile",
        subject="lse_aaaaaaaaaaaaaaaa",
        provider="vault",
        kind="orphan",
        seen={"at": MOMENT, "list": [1, (2,)], "colour": Colour.RED, "sealed": SEALED, "set": {"b", "a"}},
    )
    assert fact.data() == {
        "provider": "vault",
        "kind": "orphan",
        "seen": {
            "at": "2026-11-22T22:05:00.123Z",
            "list": [1, [2]],
            "colour": "red",
            "sealed": SEALED.commitment,
            "set": ["a", "b"],
        },
    }


def test_a_set_is_spelled_in_order() -> None:
    fact = ReviewRecorded(
        actor="bob", subject="req_x", principal="bob", decision="approve", digest="d", groups=frozenset("cab")
    )
    assert fact.data() == {
        "principal": "bob",
        "decision": "approve",
        "digest": "d",
        "groups": ["a", "b", "c"],
        "comment": None,
        "signature": None,
    }
    assert fact.openings() == {}


def test_both_free_texts_of_a_request_are_opened_by_name() -> None:
    ticket = Sealed(text="OPS-1", salt=b"\x08" * 16)
    fact = RequestSubmitted(
        actor="alice",
        subject="req_x",
        principal="alice",
        digest="d",
        statement={},
        lapses_at=MOMENT,
        reason=SEALED,
        ticket=ticket,
    )
    assert fact.openings() == {"reason": SEALED, "ticket": ticket}


def test_a_fact_with_a_time_without_a_zone_is_refused() -> None:
    fact = LeaseIssued(actor="a", subject="b", grant="g", expires_at=datetime(2026, 1, 1))  # noqa: DTZ001 - the missing zone is the point
    with pytest.raises(NotATime):
        fact.data()


def test_no_person_can_pass_for_the_broker() -> None:
    assert BROKER == "countersign"
    assert not is_name(f"{BROKER}/sweep")
