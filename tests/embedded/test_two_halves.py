"""Two halves as two real processes on one PostgreSQL, beside a real OpenBao: what each is told, and what comes of a death."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from tests.cli.desk import PROGRAM, Ran, run_here
from tests.servers import Stack, running_stack

from countersign.domain.device import nonce_for, spelled
from countersign.domain.order import DrawOrder
from countersign.domain.passkey import review_challenge
from countersign.domain.timestamps import spell
from countersign.embedded.authenticator import SoftwareAuthenticator
from countersign.embedded.broker import DATABASE, LOGINS, Told, TwoHalves
from countersign.embedded.demo.caller import Caller
from countersign.embedded.first_rules import CATALOG, DIRECTORY, write_first_rules
from countersign.embedded.processes import free_port
from countersign.embedded.stack import begin

pytestmark = pytest.mark.slow

PEOPLE = ("alice", "bob", "erin")
EXIT_AWAY = 7
ROLE = "arn:aws:iam::111122223333:role/countersign-target-reports"


@dataclass(frozen=True, kw_only=True)
class Newcomer:
    """Somebody at a terminal, with nothing but the program and a folder for what it keeps."""

    url: str
    home: Path

    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "COUNTERSIGN_URL": self.url, "COUNTERSIGN_HOME": str(self.home)}

    def start(self, *args: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*PROGRAM, *args], env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run(self, *args: str) -> dict[str, Any]:
        ran = run_here([*args, "--json"], self.environment())
        assert ran.code == 0, ran.err
        return ran.json()

    def refused(self, *args: str) -> dict[str, Any]:
        ran = run_here([*args, "--json"], self.environment())
        assert ran.code != 0
        return dict(json.loads(ran.err)["error"])


@dataclass(frozen=True, kw_only=True)
class Apart:
    """A broker in two halves, and who can call it."""

    folder: Path
    servers: Stack
    broker: TwoHalves
    port: int
    tokens: dict[str, str]
    passkeys: Mapping[str, SoftwareAuthenticator]

    def person(self, name: str) -> Caller:
        return Caller(name=name, url=f"http://127.0.0.1:{self.port}", token=self.tokens[name])

    def heard(self) -> str | None:
        """Return what the half that faces people says of the other one; None while it does not answer that it is ready."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            said = json.load(answer)
        except OSError:
            return None
        finally:
            connection.close()
        return str(said["checks"]["issuing half"]) if answer.status == http.client.OK else None

    def asked(self, entitlement: str = "orders-db-read") -> dict[str, Any]:
        body = {"entitlement": entitlement, "parameters": {}, "duration_s": 60, "reason": "stuck", "ticket": "OPS-1"}
        made = self.person("alice").post("/requests", body)
        assert made.status == 201, made
        return dict(made.body)

    def approved(self, made: Mapping[str, Any]) -> str:
        challenge = review_challenge(request=made["id"], digest=made["digest"], decision="approve", approver="bob")
        signature = self.passkeys["bob"].sign(challenge).document()
        review = {"decision": "approve", "digest": made["digest"], "signature": signature}
        reviewed = self.person("bob").post(f"/requests/{made['id']}/reviews", review)
        assert (reviewed.status, reviewed.body["state"]) == (200, "approved"), reviewed
        return str(reviewed.body["grant_id"])

    def signed_in(self, who: str, home: Path) -> Newcomer:
        """Run `countersign login`, and be the browser that it waits for: OpenBao's own page, and the way back."""
        newcomer = Newcomer(url=f"http://127.0.0.1:{self.port}", home=home)
        identity = self.servers.vault.identity
        with newcomer.start("login", "--no-browser", "--within", "30") as login:
            assert login.stderr is not None
            location = next(found[0] for line in login.stderr if (found := re.search(r"https?://\S+", line)))
            asked = dict(parse_qsl(urlsplit(location).query))
            password = {"password": identity.passwords[who]}
            address = self.servers.openbao.address
            entered = httpx2.post(f"{address}/v1/auth/userpass/login/{who}", json=password).json()
            token = {"X-Vault-Token": entered["auth"]["client_token"]}
            brought = httpx2.get(f"{identity.url}/authorize", params=asked, headers=token).json()
            assert httpx2.get(asked["redirect_uri"], params=brought).status_code == 200
            assert login.wait(timeout=30) == 0, login.stderr.read()
        return newcomer

    def state(self, request_id: str) -> str:
        return str(self.person("erin").get(f"/requests/{request_id}").body["state"])

    def lease(self, lease_id: str) -> dict[str, Any]:
        return dict(self.person("erin").get(f"/leases/{lease_id}").body)

    def refuses(self, credential: Mapping[str, Any]) -> bool:
        try:
            self.servers.login_as(credential["username"], credential["password"]).close()
        except psycopg.OperationalError:
            return True
        return False

    def stands(self, role: str) -> bool:
        with self.servers.owner() as owner:
            return owner.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone() is not None

    def alive(self, half: str) -> Ran:
        return run_here(["alive"], self.broker.environment(half))


