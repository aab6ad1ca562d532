"""Fixtures that run a test on both databases: SQLite in a temporary folder, and a real PostgreSQL server."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from tests.world import Clock, World

from countersign.embedded.postgres import EmbeddedPostgres
from countersign.store import Store

_databases = itertools.count(1)


_FOR_TESTS = ("fsync", "full_page_writes", "synchronous_commit", "autovacuum")
"""Switched off: no power fails during a test, and looking after hundreds of databases takes more time than all their tests."""


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"))
    server.start()
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        for setting in _FOR_TESTS:
            connection.execute(sql.SQL("ALTER SYSTEM SET {} = off").format(sql.Identifier(setting)))
        connection.execute("SELECT pg_reload_conf()")
    yield server
    server.stop_immediate()  # nothing here is worth a checkpoint


def _url(postgres: EmbeddedPostgres, name: str) -> str:
    known = conninfo_to_dict(postgres.dsn(name))
    return str(
        sa.URL.create(
            "postgresql",
            username=str(known["user"]),
            password=str(known["password"]),
            host=str(known["host"]),
            port=postgres.port,
            database=name,
        ).render_as_string(hide_password=False)
    )


def _create(postgres: EmbeddedPostgres, *, name: str | None = None, template: str = "template1") -> str:
    name = name or f"broker_{next(_databases)}"
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        query = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
        connection.execute(query.format(sql.Identifier(name), sql.Identifier(template)))
    return _url(postgres, name)


@pytest.fixture
def fresh_database(postgres: EmbeddedPostgres) -> str:
    """Return the URL of an empty database."""
    return _create(postgres)


@pytest.fixture(scope="session")
def migrated_postgres(postgres: EmbeddedPostgres) -> str:
    """Return the name of a database with the schema in it, to be copied."""
    made = Store(_create(postgres, name="migrated"), clock=Clock())
    made.migrate()
    made.close()
    return "migrated"


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with the schema in it, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "countersign.db"
    made = Store(f"sqlite:///{path}", clock=Clock())
    made.migrate()
    made.close()
    return path


@pytest.fixture
def copied_postgres(postgres: EmbeddedPostgres, migrated_postgres: str) -> str:
    """Return the URL of a PostgreSQL database that has the schema."""
    return _create(postgres, template=migrated_postgres)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a database that has the schema."""
    return copy_of_the_schema(request, tmp_path / "countersign.db")


def copy_of_the_schema(request: pytest.FixtureRequest, path: Path) -> str:
    """Return the URL of a fresh database of the kind that a fixture's parameter names; `path` is for SQLite's file."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_sqlite"), path)
        return f"sqlite:///{path}"
    return _create(request.getfixturevalue("postgres"), template=request.getfixturevalue("migrated_postgres"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(database_url: str, clock: Clock) -> Iterator[Store]:
    made = Store(database_url, clock=clock, own_clock=True)
    yield made
    made.close()


@pytest.fixture
def world(store: Store, clock: Clock) -> World:
    return World(store=store, clock=clock)
