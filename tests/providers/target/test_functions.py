from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql
from tests.servers import Stack, now
from tests.stuck import uninterruptible

from countersign.domain.ids import LEASE, make_id
from countersign.providers.base import Away, Declined
from countersign.providers.target.client import PostgresTarget

PASSWORD = "throwaway"


@pytest.fixture
def target(openbao_stack: Stack) -> Iterator[PostgresTarget]:
    client = PostgresTarget(openbao_stack.vault.target_dsn)
    yield client
    client.close_connections()


def make_role(stack: Stack, *, name: str | None = None, valid_for_s: float = 60, group: str = "orders_ro") -> str:
    """Make a login role as OpenBao's administrator would."""
    name = name or make_id(LEASE, secrets.token_bytes(10))
    with stack.owner() as owner:
        owner.execute("SET ROLE bao_admin")
        owner.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} VALID UNTIL {} CONNECTION LIMIT 5 IN ROLE {}").format(
                sql.Identifier(name),
                PASSWORD,
                (now() + timedelta(seconds=valid_for_s)).isoformat(),
                sql.Identifier(group),
            )
        )
    return name


def drop_role(stack: Stack, name: str) -> None:
    with stack.owner() as owner:
        owner.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(name)))


def is_dead(session: psycopg.Connection[Any]) -> bool:
    try:
        session.execute("SELECT 1")
    except psycopg.OperationalError:
        return True
    return False


def test_aligning_sets_the_last_second_exactly_and_says_what_was_made(
    openbao_stack: Stack, target: PostgresTarget
) -> None:
    lease = make_role(openbao_stack)
    until = (now() + timedelta(seconds=20)).replace(microsecond=123000)
    aligned = target.align(lease, until)
    standing = target.standing({lease: aligned.role_oid})[lease]
    assert standing.valid_until == until
    assert standing.role_oid == aligned.role_oid
    assert standing.can_login
    assert aligned.member_of == ("orders_ro",)
    assert aligned.connection_limit == 5
    assert aligned.attributes == ()
    assert aligned.previous is not None
    assert aligned.previous > until


def test_aligning_never_lengthens(openbao_stack: Stack, target: PostgresTarget) -> None:
    lease = make_role(openbao_stack, valid_for_s=20)
    with pytest.raises(Declined, match="ends at"):
        target.align(lease, now() + timedelta(seconds=60))
    valid_until = target.standing({lease: None})[lease].valid_until
    assert valid_until is not None
    assert valid_until < now() + timedelta(seconds=21)


def test_a_login_after_its_last_second_is_refused_natively(openbao_stack: Stack, target: PostgresTarget) -> None:
    lease = make_role(openbao_stack)
    target.align(lease, now() + timedelta(seconds=0.3))
    openbao_stack.login_as(lease, PASSWORD).close()
    time.sleep(0.4)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        openbao_stack.login_as(lease, PASSWORD)


def test_closing_refuses_new_logins_and_ending_cuts_sessions_even_after_set_role(
    openbao_stack: Stack, target: PostgresTarget
) -> None:
    lease, sibling = make_role(openbao_stack), make_role(openbao_stack)
    session, other = openbao_stack.login_as(lease, PASSWORD), openbao_stack.login_as(sibling, PASSWORD)
    session.execute("SET ROLE orders_ro")
    assert target.close(lease) == "closed"
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        openbao_stack.login_as(lease, PASSWORD)
    assert target.end(lease, None) == ("dropped", 0)
    assert is_dead(session)
    assert not is_dead(other)
    standing = target.standing({lease: None, sibling: None})
    assert standing[lease].role_oid is None
    assert standing[sibling].can_login
    assert standing[sibling].sessions == 1
    other.close()


@pytest.mark.parametrize("handle_lost", [False, True])
def test_a_session_whose_role_was_dropped_under_it_is_seen_and_cut_by_the_remembered_oid(
    openbao_stack: Stack, target: PostgresTarget, *, handle_lost: bool
) -> None:
    lease = make_role(openbao_stack)
    oid = target.align(lease, now() + timedelta(seconds=30)).role_oid
    session = openbao_stack.login_as(lease, PASSWORD)
    session.execute("SET ROLE orders_ro")
    drop_role(openbao_stack, lease)
    assert session.execute("SELECT count(*) FROM orders").fetchone() == (3,)
    for remembered in (oid, None):
        seen = target.standing({lease: remembered})[lease]
        assert (seen.role_oid, seen.sessions, seen.dangling) == (None, 1, 0)
    assert [(row.lease_id, row.role_oid) for row in target.roster() if row.dropped] == [(lease, oid)]
    assert target.end(lease, None if handle_lost else oid) == ("absent", 0)
    assert is_dead(session)
    assert target.standing({lease: oid})[lease].sessions == 0
    with openbao_stack.owner() as owner:
        known = owner.execute("SELECT count(*) FROM countersign.aligned_roles WHERE lease_id = %s", [lease]).fetchone()
    assert known == (0,)