def until(holds: Callable[[], bool], *, within_s: float = 15.0) -> None:
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, "it did not come to that in time"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    folder = tmp_path_factory.mktemp("two-halves")
    with running_stack(folder) as servers:
        vault, port = servers.vault, free_port()
        values = {"postgres_port": str(servers.postgres.port), "reports_role": ROLE}
        passkeys = write_first_rules(folder, vault.identity, values=values, signed=True)
        told = Told(
            both={
                "mode": "embedded",
                "catalog_path": str(folder / CATALOG),
                "directory_path": str(folder / DIRECTORY),
            },
            people={"allow_tokens": True, "listen_port": port, "public_url": vault.identity.public_url},
            issuer={
                "sweep_interval_s": 0.25,
                "openbao": {"addr": vault.address, "role_id": vault.role_id, "secret_id": vault.secret_id},
                "targets": {"orders-db": {"dsn": vault.target_dsn}},
            },
        )
        broker = TwoHalves(folder, told, servers.postgres)
        made = Apart(
            folder=folder,
            servers=servers,
            broker=broker,
            port=port,
            tokens=begin(broker.settings(), PEOPLE),
            passkeys=passkeys,
        )
        broker.start(lambda: made.heard() is not None)
        try:
            yield made
        finally:
            broker.stop()


@pytest.fixture(scope="module")
def newcomer(apart: Apart, tmp_path_factory: pytest.TempPathFactory) -> Newcomer:
    return apart.signed_in("alice", tmp_path_factory.mktemp("home"))


@dataclass(kw_only=True)
class Attacker:
    """Somebody who writes what he likes between the halves, with a device of his own."""

    database: psycopg.Connection[Any]
    grant: str
    digest: str
    device: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    random: str = field(default_factory=lambda: spelled(secrets.token_bytes(32)))
    _kept: list[Any] = field(default_factory=list)

    @property
    def public(self) -> str:
        return spelled(self.device.public_key().public_bytes_raw())

    @property
    def nonce(self) -> str:
        return nonce_for(key=self.public, random=self.random)

    def newest_proof(self) -> tuple[str, str, str]:
        query = "SELECT session, signed, signature, device_key, random FROM identity_proofs ORDER BY at DESC LIMIT 1"
        self._kept = list(self.database.execute(query).fetchone() or ())
        session, signed, signature, *_ = self._kept
        return session, signed, signature

    def undo(self, session: str) -> None:
        _, signed, signature, key, random = self._kept
        self.database.execute(
            "UPDATE identity_proofs SET signed = %s, signature = %s, device_key = %s, random = %s WHERE session = %s",
            [signed, signature, key, random, session],
        )
        self.database.execute("UPDATE sessions SET device_key = %s WHERE id = %s", [key, session])

    def ordered(self, *, session: str) -> str:
        """Post an order, and return the code with which the other half refuses it."""
        order = DrawOrder(
            grant=self.grant,
            digest=self.digest,
            device=self.public,
            seal_to=spelled(X25519PrivateKey.generate().public_key().public_bytes_raw()),
            random=spelled(secrets.token_bytes(32)),
            at=datetime.now(UTC),
        )
        now = spell(order.at)
        self.database.execute(
            "INSERT INTO draw_orders (id, said, signature, session, state, asked_at, moved_at)"
            " VALUES (%s, %s, %s, %s, 'asked', %s, %s)",
            [order.id, json.dumps(order.statement()), spelled(self.device.sign(order.signed())), session, now, now],
        )
        answer = "SELECT state, refusal ->> 'code' FROM draw_orders WHERE id = %s"
        until(lambda: self.database.execute(answer, [order.id]).fetchone()[0] not in {"asked", "claimed"})  # type: ignore[index] # the row above
        state, code = self.database.execute(answer, [order.id]).fetchone()  # type: ignore[misc] # as above
        assert state == "refused", state
        return str(code)


