"""The login hammer: a requester who signs in over and over while his lease is ended. No reader may be left."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress

import psycopg
import pytest
from tests.servers import Stack, order, ref_of

from countersign.domain.lease import Standing
from countersign.providers.base import Issued

RUNS = int(os.environ.get("COUNTERSIGN_HAMMER_RUNS", "50"))
HAMMERS = 6


class Hammer(threading.Thread):
    """Signs in, does SET ROLE and keeps every session that it gets."""

    def __init__(self, stack: Stack, issued: Issued) -> None:
        super().__init__()
        self.stack, self.issued = stack, issued
        self.stop = threading.Event()
        self.sessions: list[psycopg.Connection[tuple[object, ...]]] = []

    def run(self) -> None:
        while not self.stop.is_set():
            with suppress(psycopg.Error):
                session = self.stack.login(self.issued)
                self.sessions.append(session)
                session.execute("SET ROLE orders_ro")


def readers(hammers: list[Hammer]) -> int:
    alive = 0
    for session in [session for hammer in hammers for session in hammer.sessions]:
        with suppress(psycopg.Error):
            session.execute("SELECT count(*) FROM orders")
            alive += 1
        session.close()
    return alive


@pytest.mark.slow
def test_no_reader_is_left_under_a_login_hammer(openbao_stack: Stack) -> None:
    provider = openbao_stack.provider()
    left, took, unseen = [], [], 0
    for _ in range(RUNS):
        reservation = provider.reserve(order(openbao_stack))
        issued = provider.issue(reservation)
        ref = ref_of(reservation, issued)
        hammers = [Hammer(openbao_stack, issued) for _ in range(HAMMERS)]
        for hammer in hammers:
            hammer.start()
        deadline = time.monotonic() + 2
        while not any(hammer.sessions for hammer in hammers) and time.monotonic() < deadline:
            time.sleep(0.005)
        assert any(hammer.sessions for hammer in hammers), "the control: the hammer gets in"
        time.sleep(0.02)
        began = time.monotonic()
        provider.end(ref)
        unseen += provider.look([ref])[ref.lease_id].standing is not Standing.GONE
        took.append(time.monotonic() - began)
        for hammer in hammers:
            hammer.stop.set()
        for hammer in hammers:
            hammer.join()
        left.append(readers(hammers))
    provider.close()
    assert left == [0] * RUNS
    assert unseen == 0
    assert sorted(took)[RUNS // 2] < 2
