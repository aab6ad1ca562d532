"""A grant: every edge, and every boundary of a draw."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from countersign.domain.grant import TRANSITIONS, Grant, GrantEvent, GrantState
from countersign.domain.people import Principal
from countersign.domain.refusals import DrawsExhausted, NotYours, WindowOver, WrongState

OPENED = datetime(2026, 11, 22, 22, 0, tzinfo=UTC)
DRAW_BY = OPENED + timedelta(minutes=10)
TICK = timedelta(microseconds=1)
ALICE = Principal(id="alice", person="alice")
EDGES = {
    (GrantState.OPEN, GrantEvent.END): GrantState.ENDED,
    (GrantState.OPEN, GrantEvent.REVOKE): GrantState.REVOKED,
    (GrantState.OPEN, GrantEvent.RETURN): GrantState.RETURNED,
}


def grant(draws: int = 2) -> Grant:
    return Grant(
        id="grt_aaaaaaaaaaaaaaaa",
        request_id="req_aaaaaaaaaaaaaaaa",
        request_digest="ab" * 32,
        person="alice",
        entitlement="orders-db-read",
        target="orders-db",
        duration=timedelta(minutes=30),
        draws=draws,
        opened_at=OPENED,
        draw_by=DRAW_BY,
    )


@pytest.mark.parametrize(("state", "event"), list(product(GrantState, GrantEvent)))
def test_exactly_these_edges_exist(state: GrantState, event: GrantEvent) -> None:
    held = replace(grant(), state=state, version=3)
    if (state, event) in EDGES:
        assert held.after(event) == replace(held, state=EDGES[state, event], version=4)
        return
    with pytest.raises(WrongState, match=f"grt_aaaaaaaaaaaaaaaa is {state}; it can no longer {event}"):
        held.after(event)


def test_the_table_of_edges_is_this() -> None:
    assert dict(TRANSITIONS) == EDGES


def test_the_first_draw_starts_the_clock() -> None:
    now = OPENED + timedelta(minutes=3)
    drawn = grant().prepare(ALICE, now)
    assert drawn == replace(grant(), draws_used=1, not_after=now + timedelta(minutes=30), version=2)


def test_the_first_draw_is_possible_until_the_very_moment_of_draw_by() -> None:
    assert grant().prepare(ALICE, DRAW_BY - TICK).draws_used == 1
    for late in (DRAW_BY, DRAW_BY + TICK):
        with pytest.raises(WindowOver, match=r"could be drawn until 2026-11-22T22:10:00\.000Z"):
            grant().prepare(ALICE, late)


def test_a_second_draw_never_extends_the_time() -> None:
    first = grant().prepare(ALICE, OPENED)
    second = first.prepare(ALICE, OPENED + timedelta(minutes=20))
    assert second == replace(first, draws_used=2, version=3)
    assert second.not_after == OPENED + timedelta(minutes=30)


def test_a_second_draw_may_come_after_draw_by_and_until_the_very_end() -> None:
    first = grant().prepare(ALICE, OPENED)
    end = OPENED + timedelta(minutes=30)
    assert first.prepare(ALICE, end - TICK).draws_used == 2
    for late in (end, end + TICK):
        with pytest.raises(WindowOver, match=r"ended at 2026-11-22T22:30:00\.000Z"):
            first.prepare(ALICE, late)


def test_no_draw_beyond_the_approved_number() -> None:
    used = grant(draws=1).prepare(ALICE, OPENED)
    with pytest.raises(DrawsExhausted) as caught:
        used.prepare(ALICE, OPENED)
    assert caught.value.rule == "entitlement orders-db-read: draws = 1"


def test_an_exhausted_grant_whose_time_is_over_says_that_it_is_over() -> None:
    used = grant(draws=1).prepare(ALICE, OPENED)
    with pytest.raises(WindowOver):
        used.prepare(ALICE, OPENED + timedelta(minutes=30))


def test_any_principal_of_the_person_draws_and_nobody_else() -> None:
    assert grant().prepare(Principal(id="alice-ci", person="alice", human=False), OPENED).draws_used == 1
    for stranger in (Principal(id="bob", person="bob"), Principal(id="alice", person="bob")):
        with pytest.raises(NotYours):
            grant().prepare(stranger, OPENED)


@pytest.mark.parametrize("state", sorted(set(GrantState) - {GrantState.OPEN}))
def test_a_closed_grant_is_not_drawn(state: GrantState) -> None:
    with pytest.raises(WrongState, match=state.value):
        replace(grant(), state=state).prepare(ALICE, OPENED)


def test_a_strangers_draw_is_refused_as_such_before_anything_else_is_told() -> None:
    closed = replace(grant(), state=GrantState.REVOKED)
    with pytest.raises(NotYours):
        closed.prepare(Principal(id="bob", person="bob"), DRAW_BY)


def test_a_draw_given_back_can_be_drawn_again() -> None:
    drawn = grant(draws=1).prepare(ALICE, OPENED)
    back = drawn.given_back(clock_stops=False)
    assert back == replace(drawn, draws_used=0, version=3)
    again = back.prepare(ALICE, OPENED + timedelta(minutes=5))
    assert again.not_after == OPENED + timedelta(minutes=30)


def test_the_clock_starts_anew_only_if_nothing_was_served() -> None:
    back = grant(draws=1).prepare(ALICE, OPENED).given_back(clock_stops=True)
    assert back == replace(grant(draws=1), version=3)
    assert back.prepare(ALICE, OPENED + timedelta(minutes=5)).not_after == OPENED + timedelta(minutes=35)
    with pytest.raises(WindowOver):
        back.prepare(ALICE, DRAW_BY)


def test_more_draws_are_never_given_back_than_were_begun() -> None:
    with pytest.raises(WrongState, match="no draw to give back"):
        grant().given_back(clock_stops=True)


def test_an_open_grant_is_due_when_it_can_no_longer_be_used() -> None:
    assert grant().due == DRAW_BY
    assert grant().prepare(ALICE, OPENED).due == OPENED + timedelta(minutes=30)