def listening(pid: int) -> set[str]:
    """Return the addresses, as the kernel writes them, on which a process listens."""
    inodes = {
        str(link.readlink())[8:-1]
        for link in Path(f"/proc/{pid}/fd").iterdir()
        if link.is_symlink() and str(link.readlink()).startswith("socket:[")
    }
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{pid}/net/{table}").read_text(encoding="ascii").splitlines()[1:]
    ]
    return {row[1] for row in rows if row[3] == "0A" and row[9] in inodes}


def test_one_half_listens_on_loopback_and_the_other_nowhere_and_each_has_a_login_of_its_own(apart: Apart) -> None:
    people, issuer = apart.broker.half("people").pid, apart.broker.half("issuer").pid
    assert people is not None
    assert issuer is not None
    assert listening(people) == {f"0100007F:{apart.port:04X}"}
    assert listening(issuer) == set()
    with psycopg.connect(apart.servers.postgres.dsn(DATABASE)) as connection:
        users = connection.execute(
            "SELECT DISTINCT usename FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()", [DATABASE]
        ).fetchall()
    assert {name for (name,) in users} == set(LOGINS.values())


def test_the_half_that_faces_people_is_told_nothing_that_opens_anything(apart: Apart, tmp_path: Path) -> None:
    pid = apart.broker.half("people").pid
    environment = Path(f"/proc/{pid}/environ").read_bytes()
    vault, issuing = apart.servers.vault, apart.broker.environment("issuer")
    for secret in (vault.role_id, vault.secret_id, vault.target_dsn, issuing["COUNTERSIGN_DATABASE_URL"]):
        assert secret.encode() not in environment
    state = Path(apart.broker.environment("people")["COUNTERSIGN_STATE_DIR"])
    assert not list(state.glob("*.key"))
    assert (Path(issuing["COUNTERSIGN_STATE_DIR"]) / "log.key").stat().st_mode & 0o777 == 0o600
    # Given the key all the same, or a login of a provider, it does not start.
    own = dict(apart.broker.environment("people"))
    with_key = own | {"COUNTERSIGN_LOG_KEY_PATH": str(tmp_path / "log.key")}
    with_login = own | {"COUNTERSIGN_OPENBAO": issuing["COUNTERSIGN_OPENBAO"]}
    for environment_of_a_mistake in (with_key, with_login):
        ran = run_here(["serve"], environment_of_a_mistake)
        assert (ran.code, "issuer half alone" in ran.err) == (2, True)


def test_each_health_check_goes_by_its_own_half_and_needs_no_port(apart: Apart) -> None:
    assert {half: apart.alive(half).code for half in LOGINS} == {"people": 0, "issuer": 0}
    elsewhere = dict(apart.broker.environment("issuer")) | {"COUNTERSIGN_STATE_DIR": os.devnull}
    assert run_here(["alive"], elsewhere).code == EXIT_AWAY


def test_a_newcomer_signs_in_for_real_has_it_signed_and_draws_through_both_halves(
    newcomer: Newcomer, apart: Apart
) -> None:
    asked = newcomer.run(
        "request", "orders-db-read", "--for", "60s", "--reason", "order 1003 is stuck", "--ticket", "OPS-1"
    )
    passkey = str(apart.folder / "passkeys" / "bob.json")
    bob = {"COUNTERSIGN_URL": newcomer.url, "COUNTERSIGN_TOKEN": apart.tokens["bob"]}
    approved = run_here(["approve", asked["id"], "--json"], bob | {"COUNTERSIGN_SOFTWARE_PASSKEY": passkey})
    assert approved.code == 0, approved.err
    drawn = newcomer.run("draw", approved.json()["grant_id"])
    credential = drawn["credential"]
    with apart.servers.login_as(credential["username"], credential["password"]) as session:
        assert session.execute("SELECT item FROM orders WHERE id = 1003").fetchone() == ("stamp pad",)
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(apart.servers.postgres.dsn(DATABASE, credential["username"], credential["password"]))
    # What passed through the half that faces people was sealed; of it nothing is left, and the password was never there.
    with psycopg.connect(apart.servers.postgres.dsn(DATABASE)) as connection:
        assert connection.execute("SELECT state, sealed FROM draw_orders").fetchall() == [("taken", None)]
    newcomer.run("return", drawn["lease"]["grant_id"])
    until(lambda: not apart.stands(credential["username"]))


