"""A world whose people sign in at local issuers, and a browser and a command line that do so over HTTP."""

from __future__ import annotations

import copy
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.testclient import TestClient
from tests.api.calling import READY, LivedWorld
from tests.issuer import CLI_CLIENT, LocalIssuer, serving, trusted
from tests.world import CATALOG, DIRECTORY, Clock, World

from countersign.api.app import make_app
from countersign.domain import device as devices
from countersign.store import Store

PEOPLE = ("alice", "dave", "bob", "carol", "erin", "frank", "grace", "olga")


def directory() -> dict[str, Any]:
    """Return the world's directory, in which everybody has an identity at `corp`."""
    made = copy.deepcopy(DIRECTORY)
    identities = [{"id": f"{who}-corp", "person": who, "issuer": "corp", "subject": f"sub-{who}"} for who in PEOPLE]
    known = {each["person"] for each in made["principal"]}
    tokens = [{"id": who, "person": who} for who in PEOPLE if who not in known]
    made["principal"] += [*tokens, *identities]
    return made


def catalog(*issuers: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(CATALOG) | {"trust": {"issuer": list(issuers)}}


@dataclass(kw_only=True)
class Device:
    """A command line: its device key, and what it shows of a token."""

    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    random: str = field(default_factory=lambda: devices.spelled(secrets.token_bytes(32)))

    @property
    def public(self) -> str:
        return devices.spelled(self.key.public_key().public_bytes_raw())

    @property
    def nonce(self) -> str:
        return devices.nonce_for(key=self.public, random=self.random)

    def shows(self, token: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of the body
        signed = self.key.sign(devices.possession_of(key=self.public, token=token))
        return {
            "issuer": "corp",
            "id_token": token,
            "device": {"key": self.public, "random": self.random},
            "signature": devices.spelled(signed),
        } | changes


@dataclass(kw_only=True)
class Desk:
    """A broker at http://localhost, its issuer, and who calls."""

    world: World
    issuer: LocalIssuer

    def __post_init__(self) -> None:
        self.app = make_app(self.world.broker, readiness=lambda: READY)

    def browser(self) -> TestClient:
        """Return a browser of its own; it follows no redirect by itself."""
        return TestClient(self.app, base_url="http://localhost", follow_redirects=False)

    def begin(self, browser: TestClient, issuer: str = "corp", **query: str) -> str:
        answer = browser.get(f"/sign-in/to/{issuer}", params=query)
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    def callback(self, browser: TestClient, brought: dict[str, str]) -> httpx2.Response:
        return browser.get("/sign-in/callback", params=brought)

    def signed_in(self, who: str = "alice", **claims: Any) -> TestClient:  # noqa: ANN401 - claims
        browser = self.browser()
        answer = self.callback(browser, self.issuer.authorize(self.begin(browser), f"sub-{who}", **claims))
        assert answer.status_code == 303, answer.text
        return browser

    def id_token(self, device: Device, who: str = "alice", **changes: Any) -> str:  # noqa: ANN401 - claims
        said = {"aud": CLI_CLIENT, "nonce": device.nonce} | changes
        return self.issuer.sign(self.issuer.claims(f"sub-{who}", **said))

    def show(self, body: dict[str, Any]) -> httpx2.Response:
        return self.browser().post("/v1/sign-in/device", json=body)

    def tokens(self, who: str = "alice", **claims: Any) -> dict[str, Any]:  # noqa: ANN401 - claims
        device = Device()
        answer = self.show(device.shows(self.id_token(device, who, **claims)))
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def me(self, token: str) -> httpx2.Response:
        return self.call(token, "GET", "/v1/me")

    def call(self, token: str, method: str, path: str, **more: Any) -> httpx2.Response:  # noqa: ANN401 - as the client takes it
        return self.browser().request(method, path, headers={"Authorization": f"Bearer {token}"}, **more)


@contextmanager
def signing_desk(
    folder: Path,
    *,
    clock: Clock | None = None,
    template: Path | None = None,
    **terms: Any,  # noqa: ANN401 - keys of the issuer's table
) -> Iterator[Desk]:
    """Put a desk together over SQLite, whose issuer has these terms."""
    clock = clock or Clock()
    with serving(clock) as issuer:
        if template is not None:
            shutil.copy(template, folder / "countersign.db")
        store = Store(f"sqlite:///{folder / 'countersign.db'}", clock=clock)
        store.migrate()
        world = LivedWorld(store=store, clock=clock, catalog=catalog(trusted(issuer, **terms)), directory=directory())
        yield Desk(world=world, issuer=issuer)
        store.close()
