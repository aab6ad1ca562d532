"""A PostgreSQL server's log, as the real server writes it: what leases did, and none of the words they did it with."""

from __future__ import annotations

import json
import time
from contextlib import suppress

import psycopg
import pytest
from tests.servers import Stack, order, ref_of

from countersign.domain.records import Outcome, Record
from countersign.providers.target.log import PostgresLog, record_of

SECRET = "S3CR3T-in-a-statement"


def test_logins_statements_and_what_was_refused_are_told_without_their_words(openbao_stack: Stack) -> None:
    source = PostgresLog("orders-db", openbao_stack.postgres.records)
    cursor = source.begin()
    provider = openbao_stack.provider()
    reservation = provider.reserve(order(openbao_stack))
    issued = provider.issue(reservation)
    ref = ref_of(reservation, issued)
    with pytest.raises(psycopg.OperationalError):
        openbao_stack.login_as(ref.lease_id, "wrong")
    with openbao_stack.login(issued) as session:
        session.execute("SELECT count(*) FROM orders")
        for refused in ("DELETE FROM orders", f"SELECT '{SECRET}'::int"):
            with suppress(psycopg.Error):
                session.execute(refused)
    provider.end(ref)
    with pytest.raises(psycopg.OperationalError):
        openbao_stack.login(issued)
    records: list[Record] = []
    deadline = time.monotonic() + 10
    while sum(record.what.startswith("login (") for record in records) < 2 and time.monotonic() < deadline:
        batch = source.read(cursor, [])
        assert not batch.gaps
        cursor, records = batch.cursor, [*records, *batch.records]
        time.sleep(0.05)
    assert {record.lease_id for record in records} == {ref.lease_id}
    assert [(record.what, record.outcome) for record in records] == [
        ("login (28P01)", Outcome.REFUSED),
        ("login", Outcome.DONE),
        ("statement SELECT", Outcome.DONE),
        ("statement DELETE", Outcome.DONE),
        ("permission denied for table orders", Outcome.REFUSED),
        ("statement SELECT", Outcome.DONE),
        ("error 22P02", Outcome.FAILED),
        ("login (28P01)", Outcome.REFUSED),
    ]
    assert SECRET not in repr(records)
    text = "".join(path.read_text(encoding="utf-8") for path in openbao_stack.postgres.records.iterdir())
    assert issued.credential.fields["password"] not in text
    # Other tests' leases stand in the same log, and one of their holders changes his password himself.
    assert not [line for line in text.splitlines() if ref.lease_id in line and "PASSWORD" in line]
    assert not [path for path in openbao_stack.postgres.records.iterdir() if path.stat().st_mode & 0o077]


def line(**more: object) -> bytes:
    entry = {"timestamp": "2026-11-23 03:41:15.441 UTC", "user": "lse_aaaaaaaaaaaaaaaa", "error_severity": "LOG"}
    return json.dumps(entry | {"message": "connection authorized: user=x"} | more).encode()


@pytest.mark.parametrize(
    "told",
    [
        {"user": "postgres"},
        {"user": None},
        {"user": "lse_AAAAAAAAAAAAAAAA"},
        {"message": "disconnection: session time: 0:00:00.007"},
        {"error_severity": "FATAL", "state_code": "57P01"},
        {"message": "statement: /* nothing */"},
    ],
)
def test_what_others_did_and_what_is_no_use_is_left_out(told: dict[str, object]) -> None:
    assert record_of(line(**told)) is None


@pytest.mark.parametrize("broken", [b"", b"{}", b"[]", b"x,y", line(timestamp="2026-11-23 03:41:15.441 CET")])
def test_what_is_no_line_of_it_or_in_another_zone_is_unreadable(broken: bytes) -> None:
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        record_of(broken)
