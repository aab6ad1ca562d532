"""Signing in at two real identity issuers, by a browser's way and by the command line's: OpenBao's own provider, and nanoidp."""

from __future__ import annotations

import copy
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from starlette.testclient import TestClient
from tests.api.calling import READY, LivedWorld
from tests.api.signing import Device
from tests.servers import Stack
from tests.world import CATALOG, DIRECTORY, Clock

from countersign.api.app import make_app
from countersign.domain.issuer import Issuer
from countersign.embedded.processes import Child, free_port
from countersign.embedded.provision_identity import CLI_CALLBACK
from countersign.identity import CodeFlow, IdentityProvider
from countersign.service.identities import Identities
from countersign.store import Store

PUBLIC = "http://localhost"
USERS = """\
config_version: 1
users:
  alice: {password: "alice-pw", email: "alice@corp.example", groups: ["engineers"], tenant: "default"}
  bob: {password: "bob-pw", email: "bob@corp.example", groups: ["orders-leads"], tenant: "default"}
"""
SETTINGS = """\
config_version: 1
server: {{host: "127.0.0.1", port: {port}}}
oauth:
  issuer: "{url}"
  audience: "countersign-web"
  token_expiry_minutes: 10
  clients:
    - {{client_id: "countersign-web", client_secret: "web-secret", redirect_uris: ["{public}/sign-in/callback"]}}
    - {{client_id: "countersign-cli", token_endpoint_auth_method: "none", redirect_uris: ["http://127.0.0.1/callback"]}}
"""


class RealClock(Clock):
    """The time as it is: these issuers have clocks of their own."""

    def __call__(self) -> datetime:
        return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Real:
    """A real issuer: its terms, what it calls alice, its client secret, and how a person signs in there."""

    terms: dict[str, Any]
    subject: str
    sign_in: Any
    secrets: Mapping[str, str]


def at_openbao(stack: Stack) -> Real:
    identity = stack.vault.identity

    def sign_in(location: str) -> dict[str, str]:
        """Do what OpenBao's page does: log in, and ask the provider for a code."""
        login = httpx2.post(
            f"{stack.openbao.address}/v1/auth/userpass/login/alice", json={"password": identity.passwords["alice"]}
        )
        token = login.json()["auth"]["client_token"]
        asked = dict(parse_qsl(urlsplit(location).query))
        answer = httpx2.get(f"{identity.url}/authorize", params=asked, headers={"X-Vault-Token": token})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    terms = {"audience": identity.web_client, "cli_audience": identity.cli_client, "url": identity.url}
    return Real(terms=terms, subject=identity.subjects["alice"], sign_in=sign_in, secrets={})


@pytest.fixture(scope="module")
def nanoidp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    folder, port = tmp_path_factory.mktemp("nanoidp"), free_port()
    url = f"http://127.0.0.1:{port}"
    (folder / "users.yaml").write_text(USERS)
    (folder / "settings.yaml").write_text(SETTINGS.format(port=port, url=url, public=PUBLIC))
    (folder / "keys").mkdir()
    server = Child(
        name="nanoidp",
        command=[str(Path(sys.executable).with_name("nanoidp")), "--config", str(folder), "--port", str(port)],
        log=folder / "nanoidp.log",
        environment={"PATH": os.environ["PATH"], "HOME": str(folder)},
    )
    server.start()

    def answers() -> bool:
        try:
            return httpx2.get(f"{url}/.well-known/openid-configuration", timeout=1).status_code == 200
        except httpx2.HTTPError:
            return False

    def sign_in(location: str) -> dict[str, str]:
        """Fill in nanoidp's own form, as a person does."""
        with httpx2.Client(follow_redirects=False) as person:
            page = person.get(location)
            hidden = dict(re.findall(r'<input[^>]*type="hidden"[^>]*name="([^"]+)"[^>]*value="([^"]*)"', page.text))
            action = re.search(r'<form[^>]*action="([^"]*)"', page.text)
            where = page.url.join(action[1].replace("&amp;", "&")) if action and action[1] else page.url
            done = person.post(where, data=hidden | {"username": "alice", "password": "alice-pw"})
        assert done.is_redirect, done.text[:500]
        return dict(parse_qsl(urlsplit(done.headers["location"]).query))

    try:
        server.wait_until(answers, within_s=30)
        terms = {"audience": "countersign-web", "cli_audience": "countersign-cli", "url": url}
        yield Real(terms=terms, subject="alice", sign_in=sign_in, secrets={"real": "web-secret"})
    finally:
        server.stop()


@pytest.fixture(params=["openbao", "nanoidp"])
def real(request: pytest.FixtureRequest) -> Real:
    if request.param == "openbao":
        return at_openbao(request.getfixturevalue("openbao_stack"))
    found: Real = request.getfixturevalue("nanoidp")
    return found


@pytest.fixture
def world(real: Real, tmp_path: Path) -> Iterator[LivedWorld]:
    catalog, directory = copy.deepcopy(CATALOG), copy.deepcopy(DIRECTORY)
    issuer = {"id": "real", "use": "people", "algorithms": ["RS256"], "environments": {"production": 900}}
    catalog["trust"] = {"issuer": [issuer | real.terms]}
    directory["principal"].append({"id": "alice-real", "person": "alice", "issuer": "real", "subject": real.subject})
    store = Store(f"sqlite:///{tmp_path / 'countersign.db'}", clock=RealClock())
    store.migrate()
    yield LivedWorld(store=store, catalog=catalog, directory=directory)
    store.close()


def test_a_person_signs_in_at_a_real_issuer_by_the_web(real: Real, world: LivedWorld) -> None:
    broker = world.broker
    identities = Identities(public_url=PUBLIC, client_secrets=real.secrets)
    for part in (broker.sign_in, broker.leaving):
        part.__dict__["identities"] = identities
    browser = TestClient(make_app(broker, readiness=lambda: READY), base_url=PUBLIC, follow_redirects=False)
    begun = browser.get("/sign-in/to/real")
    assert begun.status_code == 303, begun.text
    brought = real.sign_in(begun.headers["location"])
    back = browser.get("/sign-in/callback", params=brought)
    assert back.status_code == 303, back.text
    assert browser.get("/v1/me").json()["person"] == "alice"


def test_a_person_signs_in_at_a_real_issuer_by_the_command_line(real: Real, world: LivedWorld) -> None:
    issuer: Issuer = next(iter(_issuers(world)))
    device = Device()
    flow = CodeFlow(
        provider=IdentityProvider(issuer),
        secret=b"0" * 32,
        client_id=str(issuer.cli_audience),
        redirect_uri=CLI_CALLBACK.replace("127.0.0.1", f"127.0.0.1:{free_port()}"),
        nonce=device.nonce,
    )
    answer = flow.redeem(real.sign_in(flow.location()))
    shown = device.shows(answer.id_token, issuer="real", access_token=answer.access_token)
    client = TestClient(make_app(world.broker, readiness=lambda: READY))
    told = client.post("/v1/sign-in/device", json=shown)
    assert told.status_code == 200, told.text
    assert told.json()["person"] == "alice"
    assert client.post("/v1/sign-in/device", json=shown).status_code == 401


def _issuers(world: LivedWorld) -> list[Issuer]:
    return world.broker.sign_in.issuers()
