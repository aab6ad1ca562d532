"""Calls Countersign's functions at one PostgreSQL target: short time-outs, a few idle connections, any restart survived."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus

from countersign.domain.ids import LEASE, is_id
from countersign.providers.base import Away, Declined

_CONNECT_S = 3
_STATEMENT_MS = 4000
_ANSWER_S = 5.0
_IDLE_CONNECTIONS = 24
_RV = TypeVar("_RV")


@dataclass(frozen=True, kw_only=True, slots=True)
class Aligned:
    """What `align` found when it set the role's last second.

    Attributes:
        previous: the VALID UNTIL that OpenBao had set; None if none.
        member_of: the groups that the role is directly in.
        attributes: role attributes beyond LOGIN (`superuser`, `createrole`, …); there should be none.
    """

    role_oid: int
    previous: datetime | None
    connection_limit: int
    member_of: tuple[str, ...]
    attributes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class RoleStanding:
    """How one lease's role stands at the target.

    Attributes:
        role_oid: None when there is no such role.
        sessions: those of the role, and of the role of that name that was dropped if its oid was given.
        dangling: sessions at this target of dropped roles of which nobody knows whose they were.
    """

    lease_id: str
    role_oid: int | None
    can_login: bool
    valid_until: datetime | None
    sessions: int
    last_activity: datetime | None
    dangling: int


@dataclass(frozen=True, kw_only=True, slots=True)
class RosterRow:
    """A role named as a lease, or a dropped role whose sessions live on; of those `lease_id` is None where it is not known."""

    lease_id: str | None
    role_oid: int
    dropped: bool
    can_login: bool
    valid_until: datetime | None
    sessions: int
    last_activity: datetime | None


class _Connection(psycopg.Connection[Any]):
    """A connection on which no answer is waited for without end, as for a server that was frozen."""

    def wait(self, gen: PQGen[_RV], interval: float = 0.1, timeout: float | None = _ANSWER_S) -> _RV:
        return super().wait(gen, interval, timeout)


class _Lost(Away):
    """The connection is gone; on a fresh one the same call may succeed."""


class PostgresTarget:
    """The broker's account at one PostgreSQL target; safe from several threads.

    Every call is idempotent, so one that meets a connection that died while idle is repeated once on a fresh one.

    Args:
        dsn: the broker's account there, password included.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._idle: list[psycopg.Connection[Any]] = []
        self._lock = threading.Lock()
        where = conninfo_to_dict(dsn)
        self._where = f"{where.get('host')}:{where.get('port')}/{where.get('dbname')}"

    def __repr__(self) -> str:
        return f"PostgresTarget({self._where})"

    def align(self, lease_id: str, until: datetime) -> Aligned:
        """Set the role's last second and say what was found.

        Raises:
            Declined: there is no such role, or it ends earlier.
            Away: the target cannot be reached.
        """
        ((oid, previous, limit, member_of, attributes),) = self._call(
            "SELECT role_oid, previous, connection_limit, member_of, attributes FROM countersign.align_lease(%s, %s)",
            [_lease(lease_id), until],
        )
        return Aligned(
            role_oid=oid,
            previous=previous,
            connection_limit=limit,
            member_of=tuple(member_of),
            attributes=tuple(attributes),
        )

    def close(self, lease_id: str) -> str:
        """Forbid login, committed when this returns; answers `closed` or `absent`.

        Raises:
            Declined, Away: it may not be closed yet.
        """
        ((outcome,),) = self._call("SELECT countersign.close_lease(%s)", [_lease(lease_id)])
        return str(outcome)

    def end(self, lease_id: str, role_oid: int | None) -> tuple[str, int]:
        """Cut a closed role's sessions and drop it.

        Args:
            lease_id: names the role.
            role_oid: the role's oid as `align` gave it, to find sessions whose role was dropped under them.

        Returns:
            `dropped`, `absent`, `owns-objects` or `held` (sessions are left, or somebody else is at it), and how many are left.

        Raises:
            Declined, Away: it may not be ended yet.
        """
        ((outcome, left),) = self._call(
            "SELECT outcome, sessions_left FROM countersign.end_lease(%s, %s::oid)", [_lease(lease_id), role_oid]
        )
        return str(outcome), int(left)

    def end_dangling(self, role_oid: int) -> int:
        """Cut the sessions of a role that no longer exists and answer how many are left.

        Raises:
            Declined: the role exists.
            Away: the target cannot be reached.
        """
        ((left,),) = self._call("SELECT countersign.end_dangling(%s::oid)", [role_oid])
        return int(left)

    def standing(self, remembered: Mapping[str, int | None]) -> dict[str, RoleStanding]:
        """Look at these leases in one query.

        Args:
            remembered: lease ids with the oids that `align` gave.

        Raises:
            Declined, Away: nothing was seen.
        """
        rows = self._call(
            "SELECT lease, role_oid, can_login, valid_until, sessions, last_activity, dangling"
            " FROM countersign.lease_standing(%s::text[], %s::oid[])",
            [[_lease(lease_id) for lease_id in remembered], list(remembered.values())],
        )
        return {
            lease: RoleStanding(
                lease_id=lease,
                role_oid=oid,
                can_login=bool(can_login),
                valid_until=until,
                sessions=sessions,
                last_activity=last,
                dangling=dangling,
            )
            for lease, oid, can_login, until, sessions, last, dangling in rows
        }

    def roster(self) -> list[RosterRow]:
        """List every role named as a lease and every dropped role with sessions.

        Raises:
            Declined, Away: nothing was seen.
        """
        rows = self._call(
            "SELECT lease, role_oid, dropped, can_login, valid_until, sessions, last_activity"
            " FROM countersign.lease_roster()",
            [],
        )
        return [
            RosterRow(
                lease_id=lease,
                role_oid=oid,
                dropped=dropped,
                can_login=bool(can_login),
                valid_until=until,
                sessions=sessions,
                last_activity=last,
            )
            for lease, oid, dropped, can_login, until, sessions, last in rows
        ]

    def close_connections(self) -> None:
        """Close what is idle; calls after this open new connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _call(self, query: LiteralString, arguments: Sequence[object]) -> list[tuple[Any, ...]]:
        connection = self._take()
        if connection is not None:
            try:
                return self._run(connection, query, arguments)
            except _Lost:
                self.close_connections()
        return self._run(self._open(), query, arguments)

    def _run(
        self, connection: psycopg.Connection[Any], query: LiteralString, arguments: Sequence[object]
    ) -> list[tuple[Any, ...]]:
        try:
            rows = connection.execute(query, arguments).fetchall()
        except psycopg.OperationalError as error:
            trouble = _Lost if connection.broken else Away
            if connection.info.transaction_status is not TransactionStatus.IDLE:
                connection.close()
            self._give_back(connection)
            raise trouble(f"{self._where}: {_said(error)}") from None
        except psycopg.Error as error:
            self._give_back(connection)
            raise Declined(f"{self._where}: {_said(error)}") from None
        except BaseException:
            connection.close()
            raise
        self._give_back(connection)
        return rows

    def _open(self) -> psycopg.Connection[Any]:
        try:
            return _Connection.connect(
                self._dsn,
                autocommit=True,
                connect_timeout=_CONNECT_S,
                options=f"-c statement_timeout={_STATEMENT_MS}",
                application_name="countersign",
                keepalives_idle=5,
                keepalives_interval=2,
                keepalives_count=2,
                tcp_user_timeout=_STATEMENT_MS,
            )
        except psycopg.OperationalError as error:
            raise Away(f"{self._where}: {_said(error)}") from None

    def _take(self) -> psycopg.Connection[Any] | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _give_back(self, connection: psycopg.Connection[Any]) -> None:
        with self._lock:
            if not connection.closed and len(self._idle) < _IDLE_CONNECTIONS:
                self._idle.append(connection)
                return
        with suppress(psycopg.Error):
            connection.close()


def _lease(lease_id: str) -> str:
    if not is_id(lease_id, LEASE):
        raise Declined("not the name of a lease")
    return lease_id


def _said(error: psycopg.Error) -> str:
    """What PostgreSQL said, in one line and without the statement."""
    primary = error.diag.message_primary or (str(error).strip().splitlines() or [type(error).__name__])[0]
    return f"{primary} ({error.sqlstate})" if error.sqlstate else primary
