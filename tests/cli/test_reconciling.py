"""`countersign reconcile`, against the records that a real OpenBao and a real PostgreSQL wrote of a real broker's leases."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from tests.cli.desk import Ran, run_here
from tests.servers import Stack, now, running_stack
from tests.world import CATALOG, DIRECTORY, entitlement

from countersign.auditlog import reconciliation
from countersign.auditlog.signer import Ed25519Signer
from countersign.bootstrap.assembly import Running, assemble
from countersign.cli.exported import ENTRIES
from countersign.domain.review import Decision
from countersign.service.rules import found
from countersign.service.submission import Ask
from countersign.store import Store

READ = {"provider": "vault", "grants": {"role": "orders-ro"}, "max_duration_s": 600}


@dataclass(kw_only=True)
class Scene:
    """A broker on the real servers, and an audit file that holds what was written since it began."""

    stack: Stack
    running: Running
    folder: Path
    began: int

    def draw(self) -> Any:  # noqa: ANN401 - Drawn
        broker, office = self.running.broker, self.running.broker.office
        with office.store.read() as tx:
            principals = office.rules.current(tx).directory.principals
        ask = Ask(entitlement="orders-db-read", parameters={}, duration_s=300, reason="invoice 4711")
        request = broker.requests.submit(principals["alice"], ask)
        broker.requests.review(principals["bob"], request.id, decision=Decision.APPROVE, digest=request.digest)
        with office.store.read() as tx:
            grant = tx.grant_of_request(request.id)
        assert grant is not None
        return self.running.issuing.issuer.draw(principals["alice"], grant.id)

    def end(self, grant_id: str) -> None:
        broker, office = self.running.broker, self.running.broker.office
        with office.store.read() as tx:
            alice = office.rules.current(tx).directory.principals["alice"]
        broker.control.give_back(alice, grant_id)
        assert self.running.issuing.sweeper.sweep_and_wait() == 1

    def reconcile(self, *more: str) -> Ran:
        """Export the log and compare it with everything that the two servers say."""
        export = self.folder / "export"
        export.mkdir(exist_ok=True)
        with (export / ENTRIES).open("w", encoding="utf-8") as file:
            for entry in self.running.broker.office.store.entries():
                file.write(_line(entry.index, entry.leaf, entry.leaf_hash))
        audit = self.folder / "audit.log"
        audit.write_bytes(self.stack.openbao.audit_log.read_bytes()[self.began :])
        environment = {
            "COUNTERSIGN_OPENBAO_TOKEN": self.stack.vault.inspect_token,
            "COUNTERSIGN_TARGET_DSN": self.stack.vault.owner_dsn,
            "HOME": str(self.folder),
        }
        sources = ["--openbao-audit", str(audit), "--openbao", self.stack.vault.address, "--target", "orders-db"]
        log = ["--postgres-log", str(self.stack.postgres.records)] if "--log" in more else []
        return run_here(["reconcile", str(export), *sources, *log, "--json"], environment)


def _line(index: int, leaf: bytes, leaf_hash: bytes | None) -> str:
    told = {"index": index, "leaf": base64.b64encode(leaf).decode(), "leaf_hash": (leaf_hash or b"").hex()}
    return json.dumps(told) + "\n"


@pytest.fixture(scope="module")
def openbao_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Servers of their own: what other tests leave at the shared ones is unexplained by this log, and rightly told."""
    with running_stack(tmp_path_factory.mktemp("reconciled")) as stack:
        yield stack


@pytest.fixture
def scene(openbao_stack: Stack, tmp_path: Path) -> Iterator[Scene]:
    store = Store(f"sqlite:///{tmp_path / 'countersign.db'}", clock=now)
    store.migrate()
    target = openbao_stack.target()
    catalog = CATALOG | {"target": [target], "entitlement": [entitlement("orders-db-read", **READ)]}
    found(store, catalog=catalog, directory=DIRECTORY)
    running = assemble(
        store=store,
        providers={"vault": openbao_stack.provider()},
        signer=Ed25519Signer.generate("test.example/log"),
        tokens_allowed=True,
        sweep_every=timedelta(seconds=1),
    )
    began = openbao_stack.openbao.audit_log.stat().st_size
    yield Scene(stack=openbao_stack, running=running, folder=tmp_path, began=began)
    store.close()


def sides(ran: Ran) -> list[tuple[str, str, str | None]]:
    return sorted((each["side"], each["source"], each["lease"]) for each in ran.json()["unmatched"])


def test_a_log_that_is_whole_matches_what_the_servers_say(scene: Scene) -> None:
    ended, living = scene.draw().lease, scene.draw().lease
    scene.end(ended.grant_id)
    ran = scene.reconcile()
    assert (ran.code, sides(ran)) == (0, []), ran.out
    told = ran.json()
    assert [each["source"] for each in told["extracts"]] == [
        "openbao-audit",
        "openbao-tokens",
        "postgresql-roles orders-db",
    ]
    assert all(len(each["sha256"]) == 64 for each in told["extracts"])
    assert told["log"]["ok"]
    scene.end(living.grant_id)


def test_what_was_made_past_the_broker_and_what_is_gone_without_it_come_out_on_their_sides(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciliation, "CLOCKS_MAY_DIFFER", timedelta(0))  # one machine, and the lease is a moment old
    drawn = scene.draw()
    stranger = "lse_" + "".join(secrets.choice("abcdefghij") for _ in range(16))
    with psycopg.connect(scene.stack.vault.owner_dsn, autocommit=True) as owner:
        owner.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(stranger)))
        owner.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(drawn.lease.id)))
    try:
        ran = scene.reconcile()
        assert ran.code == 1
        assert sides(ran) == [
            ("log", "postgresql-roles orders-db", drawn.lease.id),
            ("outside", "postgresql-roles orders-db", stranger),
        ]
    finally:
        with psycopg.connect(scene.stack.vault.owner_dsn, autocommit=True) as owner:
            owner.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(stranger)))
    scene.end(drawn.lease.grant_id)


def test_leases_that_were_cut_out_of_the_log_are_convicted_by_everything_else(scene: Scene) -> None:
    drawn = scene.draw()
    with scene.stack.login_as(drawn.credential.fields["username"], drawn.credential.fields["password"]):
        pass
    with scene.running.broker.office.store.read() as tx:
        assert tx.lease(drawn.lease.id) is not None
    scene.running.broker.office.store.entries = lambda **_: iter(())  # type: ignore[method-assign] # the log, cut
    ran = scene.reconcile("--log")
    assert ran.code == 1
    convicted = {source for side, source, lease in sides(ran) if side == "outside" and lease == drawn.lease.id}
    assert {"openbao-audit", "openbao-tokens", "postgresql-roles orders-db", "postgresql-log orders-db"} == convicted
    scene.end(drawn.lease.grant_id)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([], "name at least one source"),
        (["--target", "orders-db"], "COUNTERSIGN_TARGET_DSN"),
        (["--openbao", "http://127.0.0.1:1"], "COUNTERSIGN_OPENBAO_TOKEN"),
        (["--postgres-log", "."], "say whose log that is"),
        (["--openbao-audit", "nowhere"], "cannot be read"),
    ],
)
def test_what_is_missing_is_named_and_no_secret_goes_into_arguments(tmp_path: Path, args: list[str], says: str) -> None:
    ran = run_here(["reconcile", str(tmp_path), *args], {"HOME": str(tmp_path)})
    assert ran.code == 2
    assert says in ran.err
