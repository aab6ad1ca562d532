"""Fixtures that run a test on both databases: SQLite in a temporary folder, and a real PostgreSQL server."""

from __future__ import annotations

import itertools
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


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def fresh_database(postgres: EmbeddedPostgres) -> str:
    """Return the DSN of an empty database."""
    name = f"broker_{next(_databases)}"
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
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


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'countersign.db'}"
    return str(request.getfixturevalue("fresh_database"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(database_url: str, clock: Clock) -> Iterator[Store]:
    made = Store(database_url, clock=clock, own_clock=True)
    made.migrate()
    yield made
    made.close()


@pytest.fixture
def world(store: Store, clock: Clock) -> World:
    return World(store=store, clock=clock)
