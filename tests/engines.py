"""How tests open databases: what was compiled for one engine serves them all, and SQLite does not wait for the disk.

Nearly every test has a database, and so an engine, of its own; without this each would compile every statement anew, which took
half of all the time. No power fails during a test, so that what waits for the disk proves nothing: what proves durability kills
processes of their own (`tests/store/crashing.py`), which open their databases as the broker does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from countersign.store import store
from countersign.store.engine import make_engine


class _Compiled(dict[Any, Any]):
    """Compiled statements by what they say and the kind of database; SQLAlchemy's own keys hold the engine's dialect."""

    def get(self, key: Any, default: Any = None) -> Any:  # noqa: ANN401 - as dict has it
        return super().get(_of_kind(key), default)

    def __setitem__(self, key: Any, value: Any) -> None:  # noqa: ANN401 - as dict has it
        super().__setitem__(_of_kind(key), value)


def _of_kind(key: tuple[Any, ...]) -> tuple[Any, ...]:
    dialect, *said = key
    return (dialect.name, *said)


_COMPILED = _Compiled()


def _quick_engine(url: str) -> sa.Engine:
    engine = make_engine(url)
    engine._compiled_cache = _COMPILED  # SQLAlchemy asks of it `get` and item assignment
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _hurry)
    return engine


def _hurry(connection: sqlite3.Connection, record: object) -> None:
    del record
    connection.execute("PRAGMA synchronous = OFF")


@pytest.fixture(scope="session", autouse=True)
def quick_engines() -> Iterator[None]:
    """Let every store of this process open its database so."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "make_engine", _quick_engine)
        yield
