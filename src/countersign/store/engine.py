"""Engines: how each database is opened so that what was committed stays committed and nobody waits for ever."""

from __future__ import annotations

import sqlite3
from typing import Any

import sqlalchemy as sa

POOL_SIZE = 20


def make_engine(url: str) -> sa.Engine:
    """Return an engine for `sqlite:///path` or `postgresql+psycopg://…`.

    SQLite runs in WAL mode with full synchronisation, and every writing transaction takes the write lock at its beginning.

    Raises:
        ValueError: another database.
    """
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        engine = sa.create_engine(
            parsed,
            connect_args={"timeout": 10, "check_same_thread": False},
            pool_size=POOL_SIZE,
            max_overflow=POOL_SIZE,
            poolclass=sa.QueuePool,
        )
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
        return engine
    if parsed.get_backend_name() == "postgresql":
        return sa.create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            pool_size=POOL_SIZE,
            max_overflow=POOL_SIZE,
            pool_pre_ping=True,
            connect_args={"connect_timeout": 5, "options": "-c lock_timeout=10000 -c statement_timeout=30000"},
        )
    raise ValueError(f"{parsed.get_backend_name()} is not supported; use sqlite or postgresql")


def _prepare_sqlite(connection: sqlite3.Connection, record: object) -> None:
    del record
    connection.isolation_level = None  # transactions are begun by `_begin_sqlite`, not guessed by the driver
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    reading: Any = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