def test_a_session_of_a_dropped_role_blames_no_other_lease_when_it_is_known_whose_it_was(
    openbao_stack: Stack, target: PostgresTarget
) -> None:
    known, unknown, blameless = (make_role(openbao_stack) for _ in range(3))
    oid = target.align(known, now() + timedelta(seconds=30)).role_oid
    sessions = [openbao_stack.login_as(name, PASSWORD) for name in (known, unknown)]
    for name in (known, unknown):
        drop_role(openbao_stack, name)
    assert target.standing({blameless: None})[blameless].dangling == 1
    assert target.standing({blameless: None, known: oid})[blameless].dangling == 1
    stranger = [row for row in target.roster() if row.dropped and row.lease_id is None]
    assert len(stranger) == 1
    target.end_dangling(stranger[0].role_oid)
    seen = target.standing({blameless: None, known: None})
    assert (seen[blameless].dangling, seen[known].sessions) == (0, 1)
    target.end(known, None)
    assert all(is_dead(session) for session in sessions)


def test_a_session_that_cannot_be_interrupted_keeps_its_role_and_holds_up_nobody(
    openbao_stack: Stack, target: PostgresTarget
) -> None:
    lease, other = make_role(openbao_stack), make_role(openbao_stack)
    with uninterruptible(openbao_stack.login_as(lease, PASSWORD)) as finished:
        began = time.monotonic()
        assert target.close(lease) == "closed"
        assert target.end(lease, None) == ("held", 1)
        assert time.monotonic() - began < 2
        assert not finished.is_set()
        seen = target.standing({lease: None})[lease]
        assert (seen.can_login, seen.sessions, seen.dangling) == (False, 1, 0)
        assert [row.lease_id for row in target.roster() if row.sessions] == [lease]
        with openbao_stack.owner() as owner:
            owner.execute("SET ROLE bao_admin")
            assert owner.execute("SELECT countersign.expire_lease(%s)", [lease]).fetchone() == ("held",)
        target.close(other)
        assert target.end(other, None) == ("dropped", 0)
        assert not finished.is_set()
    assert target.end(lease, None) == ("dropped", 0)


def test_sessions_of_a_dropped_role_can_be_ended_without_its_name_but_no_living_role_s(
    openbao_stack: Stack, target: PostgresTarget
) -> None:
    lease, living = make_role(openbao_stack), make_role(openbao_stack)
    oids = {name: standing.role_oid for name, standing in target.standing({lease: None, living: None}).items()}
    session, other = openbao_stack.login_as(lease, PASSWORD), openbao_stack.login_as(living, PASSWORD)
    drop_role(openbao_stack, lease)
    assert target.end_dangling(oids[lease] or 0) == 0
    assert is_dead(session)
    with pytest.raises(Declined, match="exists"):
        target.end_dangling(oids[living] or 0)
    assert target.end(make_id(LEASE, secrets.token_bytes(10)), oids[living]) == ("absent", 0)
    assert not is_dead(other)
    other.close()


def test_ending_demands_that_the_closing_was_committed(openbao_stack: Stack, target: PostgresTarget) -> None:
    lease = make_role(openbao_stack)
    with pytest.raises(Declined, match="not closed"):
        target.end(lease, None)
    with psycopg.connect(openbao_stack.vault.target_dsn) as connection:
        connection.execute("SELECT countersign.close_lease(%s)", [lease])
        with pytest.raises(psycopg.errors.ActiveSqlTransaction):
            connection.execute("SELECT countersign.end_lease(%s)", [lease])
    assert target.standing({lease: None})[lease].can_login


def test_a_role_that_owns_objects_stays_closed_and_without_sessions(
    openbao_stack: Stack, target: PostgresTarget
) -> None:
    lease = make_role(openbao_stack)
    with openbao_stack.login_as(lease, PASSWORD) as session:
        session.execute("SELECT lo_create(0)")
        assert target.close(lease) == "closed"
        assert target.end(lease, None) == ("owns-objects", 0)
        assert is_dead(session)
    standing = target.standing({lease: None})[lease]
    assert standing.role_oid is not None
    assert (standing.can_login, standing.sessions) == (False, 0)
    drop_role(openbao_stack, lease)


