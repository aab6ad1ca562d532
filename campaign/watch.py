"""The target's own view, taken with the owner's rights every few milliseconds: which lease's login works, which session lives."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, field

import psycopg

LOOK_EVERY_S = 0.03
VIEW = """
SELECT r.rolname, r.rolcanlogin AND (r.rolvaliduntil IS NULL OR r.rolvaliduntil > clock_timestamp()),
       EXISTS (SELECT FROM pg_stat_activity a WHERE a.usesysid = r.oid)
FROM pg_roles r WHERE r.rolname ~ '^lse_'
"""


@dataclass(kw_only=True)
class Watch:
    """When each lease was last seen to let somebody in, and last seen with an open session (wall clock, seconds)."""

    dsn: str = field(repr=False)
    login: dict[str, float] = field(default_factory=dict)
    session: dict[str, float] = field(default_factory=dict)
    looks: int = 0
    stopping: threading.Event = field(default_factory=threading.Event, repr=False)

    def run(self) -> None:
        """Look until told to stop; while the target is away nothing works there anyway."""
        while not self.stopping.is_set():
            with contextlib.suppress(psycopg.Error), psycopg.connect(self.dsn, connect_timeout=2) as connection:
                connection.autocommit = True
                while not self.stopping.is_set():
                    self._look(connection)
                    time.sleep(LOOK_EVERY_S)
            time.sleep(LOOK_EVERY_S)

    def left(self) -> list[str]:
        """Return the lease-named roles that stand at the target now."""
        with psycopg.connect(self.dsn, connect_timeout=5) as connection:
            return [str(row[0]) for row in connection.execute("SELECT rolname FROM pg_roles WHERE rolname ~ '^lse_'")]

    def _look(self, connection: psycopg.Connection[tuple[str, bool, bool]]) -> None:
        began = time.time()
        for role, lets_in, has_session in connection.execute(VIEW).fetchall():
            if lets_in:
                self.login[role] = began
            if has_session:
                self.session[role] = began
        self.looks += 1
