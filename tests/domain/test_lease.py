"""A lease: every edge, and an end that is written only with a certificate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from countersign.domain.lease import (
    PREPARED_FOR_AT_MOST,
    TRANSITIONS,
    Cause,
    Evidence,
    Lease,
    LeaseEvent,
    LeaseState,
    Sighting,
    Standing,
)
from countersign.domain.refusals import WrongState

NOW = datetime(2026, 11, 22, 22, 0, tzinfo=UTC)
DEATH = Sighting(standing=Standing.GONE, at=NOW + timedelta(seconds=2), evidence=Evidence.COMPUTED)
EDGES = {
    (LeaseState.PREPARED, LeaseEvent.ISSUE): LeaseState.ACTIVE,
    (LeaseState.PREPARED, LeaseEvent.REVOKE): LeaseState.REVOKING,
    (LeaseState.ACTIVE, LeaseEvent.REVOKE): LeaseState.REVOKING,
    (LeaseState.REVOKING, LeaseEvent.DIE): LeaseState.REVOKED,
}
ACTS: dict[LeaseEvent, Callable[[Lease], Lease]] = {
    LeaseEvent.ISSUE: lambda lease: lease.issued({"role_oid": 5}),
    LeaseEvent.REVOKE: lambda lease: lease.revoking(cause=Cause.RETURNED, now=NOW),
    LeaseEvent.DIE: lambda lease: lease.dead(DEATH),
}


def lease(state: LeaseState = LeaseState.PREPARED) -> Lease:
    return Lease(
        id="lse_aaaaaaaaaaaaaaaa",
        grant_id="grt_aaaaaaaaaaaaaaaa",
        request_id="req_aaaaaaaaaaaaaaaa",
        person="alice",
        entitlement="orders-db-read",
        provider="vault",
        target={"id": "orders-db"},
        prepared_at=NOW,
        not_after=NOW + timedelta(minutes=5),
        backstop_at=NOW + timedelta(minutes=6),
        due=NOW + PREPARED_FOR_AT_MOST,
        handle={"accessor": "x"},
        state=state,
        version=4,
    )


@pytest.mark.parametrize(("state", "event"), list(product(LeaseState, LeaseEvent)))
def test_exactly_these_edges_exist(state: LeaseState, event: LeaseEvent) -> None:
    held = lease(state)
    if (state, event) in EDGES:
        after = ACTS[event](held)
        assert after.state is EDGES[state, event]
        assert after.version == 5
        return
    with pytest.raises(WrongState, match=f"is {state}; it can no longer {event}"):
        ACTS[event](held)


def test_the_table_of_edges_is_this() -> None:
    assert dict(TRANSITIONS) == EDGES


def test_a_new_lease_is_prepared_for_fifteen_seconds_and_knows_nothing_of_its_end() -> None:
    assert timedelta(seconds=15) == PREPARED_FOR_AT_MOST
    new = lease()
    assert (new.generation, new.tries, new.overdue) == (1, 0, False)
    assert (new.cause, new.asked_at, new.written_at, new.dead_at, new.evidence) == (None,) * 5


def test_a_reservation_adds_its_handle_and_changes_nothing_else() -> None:
    assert lease().reserved({"token": "y"}) == replace(lease(), handle={"accessor": "x", "token": "y"}, version=5)


@pytest.mark.parametrize("state", sorted(set(LeaseState) - {LeaseState.PREPARED}))
def test_only_a_prepared_lease_is_reserved(state: LeaseState) -> None:
    with pytest.raises(WrongState, match=f"is {state}; it can no longer be reserved"):
        lease(state).reserved({})


def test_an_issued_lease_is_due_at_its_promised_second() -> None:
    assert lease().issued({"role_oid": 5}) == replace(
        lease(),
        state=LeaseState.ACTIVE,
        handle={"accessor": "x", "role_oid": 5},
        due=NOW + timedelta(minutes=5),
        version=5,
    )


@pytest.mark.parametrize("state", [LeaseState.PREPARED, LeaseState.ACTIVE])
def test_an_end_is_due_at_once_with_its_cause(state: LeaseState) -> None:
    at = NOW + timedelta(minutes=1)
    assert lease(state).revoking(cause=Cause.STOPPED, now=at) == replace(
        lease(state), state=LeaseState.REVOKING, cause=Cause.STOPPED, asked_at=at, due=at, version=5
    )


@pytest.mark.parametrize("standing", Standing)
def test_only_what_was_seen_denied_or_gone_is_dead(standing: Standing) -> None:
    sighting = Sighting(standing=standing, at=NOW)
    ending = replace(lease(LeaseState.REVOKING), overdue=True, tries=3)
    if standing in {Standing.DENIED, Standing.GONE}:
        assert sighting.is_death
        assert ending.dead(sighting) == replace(
            ending, state=LeaseState.REVOKED, dead_at=NOW, evidence=Evidence.OBSERVED, overdue=False, version=5
        )
        return
    assert not sighting.is_death
    with pytest.raises(WrongState, match=f"was seen {standing}; that is no death"):
        ending.dead(sighting)


def test_a_computed_end_says_so() -> None:
    assert lease(LeaseState.REVOKING).dead(DEATH).evidence is Evidence.COMPUTED
    assert lease(LeaseState.REVOKING).dead(DEATH).dead_at == DEATH.at


def test_a_lease_still_alive_stays_due_and_counts_the_try() -> None:
    due, written = NOW + timedelta(seconds=1), NOW + timedelta(milliseconds=500)
    ending = lease(LeaseState.REVOKING)
    once = ending.still_alive(due=due, written_at=written, overdue=False)
    assert once == replace(ending, due=due, tries=1, written_at=written, overdue=False, version=5)
    twice = once.still_alive(due=due, written_at=None, overdue=True)
    assert twice == replace(once, tries=2, overdue=True, version=6)
    thrice = twice.still_alive(due=due, written_at=due, overdue=False)
    assert thrice == replace(twice, tries=3, written_at=due, overdue=True, version=7)


@pytest.mark.parametrize("state", sorted(set(LeaseState) - {LeaseState.REVOKING}))
def test_only_a_lease_that_is_being_ended_can_be_overdue(state: LeaseState) -> None:
    with pytest.raises(WrongState, match="not being ended"):
        lease(state).still_alive(due=NOW, written_at=None, overdue=True)


def test_an_issued_lease_may_be_looked_after_earlier_but_never_later_than_its_promised_second() -> None:
    early, late = NOW + timedelta(minutes=1), NOW + timedelta(minutes=9)
    assert lease().issued({}, receipt_due=early).due == early
    assert lease().issued({}, receipt_due=late).due == NOW + timedelta(minutes=5)


def test_a_credential_that_was_picked_up_is_next_due_at_its_promised_second() -> None:
    active = lease().issued({}, receipt_due=NOW + timedelta(minutes=1))
    assert active.received() == replace(active, due=NOW + timedelta(minutes=5), version=6)


@pytest.mark.parametrize("state", sorted(set(LeaseState) - {LeaseState.ACTIVE}))
def test_a_receipt_matters_to_an_active_lease_only(state: LeaseState) -> None:
    with pytest.raises(WrongState, match="receipt no longer matters"):
        lease(state).received()


def test_a_claimed_lease_is_due_again_when_the_claim_runs_out() -> None:
    until = NOW + timedelta(seconds=40)
    assert lease().claimed(until) == replace(lease(), due=until, version=5)