def test_what_a_lease_left_behind_works_with_no_right_of_its_lease_once_it_has_ended(
    openbao_stack: Stack, target: PostgresTarget
) -> None:
    lease = make_role(openbao_stack)
    with openbao_stack.owner() as owner:
        owner.execute("CREATE SCHEMA IF NOT EXISTS careless; GRANT USAGE, CREATE ON SCHEMA careless TO PUBLIC")
    try:
        with openbao_stack.login_as(lease, PASSWORD) as session:
            session.execute(
                "CREATE FUNCTION careless.back_door() RETURNS bigint LANGUAGE sql SECURITY DEFINER"
                " AS 'SELECT count(*) FROM public.orders'"
            )
        other = make_role(openbao_stack)
        with openbao_stack.login_as(other, PASSWORD) as stranger:
            assert stranger.execute("SELECT careless.back_door()").fetchone() is not None
            assert target.close(lease) == "closed"
            assert target.end(lease, None) == ("owns-objects", 0)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                stranger.execute("SELECT careless.back_door()")
    finally:
        with openbao_stack.owner() as owner:
            owner.execute("DROP SCHEMA careless CASCADE")
    drop_role(openbao_stack, lease)


def test_a_holder_who_keeps_a_lock_on_his_own_role_cannot_hold_up_the_closing(
    openbao_stack: Stack, target: PostgresTarget
) -> None:
    lease = make_role(openbao_stack)
    session = openbao_stack.login_as(lease, PASSWORD)
    session.autocommit = False
    session.execute(sql.SQL("ALTER ROLE {} PASSWORD 'another'").format(sql.Identifier(lease)))
    began = time.monotonic()
    assert target.close(lease) == "closed"
    assert time.monotonic() - began < 1
    assert is_dead(session)
    assert target.end(lease, None) == ("dropped", 0)


def test_a_holder_who_keeps_coming_back_to_lock_his_role_cannot_hold_up_the_closing(
    openbao_stack: Stack, target: PostgresTarget
) -> None:
    lease = make_role(openbao_stack)
    stop = threading.Event()

    def lock_for_ever() -> None:
        while not stop.is_set():
            with suppress(psycopg.Error), openbao_stack.login_as(lease, PASSWORD) as session:
                session.autocommit = False
                session.execute(sql.SQL("ALTER ROLE {} PASSWORD 'throwaway'").format(sql.Identifier(lease)))
                stop.wait(0.5)

    hammers = [threading.Thread(target=lock_for_ever) for _ in range(4)]
    for hammer in hammers:
        hammer.start()
    try:
        time.sleep(0.2)
        began = time.monotonic()
        assert target.close(lease) == "closed"
        assert target.end(lease, None)[1] == 0
        assert time.monotonic() - began < 4
    finally:
        stop.set()
        for hammer in hammers:
            hammer.join()
    assert target.standing({lease: None})[lease].role_oid is None


def test_every_step_is_idempotent_and_an_absent_role_is_no_trouble(
    openbao_stack: Stack, target: PostgresTarget
) -> None:
    lease = make_role(openbao_stack)
    assert [target.close(lease), target.close(lease)] == ["closed", "closed"]
    assert [target.end(lease, None), target.end(lease, None)] == [("dropped", 0), ("absent", 0)]
    assert target.close(lease) == "absent"


NOT_LEASES = [
    "postgres",
    "bao_admin",
    "countersign_broker",
    "",
    "lse_",
    "lse_abcdefghij23456",
    "lse_abcdefghij2345678",
    "LSE_abcdefghij234567",
    "lse_abcdefghij23456\n",
    "lse_abcdefghij234567\n",
    "lse_abcdefghij23456é",
    'lse_abcdefghij23456"',
    "lse_abcdefghij23456'",
    "lse_abcdefghij23456;",
    'x"; DROP ROLE bao_admin; --',
    "lse_abcdefghij23456%",
    "lse_abcdefghij234 67",
    "x" * 10_000,
    "lse_\uff41bcdefghij23456",
]


