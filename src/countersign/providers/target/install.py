"""Installs Countersign's functions in a PostgreSQL target, and looks over what is installed and who may do what.

Behind `countersign target init` and `countersign target check`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from importlib import resources
from typing import Any, LiteralString

import psycopg
from psycopg import sql

VERSION = 1
PUBLIC_FUNCTIONS = (
    "version()",
    "align_lease(text, timestamptz)",
    "close_lease(text)",
    "end_lease(text, oid)",
    "end_dangling(oid)",
    "lease_standing(text[], oid[])",
    "lease_roster()",
)
"""What the broker may execute: this and nothing else."""
INNER_FUNCTIONS = (
    "demand_lease(text)",
    "cut_sessions(oid[])",
    "drop_lease(text)",
    "expire_lease(text)",
)
TABLE: LiteralString = "countersign.aligned_roles"
"""What the functions remember; nobody else reads or writes it."""
CLOCKS_MAY_DIFFER = timedelta(seconds=2)
_DEFINERS = frozenset(
    {"align_lease", "close_lease", "end_lease", "end_dangling", "expire_lease", "lease_standing", "lease_roster"}
)
_BODY = re.compile(r"FUNCTION countersign\.(\w+)\(.*?AS \$\$(.*?)\$\$;", re.DOTALL)


class Level(StrEnum):
    """How bad a finding is: an error means that ends cannot be relied on."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that is not as it should be at a target."""

    level: Level
    code: str
    detail: str


def statements() -> LiteralString:
    """Return the SQL that creates the functions; no names or values are put into it."""
    return (resources.files(__package__) / "functions.sql").read_text(encoding="utf-8")


def init(admin_dsn: str, *, administrator: str, broker: str) -> None:
    """Create or replace the functions in the database that `admin_dsn` names, in one transaction.

    Args:
        admin_dsn: a superuser, or the administrator itself if it may create a schema there.
        administrator: the role as which OpenBao makes roles: it will own the functions.
        broker: the broker's own role, which may then execute the public functions.

    Raises:
        psycopg.Error: nothing was changed.
    """
    with psycopg.connect(admin_dsn, connect_timeout=3) as connection:
        connection.execute(statements())
        connection.execute(
            sql.SQL("ALTER SCHEMA countersign OWNER TO {0}; REVOKE ALL ON SCHEMA countersign FROM PUBLIC").format(
                sql.Identifier(administrator)
            )
        )
        for signature in (*PUBLIC_FUNCTIONS, *INNER_FUNCTIONS):
            function = sql.SQL(f"countersign.{signature}")
            connection.execute(sql.SQL("REVOKE ALL ON FUNCTION {0} FROM PUBLIC").format(function))
            connection.execute(
                sql.SQL("ALTER FUNCTION {0} OWNER TO {1}").format(function, sql.Identifier(administrator))
            )
        connection.execute(
            sql.SQL(f"REVOKE ALL ON {TABLE} FROM PUBLIC; ALTER TABLE {TABLE} OWNER TO {{0}}").format(
                sql.Identifier(administrator)
            )
        )
        connection.execute(sql.SQL("GRANT USAGE ON SCHEMA countersign TO {0}").format(sql.Identifier(broker)))
        for signature in PUBLIC_FUNCTIONS:
            function = sql.SQL(f"countersign.{signature}")
            connection.execute(sql.SQL("GRANT EXECUTE ON FUNCTION {0} TO {1}").format(function, sql.Identifier(broker)))


def check(broker_dsn: str, *, clock: Callable[[], datetime]) -> list[Finding]:
    """Look a target over with the broker's own account, changing nothing.

    Args:
        broker_dsn: the account that the broker uses.
        clock: our time, to compare the target's with.

    Returns:
        What is not as it should be; empty when all is well.
    """
    try:
        with psycopg.connect(broker_dsn, connect_timeout=3, autocommit=True) as connection:
            return [
                *_functions(connection),
                *_table(connection),
                *_owner(connection),
                *_rights(connection),
                *_time(connection, clock),
            ]
    except psycopg.OperationalError as error:
        return [Finding(level=Level.ERROR, code="target-away", detail=_first_line(error))]


def _functions(connection: psycopg.Connection[Any]) -> Iterator[Finding]:
    installed = {
        name: (body, definer, config or [])
        for name, body, definer, config in connection.execute(
            "SELECT p.proname, p.prosrc, p.prosecdef, p.proconfig FROM pg_proc p"
            " JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'countersign'"
        )
    }
    for name, body in _BODY.findall(statements()):
        if name not in installed:
            yield Finding(level=Level.ERROR, code="function-missing", detail=f"countersign.{name} is not installed")
            continue
        found, definer, config = installed[name]
        if definer != (name in _DEFINERS):
            yield Finding(
                level=Level.ERROR, code="security", detail=f"countersign.{name} runs with other rights than ours"
            )
        if found.strip() != body.strip():
            yield Finding(
                level=Level.ERROR,
                code="function-differs",
                detail=f"countersign.{name} is not that of version {VERSION}",
            )
        if "search_path=pg_catalog, pg_temp" not in config:
            yield Finding(level=Level.ERROR, code="search-path", detail=f"countersign.{name} has no fixed search_path")
    known = {name for name, _ in _BODY.findall(statements())}
    for name in sorted(installed.keys() - known):
        yield Finding(level=Level.WARNING, code="function-unknown", detail=f"countersign.{name} is not ours")


