"""Last use at a PostgreSQL target: what real sessions of a lease's role show."""

from __future__ import annotations

import time
from contextlib import closing

from tests.servers import Stack, order, ref_of

from countersign.domain.timestamps import spell
from countersign.providers.target.activity import PostgresActivity
from countersign.providers.target.client import PostgresTarget


def test_what_runs_is_used_now_and_what_waits_was_used_when_it_last_finished(openbao_stack: Stack) -> None:
    provider = openbao_stack.provider()
    reservation = provider.reserve(order(openbao_stack))
    issued = provider.issue(reservation)
    ref = ref_of(reservation, issued)
    source = PostgresActivity("orders-db", PostgresTarget(openbao_stack.vault.target_dsn))
    assert source.concerns(ref.target)
    quiet = source.read(source.begin(), [ref])
    assert not quiet.records
    assert quiet.asked == {ref.lease_id}
    with closing(openbao_stack.login(issued)) as session:
        session.execute("SELECT 1")
        first = source.read(quiet.cursor, [ref])
        [record] = first.records
        assert (record.lease_id, spell(record.at)) == (ref.lease_id, first.cursor[ref.lease_id])
        assert source.read(first.cursor, [ref]).records == ()
        time.sleep(0.05)
        session.execute("SELECT 2")
        [again] = source.read(first.cursor, [ref]).records
        assert again.at > record.at
        session.pgconn.send_query(b"SELECT pg_sleep(0.6)")
        time.sleep(0.3)
        [working] = source.read({ref.lease_id: spell(again.at)}, [ref]).records
        time.sleep(0.1)
        [later] = source.read({ref.lease_id: spell(working.at)}, [ref]).records
        assert later.at > working.at > again.at
    provider.end(ref)
    assert source.read({}, []).cursor == {}
