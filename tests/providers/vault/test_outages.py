"""OpenBao stopped, sealed, frozen or forgetful, and PostgreSQL away: nothing is taken for dead, and all dies in the end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import psycopg
import pytest
from tests.servers import Stack, now, order, ref_of

from countersign.domain.lease import Evidence, Standing
from countersign.providers.base import Away, LeaseRef, OutcomeUnknown
from countersign.providers.vault import VaultProvider


@pytest.fixture
def provider(openbao_stack: Stack) -> Iterator[VaultProvider]:
    made = openbao_stack.provider()
    yield made
    for stray in made.roll_call([openbao_stack.target()]):
        made.end_stray(stray)
    made.close()


@contextmanager
def openbao_down(stack: Stack) -> Iterator[None]:
    stack.openbao.kill()
    try:
        yield
    finally:
        stack.openbao.start()


@contextmanager
def postgres_down(stack: Stack) -> Iterator[None]:
    stack.postgres.stop_immediate()
    try:
        yield
    finally:
        stack.postgres.start()


@contextmanager
def frozen(pid: int | None) -> Iterator[None]:
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def is_dead(session: psycopg.Connection[tuple[object, ...]]) -> bool:
    try:
        session.execute("SELECT 1")
    except psycopg.OperationalError:
        return True
    return False


def looks(provider: VaultProvider, ref: LeaseRef) -> Standing:
    return provider.look([ref])[ref.lease_id].standing


def test_with_openbao_stopped_the_login_is_ended_at_the_target_and_death_waits_for_the_token(
    openbao_stack: Stack, provider: VaultProvider
) -> None:
    reservation = provider.reserve(order(openbao_stack))
    issued = provider.issue(reservation)
    ref = ref_of(reservation, issued)
    session = openbao_stack.login(issued)
    session.execute("SET ROLE orders_ro")
    with openbao_down(openbao_stack):
        began = time.monotonic()
        answer = provider.end(ref)
        assert time.monotonic() - began < 2
        assert answer.said["end"] == "dropped"
        assert "cannot be reached" in answer.said["openbao"]
        assert is_dead(session)
        with pytest.raises(psycopg.OperationalError):
            openbao_stack.login(issued)
        seen = provider.look([ref])[ref.lease_id]
        assert (seen.standing, seen.seen["role"], seen.seen["token"]) == (Standing.UNKNOWN, "absent", "unknown")
        over = LeaseRef(**{**vars(ref), "backstop_at": now() - timedelta(seconds=3)})
        computed = provider.look([over])[ref.lease_id]
        assert (computed.standing, computed.evidence) == (Standing.GONE, Evidence.COMPUTED)
        assert computed.seen["token"] == "over"
        just_over = LeaseRef(**{**vars(ref), "backstop_at": now()})
        assert looks(provider, just_over) is Standing.UNKNOWN
    assert looks(provider, ref) is Standing.LIVE
    time.sleep(2)  # OpenBao was away a moment ago, and is then not asked for two seconds
    assert provider.end(ref).said["token"] == "revoked"
    seen = provider.look([ref])[ref.lease_id]
    assert (seen.standing, seen.evidence) == (Standing.GONE, Evidence.OBSERVED)


def test_a_sealed_openbao_is_away_and_the_login_ends_all_the_same(
    openbao_stack: Stack, provider: VaultProvider
) -> None:
    reservation = provider.reserve(order(openbao_stack))
    issued = provider.issue(reservation)
    ref = ref_of(reservation, issued)
    waiting = provider.reserve(order(openbao_stack))
    openbao_stack.openbao.kill()
    openbao_stack.openbao.start_sealed()
    try:
        with pytest.raises(Away):
            provider.reserve(order(openbao_stack))
        with pytest.raises(OutcomeUnknown):
            provider.issue(waiting)
        assert "503" in provider.end(ref).said["openbao"]
        with pytest.raises(psycopg.OperationalError):
            openbao_stack.login(issued)
        assert looks(provider, ref) is Standing.UNKNOWN
    finally:
        openbao_stack.openbao.unseal()
    time.sleep(2)
    for each in (ref, ref_of(waiting)):
        provider.end(each)
        assert looks(provider, each) is Standing.GONE


def test_a_frozen_openbao_does_not_hold_up_the_cutting_of_anybody_s_session(
    openbao_stack: Stack, provider: VaultProvider
) -> None:
    drawn = []
    for _ in range(4):
        reservation = provider.reserve(order(openbao_stack))
        issued = provider.issue(reservation)
        drawn.append((ref_of(reservation, issued), openbao_stack.login(issued)))
    with frozen(openbao_stack.openbao.pid):
        began = time.monotonic()
        for ref, session in drawn:
            provider.end(ref)
            assert is_dead(session)
        assert time.monotonic() - began < 4  # the first one waits for OpenBao; the others find that it is away
    time.sleep(2)
    for ref, _ in drawn:
        provider.end(ref)
        assert looks(provider, ref) is Standing.GONE


def test_issuing_against_a_frozen_openbao_is_unknown_in_time_and_what_arrives_late_is_ended(
    openbao_stack: Stack, provider: VaultProvider
) -> None:
    reservation = provider.reserve(order(openbao_stack))
    ref = ref_of(reservation)
    with frozen(openbao_stack.openbao.pid):
        began = time.monotonic()
        with pytest.raises(OutcomeUnknown):
            provider.issue(reservation)
        assert time.monotonic() - began < 8
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        provider.end(ref)
        if looks(provider, ref) is Standing.GONE:
            break
    assert looks(provider, ref) is Standing.GONE
    time.sleep(0.3)
    assert looks(provider, ref) is Standing.GONE


def test_with_the_target_away_nothing_is_dead_and_the_order_to_end_says_so(
    openbao_stack: Stack, provider: VaultProvider
) -> None:
    reservation = provider.reserve(order(openbao_stack))
    issued = provider.issue(reservation)
    ref = ref_of(reservation, issued)
    waiting = provider.reserve(order(openbao_stack))
    with postgres_down(openbao_stack):
        with pytest.raises(OutcomeUnknown):
            provider.issue(waiting)
        with pytest.raises(Away):
            provider.end(ref)
        seen = provider.look([ref])[ref.lease_id]
        assert (seen.standing, "127.0.0.1" in str(seen.seen["target"])) == (Standing.UNKNOWN, True)
        with pytest.raises(Away):
            list(provider.roll_call([openbao_stack.target()]))
    # OpenBao took the order while the target was away: it said "revoked", and the login stands.
    openbao_stack.login(issued).close()
    assert looks(provider, ref) is Standing.LIVE
    for each in (ref, ref_of(waiting)):
        provider.end(each)
        assert looks(provider, each) is Standing.GONE
    with pytest.raises(psycopg.OperationalError):
        openbao_stack.login(issued)


def test_a_frozen_target_is_away_in_time(openbao_stack: Stack, provider: VaultProvider) -> None:
    reservation = provider.reserve(order(openbao_stack))
    issued = provider.issue(reservation)
    ref = ref_of(reservation, issued)
    backend = _backends_of_broker(openbao_stack)[0]
    with frozen(backend):
        began = time.monotonic()
        assert looks(provider, ref) is Standing.UNKNOWN
        assert time.monotonic() - began < 7
    provider.end(ref)
    assert looks(provider, ref) is Standing.GONE


def test_what_can_be_listed_is_listed_before_the_roll_call_says_that_something_was_not(
    openbao_stack: Stack, provider: VaultProvider
) -> None:
    reservation = provider.reserve(order(openbao_stack))
    issued = provider.issue(reservation)
    seen = []
    with openbao_down(openbao_stack):
        roll = provider.roll_call([openbao_stack.target()])
        seen.append(next(roll).lease_id)
        with pytest.raises(Away):
            next(roll)
    assert seen == [reservation.order.lease_id]
    provider.end(ref_of(reservation, issued))


def test_the_broker_s_login_survives_openbao_s_restart_and_the_loss_of_its_token(
    openbao_stack: Stack, provider: VaultProvider
) -> None:
    first = provider.reserve(order(openbao_stack))
    openbao_stack.openbao.restart()
    second = provider.reserve(order(openbao_stack))
    client = openbao_stack.openbao.client()
    client.token = provider._tokens._broker._current(time.monotonic() + 5).text
    client.auth.token.revoke_accessor(client.auth.token.lookup_self()["data"]["accessor"])
    third = provider.reserve(order(openbao_stack))
    for reservation in (first, second, third):
        provider.end(ref_of(reservation))
        assert looks(provider, ref_of(reservation)) is Standing.GONE


def _backends_of_broker(stack: Stack) -> list[int]:
    """The process ids, as this machine sees them, of the sessions that the broker holds at the target."""
    with stack.owner() as owner:
        rows = owner.execute("SELECT pid FROM pg_stat_activity WHERE usename = 'countersign_broker'").fetchall()
    return [pid for (pid,) in rows]
