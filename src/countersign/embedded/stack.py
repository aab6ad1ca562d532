"""The embedded stack: OpenBao, PostgreSQL and an AWS emulator on loopback, and the broker as a process of its own among them."""

from __future__ import annotations

import http.client
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from countersign.bootstrap.founding import found_rules, open_store
from countersign.config.settings import Settings
from countersign.embedded.authenticator import SoftwareAuthenticator
from countersign.embedded.broker import OneProcess, Told, TwoHalves
from countersign.embedded.first_rules import CATALOG, DIRECTORY, write_first_rules
from countersign.embedded.inbox import NAME as INBOX
from countersign.embedded.inbox import EmbeddedInbox
from countersign.embedded.kept import Kept, read_kept, write_kept
from countersign.embedded.ministack import EmbeddedAws
from countersign.embedded.openbao import EmbeddedOpenBao
from countersign.embedded.postgres import EmbeddedPostgres
from countersign.embedded.processes import NotReady, free_port, private_folder
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
    "nina": "engineer on call",
    "ivan": "engineer on call",
}
SWEEP_EVERY_S = 0.25


@dataclass(kw_only=True)
class EmbeddedStack:
    """All servers of the embedded stack, and what is needed to use them.

    Attributes:
        folder: state, for our eyes only; emptied at the start unless `keep`.
        keep: go on with the state of an earlier run, which must have been kept as well (the AWS emulator forgets).
        apart: run the broker as two halves.
        tokens: bearer token by person; in memory only.
        passkeys: software authenticator of everybody who signs.
    """

    folder: Path = STATE
    keep: bool = False
    apart: bool = False
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
            self.tokens = begin(self.settings(), PEOPLE)
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
        """Return the settings that the broker's process runs with; where it is two, those that set them up."""
        return self.broker.settings()

    def start_broker(self) -> None:
        """Start the broker and wait until it serves.

        Raises:
            NotReady: it did not come up.
        """
        self.broker.start(self.is_ready)

    def kill_broker(self) -> None:
        """Kill the broker as a power cut would, both processes where it is two."""
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
        return self.broker.log_key()

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
        self.inbox = EmbeddedInbox(path=self.folder / "notices.ndjson")
        self.inbox.start()
        self._running.append(self.inbox)
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
        told = self._told()
        self.broker = TwoHalves(self.folder, told, self.postgres) if self.apart else OneProcess(self.folder, told)
        self._running.append(self.broker)

    def _write_rules(self) -> None:
        values = {"postgres_port": str(self.postgres.port), "reports_role": self.account.roles["reports"]}
        self.passkeys = write_first_rules(self.folder, self.vault.identity, values=values, signed=self.apart)

    def _told(self) -> Told:
        assumer, revoker = self.account.settings.assumer, self.account.settings.revoker
        return Told(
            both={
                "mode": "embedded",
                "catalog_path": str(self.folder / CATALOG),
                "directory_path": str(self.folder / DIRECTORY),
            },
            people={
                "allow_tokens": True,
                "log_public": True,
                "listen_port": self.port,
                "public_url": self.vault.identity.public_url,
                "webhooks": {INBOX: self.inbox.settings()},
            },
            issuer={
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
            },
        )


def begin(settings: Settings, people: Iterable[str]) -> dict[str, str]:
    """Bring the first rules into force, and return a bearer token by person."""
    store = open_store(settings)
    found_rules(store, settings)
    office = Office(store=store, rules=RuleReader(), randomness=os.urandom, nudge=lambda: None)
    gate = Gate(office=office, tokens_allowed=settings.allow_tokens)
    tokens = {person: gate.issue(person) for person in people}
    store.close()
    return tokens


def _keys(key_id: str | None, secret: str | None) -> dict[str, str]:
    return {"access_key_id": key_id or "", "secret_access_key": secret or ""}
