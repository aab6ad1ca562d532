"""The mark of an emergency, the word afterwards, and an envelope's digest."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from countersign.domain.emergency import AfterReview, Emergency, Verdict
from countersign.domain.envelope import Envelope
from countersign.domain.refusals import AlreadyReviewed, Invalid, SelfReview

NOW = datetime(2026, 11, 22, 22, 5, tzinfo=UTC)
OWED = AfterReview(
    grant_id="grt_aaaaaaaaaaaaaaaa",
    request_id="req_aaaaaaaaaaaaaaaa",
    person="alice",
    entitlement="e",
    incident="INC-7",
    drill=False,
    granters=("bob", "carol"),
    opened_at=NOW,
    due_at=NOW + timedelta(days=1),
)
ENVELOPE = Envelope(
    id="env_aaaaaaaaaaaaaaaa",
    entitlement="e",
    rule_digest="ab" * 32,
    not_before=NOW,
    not_after=NOW + timedelta(days=1),
    uses=2,
    max_duration=timedelta(minutes=5),
    proposed_by="bob",
    proposed_at=NOW,
)


@pytest.mark.parametrize("incident", ["IN", "INC-4711", "a.b_c-9", "x" * 40])
def test_an_incident_is_named_as_incidents_are(incident: str) -> None:
    assert Emergency(incident=incident).document() == {"incident": incident, "drill": False, "envelope": None}


@pytest.mark.parametrize("incident", ["", "x", "x" * 41, "-INC", ".x", "INC 7", "INC-7\n", "\uff29\uff2e\uff23", "a/b"])
def test_what_is_no_incident_is_no_emergency(incident: str) -> None:
    with pytest.raises(Invalid):
        Emergency(incident=incident)


@pytest.mark.parametrize("by", ["alice", "bob", "carol"])
def test_who_asked_and_who_granted_have_no_word_afterwards(by: str) -> None:
    with pytest.raises(SelfReview):
        OWED.reviewed(by=by, verdict=Verdict.JUSTIFIED, at=NOW)


def test_the_word_is_given_once() -> None:
    given = OWED.reviewed(by="dora", verdict=Verdict.NOT_JUSTIFIED, at=NOW)
    assert (given.reviewer, given.verdict, given.reviewed_at) == ("dora", Verdict.NOT_JUSTIFIED, NOW)
    with pytest.raises(AlreadyReviewed):
        given.reviewed(by="erik", verdict=Verdict.JUSTIFIED, at=NOW)


@pytest.mark.parametrize(
    "changed",
    [
        replace(ENVELOPE, id="env_bbbbbbbbbbbbbbbb"),
        replace(ENVELOPE, entitlement="f"),
        replace(ENVELOPE, rule_digest="cd" * 32),
        replace(ENVELOPE, not_before=NOW - timedelta(seconds=1)),
        replace(ENVELOPE, not_after=NOW + timedelta(days=2)),
        replace(ENVELOPE, uses=3),
        replace(ENVELOPE, max_duration=timedelta(minutes=6)),
        replace(ENVELOPE, proposed_by="carol"),
    ],
)
def test_everything_that_decides_is_in_the_digest_of_an_envelope(changed: Envelope) -> None:
    assert changed.digest != ENVELOPE.digest


def test_revoking_changes_no_digest_and_its_days_have_ends() -> None:
    assert replace(ENVELOPE, revoked_by="olga", revoked_at=NOW).digest == ENVELOPE.digest
    assert ENVELOPE.holds_at(NOW)
    assert not ENVELOPE.holds_at(NOW - timedelta(milliseconds=1))
    assert ENVELOPE.holds_at(ENVELOPE.not_after - timedelta(milliseconds=1))
    assert not ENVELOPE.holds_at(ENVELOPE.not_after)