def _table(connection: psycopg.Connection[Any]) -> Iterator[Finding]:
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM pg_proc p JOIN pg_namespace f ON f.oid = p.pronamespace"
        "  WHERE f.nspname = 'countersign' AND p.proowner = c.relowner)"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname || '.' || c.relname = %s AND c.relkind = 'r'",
        [TABLE],
    ).fetchone()
    if row is None:
        yield Finding(level=Level.ERROR, code="table-missing", detail=f"{TABLE} is not there")
    elif not row[0]:
        yield Finding(
            level=Level.ERROR, code="table-owner", detail=f"{TABLE} belongs to another role than the functions"
        )


def _owner(connection: psycopg.Connection[Any]) -> Iterator[Finding]:
    owners = connection.execute(
        "SELECT DISTINCT r.rolname, r.rolsuper, r.rolcreaterole, pg_has_role(r.oid, 'pg_signal_backend', 'USAGE'),"
        " pg_has_role(r.oid, 'pg_read_all_stats', 'USAGE') FROM pg_proc p"
        " JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_roles r ON r.oid = p.proowner"
        " WHERE n.nspname = 'countersign'"
    ).fetchall()
    if len(owners) > 1:
        names = ", ".join(name for name, *_ in owners)
        yield Finding(level=Level.ERROR, code="owners", detail=f"the functions belong to several roles: {names}")
    for name, is_super, creates_roles, signals, reads_stats in owners:
        if is_super:
            yield Finding(
                level=Level.ERROR, code="owner-superuser", detail=f"{name} owns the functions and is a superuser"
            )
        elif not creates_roles:
            yield Finding(level=Level.ERROR, code="owner-createrole", detail=f"{name} lacks CREATEROLE")
        elif not signals:
            yield Finding(level=Level.ERROR, code="owner-signal", detail=f"{name} is not in pg_signal_backend")
        elif not reads_stats:
            yield Finding(
                level=Level.WARNING,
                code="owner-stats",
                detail=f"{name} is not in pg_read_all_stats: last use and arriving logins stay unseen",
            )


def _rights(connection: psycopg.Connection[Any]) -> Iterator[Finding]:
    for signature in PUBLIC_FUNCTIONS:
        if not _may_execute(connection, signature):
            yield Finding(
                level=Level.ERROR, code="not-executable", detail=f"we may not execute countersign.{signature}"
            )
    for signature in INNER_FUNCTIONS:
        if _may_execute(connection, signature):
            yield Finding(level=Level.ERROR, code="too-much", detail=f"we may execute countersign.{signature}")
    row = connection.execute(
        "SELECT r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolbypassrls,"
        " EXISTS (SELECT FROM pg_auth_members m WHERE m.member = r.oid),"
        " (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        "  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
        "  AND n.nspname !~ '^pg_t' AND has_schema_privilege(n.oid, 'USAGE')"
        "  AND has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE'))"
        " FROM pg_roles r WHERE r.rolname = current_user"
    ).fetchone()
    attributes, member, tables = row or (False, False, 0)
    if attributes:
        yield Finding(level=Level.ERROR, code="too-much", detail="our account has role attributes beyond LOGIN")
    if member:
        yield Finding(level=Level.ERROR, code="too-much", detail="our account is a member of other roles")
    if tables:
        yield Finding(level=Level.ERROR, code="too-much", detail=f"our account has rights on {tables} tables")


def _time(connection: psycopg.Connection[Any], clock: Callable[[], datetime]) -> Iterator[Finding]:
    before = clock()
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    after = clock()
    there: datetime = row[0] if row else before
    difference = max(before - there, there - after, timedelta(0))
    if difference > CLOCKS_MAY_DIFFER:
        yield Finding(
            level=Level.ERROR, code="clock", detail=f"the target's clock differs by {difference.total_seconds():.1f} s"
        )


def _may_execute(connection: psycopg.Connection[Any], signature: str) -> bool:
    row = connection.execute(
        "SELECT has_schema_privilege('countersign', 'USAGE') AND has_function_privilege(to_regprocedure(%s), 'EXECUTE')"
        " FROM pg_namespace WHERE nspname = 'countersign'",
        [f"countersign.{signature}"],
    ).fetchone()
    return bool(row and row[0])


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
