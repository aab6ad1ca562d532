"""The broker of the embedded stack: one process, or two halves on the embedded PostgreSQL, each told what is its own alone."""

from __future__ import annotations

import json
import os
import secrets
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from countersign.bootstrap.logkey import log_signer
from countersign.bootstrap.preparing import prepare_database
from countersign.bootstrap.pulse import FILE, pulse_age_s
from countersign.config.catalog import load_catalog
from countersign.config.directory import load_directory
from countersign.config.settings import PREFIX, Settings, load_settings
from countersign.domain.proposal import genesis_digest
from countersign.embedded.postgres import EmbeddedPostgres
from countersign.embedded.processes import Child

Table = Mapping[str, Any]
DATABASE, OWNER = "countersign", "countersign_owner"
LOGINS = {"people": "countersign_people", "issuer": "countersign_issuer"}


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a broker is told, by whom it concerns; holds secrets.

    Attributes:
        both: whatever process it is.
        people: the half that faces people.
        issuer: the half that issues.
    """

    both: Table = field(repr=False)
    people: Table = field(repr=False)
    issuer: Table = field(repr=False)


class OneProcess:
    """Both halves in one process, on a SQLite file.

    Args:
        folder: of the stack.
        told: what it is told.
    """

    def __init__(self, folder: Path, told: Told) -> None:
        self._table = {**told.both, **told.people, **told.issuer, "state_dir": str(folder / "broker")}
        self._process = _serving("broker", folder, self._table)

    def settings(self) -> Settings:
        """Return the settings that the process runs with."""
        return load_settings(**self._table)

    def log_key(self) -> str:
        """Return the log's public key as a vkey."""
        return log_signer(self.settings()).verifier().vkey()

    @property
    def pid(self) -> int | None:
        """Return the process id while it runs."""
        return self._process.pid

    @property
    def ended(self) -> Path | None:
        """Return the log of a process that is not running, None while all is well."""
        return None if self._process.running else self._process.log

    def start(self, ready: Callable[[], bool]) -> None:
        """Start it and wait until it is ready.

        Raises:
            NotReady: it did not come up.
        """
        self._process.start()
        self._process.wait_until(ready)

    def kill(self) -> None:
        """Kill it as a power cut would."""
        self._process.kill()

    def stop(self) -> None:
        """Stop it in good order."""
        self._process.stop(signal.SIGTERM)


class TwoHalves:
    """A process for each half, as docs/halves.md says: logins of their own at PostgreSQL, and nothing of the other's.

    Args:
        folder: of the stack.
        told: what they are told.
        postgres: where their database is made, if an earlier run did not leave it.
    """

    def __init__(self, folder: Path, told: Told, postgres: EmbeddedPostgres) -> None:
        self._folder, self._told, self._postgres = folder, told, postgres
        self._passwords = {name: secrets.token_urlsafe(24) for name in (OWNER, *LOGINS.values())}
        _make_logins(postgres, self._passwords)
        prepare_database(self.settings(), **LOGINS)
        self._made: dict[str, Child] = {}

    def settings(self) -> Settings:
        """Return settings of both halves with which the database's owner sets things up; no process runs with them."""
        told = self._told
        return load_settings(**{**told.both, **told.people, **told.issuer, **self._place("issuer", OWNER)})

    def log_key(self) -> str:
        """Return the log's public key as a vkey; it is made where the issuing half will find it."""
        return log_signer(self.settings()).verifier().vkey()

    @property
    def pid(self) -> int | None:
        """Return the process id of the half that faces people while it runs."""
        return self.half("people").pid

    @property
    def ended(self) -> Path | None:
        """Return the log of a process that is not running, None while all is well."""
        return next((child.log for child in self._made.values() if not child.running), None)

    def half(self, name: str) -> Child:
        """Return the process of a half, `people` or `issuer`."""
        if name not in self._made:
            self._made[name] = _serving(name, self._folder, self._table(name))
        return self._made[name]

    def start(self, ready: Callable[[], bool]) -> None:
        """Start both, and wait until one sweeps and the other is ready.

        Raises:
            NotReady: one of them did not come up.
        """
        self._begin_issuer()
        self.half("people").start()
        self._wait_for_issuer()
        self.half("people").wait_until(ready)

    def start_issuer(self) -> None:
        """Start the issuing half and wait until it sweeps.

        Raises:
            NotReady: it did not come up.
        """
        self._begin_issuer()
        self._wait_for_issuer()

    def kill(self) -> None:
        """Kill both as a power cut would."""
        for child in self._made.values():
            child.kill()

    def stop(self) -> None:
        """Stop both in good order, the one that people see first."""
        for name in ("people", "issuer"):
            if name in self._made:
                self._made[name].stop(signal.SIGTERM)

    def environment(self, name: str) -> Mapping[str, str]:
        """Return the environment of a half: everything it is told, and so everything that a thief of it finds there."""
        return self.half(name).environment

    def _begin_issuer(self) -> None:
        (self._state("issuer") / FILE).unlink(missing_ok=True)  # an earlier process's sign of life is none of this one
        self.half("issuer").start()

    def _wait_for_issuer(self) -> None:
        self.half("issuer").wait_until(lambda: pulse_age_s(self._state("issuer")) is not None)

    def _table(self, name: str) -> Table:
        told = self._told
        own = {**told.people, "log_vkey": self.log_key()} if name == "people" else told.issuer
        catalog = load_catalog(Path(told.both["catalog_path"]))[1]
        directory = load_directory(Path(told.both["directory_path"]))[1]
        genesis = genesis_digest(catalog=catalog.digest, directory=directory.digest)
        return {**told.both, **own, **self._place(name, LOGINS[name]), "half": name, "genesis": genesis}

    def _place(self, name: str, login: str) -> Table:
        address = f"127.0.0.1:{self._postgres.port}/{DATABASE}"
        return {
            "state_dir": str(self._state(name)),
            "database_url": f"postgresql://{login}:{self._passwords[login]}@{address}",
        }

    def _state(self, name: str) -> Path:
        return self._folder / f"broker-{name}"


def _make_logins(postgres: EmbeddedPostgres, passwords: Mapping[str, str]) -> None:
    """Make the database, its owner and a login for each half, or give those of an earlier run new passwords."""
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute("SET log_statement = 'none'")
        there = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles").fetchall()}
        for login, password in passwords.items():
            verb = sql.SQL("ALTER" if login in there else "CREATE")
            connection.execute(sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(verb, sql.Identifier(login), password))
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
            names = sql.Identifier(DATABASE), sql.Identifier(OWNER)
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(*names))
        # The same server is a target here: what is drawn there does not even reach the broker's own database.
        database, logins = sql.Identifier(DATABASE), sql.SQL(", ").join(map(sql.Identifier, LOGINS.values()))
        connection.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(database))
        connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, logins))


def _serving(name: str, folder: Path, table: Table) -> Child:
    """Return a process that serves: its settings are its environment, so that secrets touch neither disk nor arguments."""
    kept = {variable: os.environ[variable] for variable in ("PATH", "HOME", "LANG") if variable in os.environ}
    return Child(
        name=name,
        command=[sys.executable, "-m", "countersign", "serve"],
        log=folder / f"{name}.log",
        environment=kept | {f"{PREFIX}{key.upper()}": _spelled(value) for key, value in table.items()},
    )


def _spelled(value: object) -> str:
    return json.dumps(value) if isinstance(value, Mapping) else str(value)
