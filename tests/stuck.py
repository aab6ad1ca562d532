"""A query that PostgreSQL cannot interrupt: its back end ignores its termination until the query is through, seconds later."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

_QUERY = "SELECT repeat('a', 300000) LIKE '%' || repeat('a', 10000) || 'b'"
"""PostgreSQL looks for interrupts nowhere within one comparison; this one compares some thousand million characters."""


@contextmanager
def uninterruptible(session: psycopg.Connection[tuple[object, ...]]) -> Iterator[threading.Event]:
    """Keep a session in such a query; the event says that it is over. Waits for it at the end."""
    over = threading.Event()

    def run() -> None:
        with suppress(psycopg.OperationalError):
            session.execute(_QUERY)
        over.set()

    thread = threading.Thread(target=run)
    thread.start()
    time.sleep(0.2)
    try:
        yield over
    finally:
        thread.join(timeout=120)
        assert over.is_set()
        session.close()
