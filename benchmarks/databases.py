"""Both databases with the schema in them, for what is measured on each: SQLite in a file, a real PostgreSQL server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import sqlalchemy as sa
from psycopg.conninfo import conninfo_to_dict

from benchmarks.stage import now
from countersign.embedded.postgres import EmbeddedPostgres
from countersign.store import Store


@contextmanager
def both(folder: Path, name: str) -> Iterator[dict[str, str]]:
    """Yield the addresses of two databases of this name, each empty but for the schema, by what they are."""
    server = EmbeddedPostgres(folder / f"postgres-{name}")
    server.start()
    try:
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute("CREATE DATABASE broker")
        urls = {"sqlite": f"sqlite:///{folder / f'{name}.db'}", "postgresql": _url(server)}
        for url in urls.values():
            store = Store(url, clock=now)
            store.migrate()
            store.close()
        yield urls
    finally:
        server.stop_immediate()


def _url(server: EmbeddedPostgres) -> str:
    known = conninfo_to_dict(server.dsn("broker"))
    made = sa.URL.create(
        "postgresql",
        username=str(known["user"]),
        password=str(known["password"]),
        host=str(known["host"]),
        port=server.port,
        database="broker",
    )
    return made.render_as_string(hide_password=False)