def test_who_holds_all_of_the_first_half_orders_what_he_likes_and_openbao_makes_nothing(
    newcomer: Newcomer, apart: Apart
) -> None:
    """He has its environment and its database as a superuser, every row that it wrote, and an approved grant that waits."""
    asked = newcomer.run("request", "orders-db-read", "--for", "60s", "--reason", "order 1003", "--ticket", "OPS-1")
    grant = apart.approved(asked)
    audit = apart.servers.openbao.audit_log
    before = audit.stat().st_size
    with psycopg.connect(apart.servers.postgres.dsn(DATABASE), autocommit=True) as database:
        database.execute("SET session_replication_role = 'replica'")
        attacker = Attacker(database=database, grant=grant, digest=asked["digest"])
        session, signed, signature = attacker.newest_proof()
        assert attacker.ordered(session=session) == "order-void", "his device is not hers"
        database.execute("UPDATE identity_proofs SET device_key = %s, random = %s", [attacker.public, attacker.random])
        database.execute("UPDATE sessions SET device_key = %s", [attacker.public])
        assert attacker.ordered(session=session) == "identity-refused", "her issuer's signature covers her device"
        claims = json.loads(base64.urlsafe_b64decode(signed.split(".")[1] + "=="))
        forged = spelled(json.dumps(claims | {"nonce": attacker.nonce}).encode())
        database.execute("UPDATE identity_proofs SET signed = %s", [f"{signed.split('.')[0]}.{forged}"])
        assert attacker.ordered(session=session) == "identity-refused", "he cannot sign in her issuer's name"
        database.execute("UPDATE identity_proofs SET signed = %s, signature = %s", [signed, signature])
        database.execute("UPDATE requests SET person = 'dave', principal = 'dave'")
        assert attacker.ordered(session=session) == "identity-refused"
        database.execute("UPDATE requests SET person = 'alice', principal = 'alice'")
        assert database.execute("SELECT count(*) FROM draw_orders WHERE sealed IS NOT NULL").fetchone() == (0,)
        attacker.undo(session)
    assert b"/creds/" not in audit.read_bytes()[before:], "nobody asked OpenBao for a credential"
    drawn = newcomer.run("draw", grant)
    assert not apart.refuses(drawn["credential"])
    assert b"/creds/" in audit.read_bytes()[before:], "that is how one is asked for"
    newcomer.run("return", grant)


def test_with_the_issuing_half_dead_people_go_on_leases_die_natively_and_when_it_is_back_all_that_is_due_is_ended(
    newcomer: Newcomer, apart: Apart
) -> None:
    short = newcomer.run("request", "orders-db-read", "--for", "2s", "--reason", "order 1003", "--ticket", "OPS-1")
    drawn = newcomer.run("draw", apart.approved(short))
    apart.broker.half("issuer").kill()
    # People still ask, sign and look; what the other half alone can do is refused, and says so.
    glance = apart.asked("orders-db-glance")  # lapses after two seconds, by somebody's sweep
    assert newcomer.refused("draw", apart.approved(apart.asked()))["code"] == "issuer-away"
    until(lambda: "not been heard" in str(apart.heard()))
    until(lambda: apart.alive("issuer").code == EXIT_AWAY)
    assert apart.alive("people").code == 0
    until(lambda: apart.refuses(drawn["credential"]))
    assert apart.lease(drawn["lease"]["id"])["state"] == "active", "nobody looked"
    assert apart.state(glance["id"]) == "pending", "nobody swept"
    apart.broker.start_issuer()
    until(lambda: apart.lease(drawn["lease"]["id"])["state"] == "revoked")
    assert not apart.stands(drawn["credential"]["username"])
    until(lambda: apart.state(glance["id"]) == "lapsed")
    until(lambda: apart.heard() == "ok")
    assert apart.alive("issuer").code == 0
