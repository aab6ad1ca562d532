"""A request: every edge and every absent edge, and a digest that binds what decides."""

from __future__ import annotations

import hashlib
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from countersign.domain.refusals import WindowOver, WrongState
from countersign.domain.request import TRANSITIONS, Request, RequestEvent, RequestState, Sealed

NOW = datetime(2026, 11, 22, 22, 5, tzinfo=UTC)
EDGES = {
    (RequestState.PENDING, RequestEvent.APPROVE): RequestState.APPROVED,
    (RequestState.PENDING, RequestEvent.DENY): RequestState.DENIED,
    (RequestState.PENDING, RequestEvent.WITHDRAW): RequestState.WITHDRAWN,
    (RequestState.PENDING, RequestEvent.LAPSE): RequestState.LAPSED,
}


def request() -> Request:
    return Request(
        id="req_aaaaaaaaaaaaaaaa",
        person="alice",
        principal="alice-laptop",
        entitlement="orders-db-read",
        rule_digest="ab" * 32,
        parameters={"table": "orders"},
        duration=timedelta(minutes=30),
        reason=Sealed(text="repair", salt=b"\x01" * 16),
        ticket=Sealed(text="OPS-1", salt=b"\x02" * 16),
        submitted_at=NOW,
        lapses_at=NOW + timedelta(hours=1),
    )


@pytest.mark.parametrize(("state", "event"), list(product(RequestState, RequestEvent)))
def test_exactly_these_edges_exist(state: RequestState, event: RequestEvent) -> None:
    asked = replace(request(), state=state, version=7)
    if (state, event) in EDGES:
        assert asked.can(event)
        assert asked.after(event) == replace(asked, state=EDGES[state, event], version=8)
        return
    assert not asked.can(event)
    with pytest.raises(WrongState, match=f"req_aaaaaaaaaaaaaaaa is {state}; it can no longer {event}"):
        asked.after(event)


def test_the_table_of_edges_cannot_be_changed() -> None:
    assert dict(TRANSITIONS) == EDGES
    with pytest.raises(TypeError):
        TRANSITIONS[RequestState.DENIED, RequestEvent.APPROVE] = RequestState.APPROVED  # type: ignore[index]  # the attempt is the test


def test_a_state_is_not_assigned() -> None:
    with pytest.raises(FrozenInstanceError):
        request().state = RequestState.APPROVED  # type: ignore[misc]  # the attempt is the test


def test_the_digest_is_of_these_bytes() -> None:
    reason = hashlib.sha256(b"\x01" * 16 + b"repair").hexdigest()
    ticket = hashlib.sha256(b"\x02" * 16 + b"OPS-1").hexdigest()
    statement = (
        '{"duration_s":1800,"entitlement":"orders-db-read","id":"req_aaaaaaaaaaaaaaaa","parameters":{"table":"orders"},'
        f'"person":"alice","reason":"{reason}","rule":"{"ab" * 32}","submitted_at":"2026-11-22T22:05:00.000Z",'
        f'"ticket":"{ticket}"}}'
    )
    assert request().digest == hashlib.sha256(b"countersign/request/v1\n" + statement.encode()).hexdigest()
    assert request().digest == "6dfa707c513706547459ebcf513cc862e54565c71a88e65edf185c8dad88aeef"


@pytest.mark.parametrize(
    "changed",
    [
        {"id": "req_baaaaaaaaaaaaaaa"},
        {"person": "dave"},
        {"entitlement": "orders-db-write"},
        {"rule_digest": "cd" * 32},
        {"parameters": {"table": "customers"}},
        {"parameters": {}},
        {"duration": timedelta(minutes=31)},
        {"reason": Sealed(text="repair!", salt=b"\x01" * 16)},
        {"reason": Sealed(text="repair", salt=b"\x03" * 16)},
        {"ticket": None},
        {"submitted_at": NOW + timedelta(milliseconds=1)},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_whatever_decides_is_bound_by_the_digest(changed: dict[str, object]) -> None:
    assert replace(request(), **changed).digest != request().digest  # type: ignore[arg-type]  # one field of its own type each


def test_what_happens_to_a_request_leaves_its_digest() -> None:
    assert request().after(RequestEvent.APPROVE).digest == request().digest
    assert replace(request(), principal="alice-ci").digest == request().digest


def test_the_statement_holds_no_free_text() -> None:
    text = str(request().statement())
    assert "repair" not in text
    assert "OPS-1" not in text
    assert replace(request(), ticket=None).statement()["ticket"] is None


def test_a_pending_request_is_reviewable_until_the_very_moment_it_lapses() -> None:
    asked = request()
    asked.demand_reviewable(asked.lapses_at - timedelta(milliseconds=1))
    for late in (asked.lapses_at, asked.lapses_at + timedelta(days=1)):
        with pytest.raises(WindowOver, match=r"2026-11-22T23:05:00\.000Z"):
            asked.demand_reviewable(late)


@pytest.mark.parametrize("state", sorted(set(RequestState) - {RequestState.PENDING}))
def test_a_decided_request_is_not_reviewable(state: RequestState) -> None:
    with pytest.raises(WrongState, match=state.value):
        replace(request(), state=state).demand_reviewable(NOW)
