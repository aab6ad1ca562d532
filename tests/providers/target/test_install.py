from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql
from tests.servers import Stack, now

from countersign.providers.target.install import Level, check, init


def codes(dsn: str) -> list[str]:
    return sorted(finding.code for finding in check(dsn, clock=now))


@pytest.fixture
def target(openbao_stack: Stack) -> Iterator[tuple[psycopg.Connection[Any], str]]:
    """A database of its own with its own accounts: its owner's connection, and the broker's DSN."""
    suffix = secrets.token_hex(4)
    database, administrator, broker = f"db_{suffix}", f"admin_{suffix}", f"broker_{suffix}"
    with openbao_stack.owner() as owner:
        owner.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
        owner.execute(
            sql.SQL("CREATE ROLE {} LOGIN CREATEROLE IN ROLE pg_signal_backend, pg_read_all_stats").format(
                sql.Identifier(administrator)
            )
        )
        owner.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'throwaway'").format(sql.Identifier(broker)))
    owner_dsn = openbao_stack.postgres.dsn(database)
    init(owner_dsn, administrator=administrator, broker=broker)
    with psycopg.connect(owner_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("SET my.administrator = {}").format(administrator))
        connection.execute(sql.SQL("SET my.broker = {}").format(broker))
        yield connection, openbao_stack.postgres.dsn(database, broker, "throwaway")
        connection.execute(sql.SQL("ALTER ROLE {} NOSUPERUSER").format(sql.Identifier(administrator)))
    with openbao_stack.owner() as owner:
        owner.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))
        owner.execute(sql.SQL("DROP ROLE {}, {}").format(sql.Identifier(administrator), sql.Identifier(broker)))


def plant(connection: psycopg.Connection[Any], statement: LiteralString) -> None:
    """Run a statement in which `{administrator}` and `{broker}` name this target's accounts."""
    names = {}
    for account in ("administrator", "broker"):
        row = connection.execute("SELECT current_setting('my.' || %s)", [account]).fetchone()
        assert row is not None
        names[account] = sql.Identifier(row[0])
    connection.execute(sql.SQL(statement).format(**names))


def test_a_freshly_installed_target_has_no_findings_and_may_be_installed_again(
    openbao_stack: Stack, target: tuple[psycopg.Connection[Any], str]
) -> None:
    connection, dsn = target
    assert codes(dsn) == []
    assert codes(openbao_stack.vault.target_dsn) == []
    administrator, broker = (
        (connection.execute("SELECT current_setting('my.' || %s)", [n]).fetchone() or ("",))[0]
        for n in ("administrator", "broker")
    )
    init(openbao_stack.postgres.dsn(connection.info.dbname), administrator=administrator, broker=broker)
    assert codes(dsn) == []


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("DROP FUNCTION countersign.end_dangling(oid)", ["function-missing", "not-executable"]),
        (
            """CREATE OR REPLACE FUNCTION countersign.demand_lease(lease text) RETURNS void LANGUAGE plpgsql STABLE
            SET search_path = pg_catalog, pg_temp AS $$ BEGIN END $$""",
            ["function-differs"],
        ),
        ("ALTER FUNCTION countersign.close_lease(text) RESET search_path", ["search-path"]),
        (
            "CREATE FUNCTION countersign.extra() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            ["function-unknown", "owner-superuser", "owners"],
        ),
        ("GRANT EXECUTE ON FUNCTION countersign.expire_lease(text) TO PUBLIC", ["too-much"]),
        ("REVOKE EXECUTE ON FUNCTION countersign.close_lease(text) FROM {broker}", ["not-executable"]),
        ("DROP TABLE countersign.aligned_roles", ["table-missing"]),
        ("ALTER TABLE countersign.aligned_roles OWNER TO CURRENT_USER", ["table-owner"]),
        ("GRANT SELECT ON countersign.aligned_roles TO {broker}", ["too-much"]),
        ("ALTER ROLE {broker} CREATEDB", ["too-much"]),
        ("GRANT orders_ro TO {broker}", ["too-much"]),
        ("CREATE TABLE t (id int); GRANT SELECT ON t TO {broker}", ["too-much"]),
        ("ALTER ROLE {administrator} SUPERUSER", ["owner-superuser"]),
        ("ALTER ROLE {administrator} NOCREATEROLE", ["owner-createrole"]),
        ("REVOKE pg_signal_backend FROM {administrator}", ["owner-signal"]),
        ("REVOKE pg_read_all_stats FROM {administrator}", ["owner-stats"]),
        ("ALTER FUNCTION countersign.close_lease(text) SECURITY INVOKER", ["security"]),
        ("ALTER FUNCTION countersign.cut_sessions(oid[]) SECURITY DEFINER", ["security"]),
    ],
)
def test_each_thing_that_is_not_as_installed_is_found(
    target: tuple[psycopg.Connection[Any], str], statement: LiteralString, expected: list[str]
) -> None:
    connection, dsn = target
    plant(connection, statement)
    assert codes(dsn) == expected


def test_a_target_that_was_never_installed_lacks_every_function(openbao_stack: Stack) -> None:
    with openbao_stack.owner() as owner:
        owner.execute("CREATE DATABASE bare")
    broker_dsn = psycopg.conninfo.make_conninfo(openbao_stack.vault.target_dsn, dbname="bare")
    try:
        assert set(codes(broker_dsn)) == {"function-missing", "not-executable", "table-missing"}
    finally:
        with openbao_stack.owner() as owner:
            owner.execute("DROP DATABASE bare WITH (FORCE)")


@pytest.mark.parametrize(("off_by_s", "expected"), [(-3, ["clock"]), (3, ["clock"]), (-1, []), (1, [])])
def test_a_clock_that_disagrees_is_found(openbao_stack: Stack, off_by_s: int, expected: list[str]) -> None:
    findings = check(openbao_stack.vault.target_dsn, clock=lambda: now() + timedelta(seconds=off_by_s))
    assert [finding.code for finding in findings] == expected


def test_a_target_that_is_away_is_a_finding_without_the_password(openbao_stack: Stack) -> None:
    dsn = psycopg.conninfo.make_conninfo(openbao_stack.vault.target_dsn, port=1)
    (finding,) = check(dsn, clock=now)
    assert (finding.level, finding.code) == (Level.ERROR, "target-away")
    password = psycopg.conninfo.conninfo_to_dict(dsn)["password"]
    assert str(password) not in finding.detail
