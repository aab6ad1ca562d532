"""Calling the API in a test: one client, and a token for every principal of the world."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from fastapi import FastAPI
from starlette.testclient import TestClient
from tests.world import Clock, World

from countersign.api.app import Readiness, make_app
from countersign.providers.fake import FakeProvider
from countersign.service.rules import found
from countersign.store import Store

READY = Readiness(ok=True, checks={"sweep": "ok"}, sweep_age_s=0.5)
PRINCIPALS = ("alice", "alice-laptop", "dave", "bob", "bob-bot", "carol", "erin", "frank", "grace", "olga", "oscar")


@dataclass(kw_only=True)
class Api:
    """The application over a world, called as somebody."""

    world: World
    readiness: Readiness = READY
    tokens: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.app: FastAPI = make_app(self.world.broker, readiness=lambda: self.readiness)
        self.client = TestClient(self.app, raise_server_exceptions=True)
        if not self.tokens:
            self.tokens = {name: self.world.broker.gate.issue(name) for name in PRINCIPALS}

    def headers(self, who: str | None) -> dict[str, str]:
        return {} if who is None else {"Authorization": f"Bearer {self.tokens[who]}"}

    def call(self, who: str | None, method: str, path: str, **more: Any) -> httpx2.Response:  # noqa: ANN401 - as the client takes it
        headers = self.headers(who) | more.pop("headers", {})
        return self.client.request(method, path, headers=headers, **more)

    def get(self, who: str | None, path: str, **more: Any) -> httpx2.Response:  # noqa: ANN401 - as call
        return self.call(who, "GET", path, **more)

    def post(self, who: str | None, path: str, **more: Any) -> httpx2.Response:  # noqa: ANN401 - as call
        return self.call(who, "POST", path, **more)

    def raw(self, who: str | None, path: str, body: bytes, **headers: str) -> httpx2.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.post(who, path, content=body, headers={"Content-Type": "application/json"} | named)

    def asked(self, who: str = "alice", **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of the body
        answer = self.post(who, "/v1/requests", json=ask(**changes))
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def granted(self, who: str = "alice", by: tuple[str, ...] = ("bob",), **changes: Any) -> str:  # noqa: ANN401 - as asked
        request = self.asked(who, **changes)
        for reviewer in by:
            request = self.approve(reviewer, request)
        return str(request["grant_id"])

    def approve(self, who: str, request: dict[str, Any]) -> dict[str, Any]:
        body = {"decision": "approve", "digest": request["digest"]}
        answer = self.post(who, f"/v1/requests/{request['id']}/reviews", json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def draw(self, grant_id: str, who: str | None = "alice", **more: Any) -> httpx2.Response:  # noqa: ANN401 - as call
        return self.post(who, f"/v1/grants/{grant_id}/draw", **more)


def ask(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of the body
    return {
        "entitlement": "orders-db-read",
        "parameters": {},
        "duration_s": 60,
        "reason": "invoice 4711 is stuck",
    } | changes


@dataclass(kw_only=True)
class LivedWorld(World):
    """A world on a database that may have been lived in: its rules may be in force already, and its ids are random."""

    def __post_init__(self) -> None:
        self.provider = FakeProvider(clock=self.clock)
        self.randomness = secrets.token_bytes
        found(self.store, catalog=self.catalog, directory=self.directory)
        self.restart()


def new_world(path: Path, **rules: dict[str, Any]) -> World:
    """Return a world on a database file that may be a copy of another world's."""
    clock = Clock()
    store = Store(f"sqlite:///{path}", clock=clock)
    store.migrate()
    return LivedWorld(store=store, clock=clock, **rules)
