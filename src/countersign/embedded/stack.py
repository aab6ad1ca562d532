"""The embedded stack: OpenBao, PostgreSQL and an AWS emulator on loopback, and the broker as a process of its own among them."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import urlsplit

from countersign.bootstrap.founding import found_rules, open_store
from countersign.bootstrap.logkey import log_signer
from countersign.config.settings import Settings, load_settings
from countersign.embedded.authenticator import SoftwareAuthenticator
from countersign.embedded.founders import authenticators, trust_in
from countersign.embedded.kept import Kept, read_kept, write_kept
from countersign.embedded.ministack import EmbeddedAws
from countersign.embedded.openbao import EmbeddedOpenBao
from countersign.embedded.postgres import EmbeddedPostgres
from countersign.embedded.processes import Child, NotReady, free_port, private_folder
from countersign.embedded.provision_aws import ProvisionedAws, provision
from countersign.embedded.provision_vault import ProvisionedVault, provision_vault
from countersign.service.office import Office
from countersign.service.rules import RuleReader
from countersign.service.tokens import Gate

STATE = Path(".countersign")
PEOPLE = {
    "alice": "engineer",
    "dave": "engineer",
    "bob": "approver (orders-owners)",
    "carol": "approver (security), on call",
    "erin": "auditor",
    "frank": "catalog author",
    "grace": "catalog author",
    "olga": "operator",
}
SWEEP_EVERY_S = 0.25


@dataclass(kw_only=True)
class EmbeddedStack:
    """All servers of the embedded stack, and what is needed to use them.

    Attributes:
        folder: state, for our eyes only; emptied at the start unless `keep`.
        keep: go on with the state of an earlier run, which must have been kept as well (the AWS emulator forgets).
        tokens: bearer token by person; in memory only.
        passkeys: software authenticator of everybody who signs.
    """

    folder: Path = STATE
    keep: bool = False
    tokens: dict[str, str] = field(default_factory=dict, repr=False)
    passkeys: Mapping[str, SoftwareAuthenticator] = field(default_factory=dict, repr=False)
    _running: list[Any] = field(default_factory=list, repr=False)

    def start(self) -> None:
        """Start everything, the broker last.

        Raises:
            NotReady: a server did not come up; those that did are stopped again.
        """
        self.folder = self.folder.absolute()
        kept = read_kept(self.folder) if self.keep else None
        if kept is None:
            shutil.rmtree(self.folder, ignore_errors=True)
        private_folder(self.folder)
        try:
            self._start_servers(kept)
            self._write_rules()
            self._issue_tokens()
            self.start_broker()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop what runs, in the opposite order; idempotent."""
        while self._running:
            self._running.pop().stop()

    @property
    def url(self) -> str:
        """The broker's address."""
        return f"http://127.0.0.1:{self.port}"

    def settings(self) -> Settings:
        """Return the settings that the broker's process runs with."""
        return load_settings(**self._settings())

    def start_broker(self) -> None:
        """Start the broker's process and wait until it serves.

        Raises:
            NotReady: it did not come up.
        """
        self.broker.start()
        self.broker.wait_until(self.is_ready)

    def kill_broker(self) -> None:
        """Kill the broker's process as a power cut would."""
        self.broker.kill()

    def is_ready(self) -> bool:
        """Say whether the broker is ready."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=1.0)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def connection_info(self) -> dict[str, Any]:
        """Return what an outside checker needs to see for itself; holds secrets."""
        return {
            "url": self.url,
            "tokens": self.tokens,
            "openbao": {"addr": self.vault.address, "inspect_token": self.vault.inspect_token},
            "postgres": {"dsn": self.vault.owner_dsn},
            "aws": {"endpoint_url": self.aws.endpoint_url},
            "log": {"key": self.log_key()},
            "sign_in": {"url": self.vault.identity.public_url, "passwords": dict(self.vault.identity.passwords)},
        }

    def log_key(self) -> str:
        """Return the log's public key as a vkey."""
        return log_signer(self.settings()).verifier().vkey()

    def _start_servers(self, kept: Kept | None) -> None:
        if kept is None:
            self.postgres, self.openbao = (
                EmbeddedPostgres(self.folder / "postgres"),
                EmbeddedOpenBao(self.folder / "openbao"),
            )
        else:
            self.postgres, self.openbao = kept.postgres(self.folder), kept.openbao(self.folder)
        self.postgres.start()
        self._running.append(self.postgres)
        root_token = self.openbao.start()
        self._running.append(self.openbao)
        self.aws = EmbeddedAws(folder=self.folder / "aws")
        self.aws.start()
        self._running.append(self.aws)
        if kept is not None:
            self.vault: ProvisionedVault = kept.vault()
        elif root_token is not None:
            self.vault = provision_vault(
                self.postgres,
                self.openbao,
                root_token,
                people=PEOPLE,
                public_url=f"http://localhost:{free_port()}",
            )
        else:
            raise NotReady("OpenBao has state of an earlier run that was not kept whole; start without KEEP")
        if self.keep and kept is None:
            write_kept(self.folder, self.postgres, self.openbao, self.vault)
        self.account: ProvisionedAws = provision(self.aws)
        self.port = urlsplit(self.vault.identity.public_url).port or free_port()
        self.broker = Child(
            name="broker",
            command=[sys.executable, "-m", "countersign", "serve"],
            log=self.folder / "broker.log",
            environment=self._environment(),
        )
        self._running.append(_Broker(self.broker))

    def _write_rules(self) -> None:
        values = {"postgres_port": str(self.postgres.port), "reports_role": self.account.roles["reports"]}
        identity = self.vault.identity
        self.passkeys = authenticators(self.folder, origin=identity.public_url)
        trust = identity.issuer() + trust_in(self.passkeys, origin=identity.public_url)
        for name, tables in (("catalog.toml", trust), ("directory.toml", identity.principals())):
            text = resources.files("countersign.embedded").joinpath(name).read_text(encoding="utf-8")
            text = Template(text).safe_substitute(values) + tables
            (self.folder / name).write_text(text, encoding="utf-8")

    def _issue_tokens(self) -> None:
        settings = self.settings()
        store = open_store(settings)
        found_rules(store, settings)
        office = Office(store=store, rules=RuleReader(), randomness=os.urandom, nudge=lambda: None)
        gate = Gate(office=office, tokens_allowed=settings.allow_tokens)
        self.tokens = {person: gate.issue(person) for person in PEOPLE}
        store.close()

    def _settings(self) -> dict[str, Any]:
        assumer, revoker = self.account.settings.assumer, self.account.settings.revoker
        return {
            "mode": "embedded",
            "allow_tokens": True,
            "log_public": True,
            "state_dir": str(self.folder / "broker"),
            "catalog_path": str(self.folder / "catalog.toml"),
            "directory_path": str(self.folder / "directory.toml"),
            "listen_port": self.port,
            "public_url": self.vault.identity.public_url,
            "sweep_interval_s": SWEEP_EVERY_S,
            "openbao": {
                "addr": self.vault.address,
                "role_id": self.vault.role_id,
                "secret_id": self.vault.secret_id,
                "audit_log": str(self.openbao.audit_log),
            },
            "aws": {
                "endpoint_url": self.aws.endpoint_url,
                "region": self.account.settings.region,
                "assumer": _keys(assumer.access_key_id, assumer.secret_access_key),
                "revoker": _keys(revoker.access_key_id, revoker.secret_access_key),
            },
            "targets": {"orders-db": {"dsn": self.vault.target_dsn, "log": str(self.postgres.records)}},
        }

    def _environment(self) -> dict[str, str]:
        """Return the broker's settings as its environment: secrets reach it without touching disk or arguments."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return kept | dict(_flat("COUNTERSIGN", self._settings()))


@dataclass(frozen=True)
class _Broker:
    """The broker's process, stopped in good order."""

    child: Child

    def stop(self) -> None:
        self.child.stop(signal.SIGTERM)


def _keys(key_id: str | None, secret: str | None) -> dict[str, str]:
    return {"access_key_id": key_id or "", "secret_access_key": secret or ""}


def _flat(prefix: str, table: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Spell settings as environment variables, tables as JSON."""
    return [
        (f"{prefix}_{key.upper()}", json.dumps(value) if isinstance(value, Mapping) else str(value))
        for key, value in table.items()
    ]