@pytest.mark.parametrize("name", NOT_LEASES)
def test_no_function_touches_a_role_that_is_not_named_exactly_as_a_lease(openbao_stack: Stack, name: str) -> None:
    calls = [
        ("SELECT countersign.align_lease(%s, now() + interval '1 hour')", [name]),
        ("SELECT countersign.close_lease(%s)", [name]),
        ("SELECT countersign.end_lease(%s)", [name]),
    ]
    with psycopg.connect(openbao_stack.vault.target_dsn, autocommit=True) as broker:
        for statement, values in calls:
            with pytest.raises(psycopg.errors.InvalidParameterValue):
                broker.execute(statement, values)
    with openbao_stack.owner() as owner:
        for statement, values in [*calls, ("SELECT countersign.expire_lease(%s)", [name])]:
            with pytest.raises(psycopg.errors.InvalidParameterValue):
                owner.execute(statement, values)


@pytest.mark.parametrize("name", NOT_LEASES)
def test_the_client_sends_no_name_that_is_not_a_lease_s(target: PostgresTarget, name: str) -> None:
    with pytest.raises(Declined, match="not the name of a lease"):
        target.close(name)


def test_the_broker_s_account_can_do_nothing_but_call_the_functions(openbao_stack: Stack) -> None:
    lease = make_role(openbao_stack)
    forbidden: list[LiteralString | sql.Composed] = [
        "SELECT * FROM orders",
        "CREATE ROLE mine",
        "CREATE TABLE mine (id int)",
        sql.SQL("ALTER ROLE {} PASSWORD 'mine'").format(sql.Identifier(lease)),
        sql.SQL("DROP ROLE {}").format(sql.Identifier(lease)),
        sql.SQL("SET ROLE {}").format(sql.Identifier(lease)),
        "SET ROLE orders_ro",
        "SET ROLE bao_admin",
        "SELECT countersign.cut_sessions(ARRAY(SELECT oid FROM pg_roles))",
        sql.SQL("SELECT countersign.expire_lease({})").format(lease),
        sql.SQL("SELECT countersign.drop_lease({})").format(lease),
        "CREATE OR REPLACE FUNCTION countersign.version() RETURNS integer LANGUAGE sql AS 'SELECT 2'",
        "SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a WHERE a.usename = 'postgres'",
    ]
    with psycopg.connect(openbao_stack.vault.target_dsn, autocommit=True) as broker:
        for statement in forbidden:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                broker.execute(statement)


def test_a_caller_cannot_slip_his_own_functions_or_formats_under_the_target_s(openbao_stack: Stack) -> None:
    lease = make_role(openbao_stack)
    until = (now() + timedelta(seconds=20)).replace(microsecond=0)
    with psycopg.connect(openbao_stack.vault.target_dsn, autocommit=True) as broker:
        broker.execute("SET search_path = pg_temp; SET datestyle = 'SQL, DMY'; SET timezone = 'Asia/Kolkata'")
        broker.execute("CREATE TEMP TABLE pg_roles (oid oid, rolname name, rolcanlogin bool)")
        broker.execute("SELECT countersign.align_lease(%s, %s)", [lease, until])
        (found,) = broker.execute(
            "SELECT extract(epoch FROM valid_until) FROM countersign.lease_standing(ARRAY[%s], ARRAY[NULL::oid])",
            [lease],
        ).fetchone() or (None,)
    assert found == until.timestamp()


def test_a_thousand_leases_are_looked_at_in_one_quick_query(openbao_stack: Stack, target: PostgresTarget) -> None:
    lease = make_role(openbao_stack)
    many: dict[str, int | None] = {make_id(LEASE, secrets.token_bytes(10)): 4_000_000_000 for _ in range(999)}
    target.standing({lease: None})
    began = time.monotonic()
    seen = target.standing({lease: None, **many})
    assert time.monotonic() - began < 0.5
    assert len(seen) == 1000
    assert [name for name, standing in seen.items() if standing.role_oid is not None] == [lease]


def test_the_client_survives_a_restart_of_the_target(openbao_stack: Stack, target: PostgresTarget) -> None:
    lease = make_role(openbao_stack)
    assert target.standing({lease: None})[lease].can_login
    openbao_stack.postgres.restart()
    assert target.standing({lease: None})[lease].can_login


def test_a_target_that_is_down_is_away_at_once(openbao_stack: Stack, target: PostgresTarget) -> None:
    lease = make_role(openbao_stack)
    openbao_stack.postgres.stop_immediate()
    try:
        began = time.monotonic()
        with pytest.raises(Away) as trouble:
            target.close(lease)
        assert time.monotonic() - began < 2
        assert "password" not in str(trouble.value).lower()
    finally:
        openbao_stack.postgres.start()
    assert target.close(lease) == "closed"
