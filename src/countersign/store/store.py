"""The store: opens transactions, keeps the schema current, and turns a database that cannot write into one refusal."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, OperationalError, PendingRollbackError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from countersign.auditlog.leaf import Entry
from countersign.domain.refusals import Conflict, LogUnavailable
from countersign.domain.timestamps import trim
from countersign.store import log, schema
from countersign.store.engine import make_engine
from countersign.store.unit import Tx

Clock = Callable[[], datetime]
WRITE_WITHIN_S = 10.0
TURN_WITHIN_S = 5
NOT_GRANTED = "42501"
"""PostgreSQL's code for what a login may not do."""


class Store:
    """One database.

    Args:
        url: `sqlite:////absolute/path` or `postgresql://user:password@host:port/name`.
        clock: what time it is, for SQLite; PostgreSQL answers with its own clock unless `own_clock` is given.
        own_clock: use `clock` even on PostgreSQL (tests that move time).
    """

    def __init__(self, url: str, *, clock: Clock, own_clock: bool = False) -> None:
        """Open lazily; nothing is read or written yet."""
        self._engine = make_engine(url)
        self._clock = clock
        self._writing = threading.Lock()
        self._ask_database = self._engine.dialect.name == "postgresql" and not own_clock

    @property
    def is_embedded(self) -> bool:
        """Say whether this is SQLite: one process, one writer."""
        return self._engine.dialect.name == "sqlite"

    def migrate(self) -> None:
        """Bring the schema to this version; safe to call at every start.

        Raises:
            LogUnavailable: the database cannot be reached.
        """
        with self._faults(), self._engine.connect() as connection:
            if _revision(connection) == schema.REVISION:
                return
            from alembic import command  # noqa: PLC0415 - takes a quarter of a second, which a restart has better use for
            from alembic.config import Config  # noqa: PLC0415 - as above

            config = Config()
            config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()

    def is_current(self) -> bool:
        """Say whether the schema is of this version, without changing it.

        Raises:
            LogUnavailable: the database cannot be reached.
        """
        with self._faults(), self._engine.connect() as connection:
            return _revision(connection) == schema.REVISION

    @contextmanager
    def begin(self) -> Iterator[Tx]:
        """Open a writing transaction; it commits when the block ends well and leaves nothing when it does not.

        Raises:
            Conflict: somebody else changed the same rows at the same moment.
            LogUnavailable: the database cannot write, so nothing happened.
        """
        with self._faults(), self._turn(), self._engine.begin() as connection:
            tx = Tx(connection, clock=self._now(connection))
            yield tx
            tx.flush()

    @contextmanager
    def read(self) -> Iterator[Tx]:
        """Open a reading transaction on one consistent view; whatever is written in it is discarded.

        Raises:
            LogUnavailable: the database cannot be reached.
        """
        with self._faults(), self._engine.connect() as connection:
            connection = connection.execution_options(  # noqa: PLW2901 - the same connection, with its options
                **({"reading": True} if self.is_embedded else {"isolation_level": "REPEATABLE READ"})
            )
            with connection.begin() as transaction:
                yield Tx(connection, clock=self._now(connection))
                transaction.rollback()

    @contextmanager
    def turn(self, name: str) -> Iterator[None]:
        """Hold every other broker of this database off `name` while the block runs; where there is one broker, hold nobody.

        Raises:
            LogUnavailable: the turn did not come in time, or the database is away.
        """
        if self.is_embedded:
            yield
            return
        with self._faults(), self._engine.begin() as connection:
            connection.execute(sa.text(f"SET LOCAL lock_timeout = '{TURN_WITHIN_S}s'"))
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 1))"), {"name": name})
            yield

    def entries(self, *, start: int = 0, end: int | None = None) -> Iterator[Entry]:
        """Yield the log's entries in order, as they are stored, holding few in memory."""
        with self._faults(), self._engine.connect() as connection:
            connection = connection.execution_options(  # noqa: PLW2901 - the same connection, with its options
                **({"reading": True} if self.is_embedded else {"isolation_level": "REPEATABLE READ"})
            )
            with connection.begin():
                yield from log.entries(connection, start=start, end=end)

    def clock_offset(self) -> timedelta | None:
        """Return how far the database's clock is ahead of ours, measured midway through the question; None where ours counts.

        Raises:
            LogUnavailable: the database cannot be reached.
        """
        if not self._ask_database:
            return None
        with self._faults(), self._engine.connect() as connection:
            connection.execute(sa.text("SELECT 1"))
            before = self._clock()
            answered = self._now(connection)
            return answered - (before + (self._clock() - before) / 2).astimezone(UTC)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for one's turn to write to SQLite: it has one writer, and makes the others poll, sleep and sometimes starve."""
        if not self.is_embedded:
            yield
            return
        if not self._writing.acquire(timeout=WRITE_WITHIN_S):
            raise LogUnavailable("the database is busy, so nothing happened", hint="try again")
        try:
            yield
        finally:
            self._writing.release()

    def _now(self, connection: sa.Connection) -> datetime:
        if self._ask_database:
            answered: datetime = connection.execute(sa.text("SELECT clock_timestamp()")).scalar_one()
            return trim(answered)
        return trim(self._clock().astimezone(UTC))

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError as error:
            raise Conflict(
                "the database refused it: it would break a rule that holds for all", hint="read again"
            ) from error
        except (OperationalError, PendingRollbackError, PoolTimeout) as error:
            raise LogUnavailable(
                "the database cannot be written, so nothing happened", hint="try again; the operator is told by /readyz"
            ) from error
        except ProgrammingError as error:
            if getattr(error.orig, "sqlstate", None) != NOT_GRANTED:
                raise
            raise LogUnavailable(
                "the database does not let this login do that, so nothing happened",
                hint="after an upgrade: countersign database prepare",
            ) from error


def _revision(connection: sa.Connection) -> str | None:
    """Return the step that the database's schema is at, None for an empty database."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return found
