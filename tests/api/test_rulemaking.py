"""Changing the rules over HTTP: only authors, two of them, and exactly what was shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from tests.world import CATALOG, Clock, World, entitlement

from countersign.api.app import Readiness, make_app
from countersign.store import Store

MORE = {**CATALOG, "entitlement": [*CATALOG["entitlement"], entitlement("another")]}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    store = Store(f"sqlite:///{tmp_path / 'countersign.db'}", clock=(clock := Clock()))
    store.migrate()
    yield World(store=store, clock=clock)
    store.close()


@pytest.fixture
def client(world: World) -> TestClient:
    return TestClient(make_app(world.broker, readiness=lambda: Readiness(ok=True, checks={}, sweep_age_s=0.0)))


def signed_in(world: World, who: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {world.broker.gate.issue(who)}"}


def test_one_author_proposes_and_another_approves_over_http(world: World, client: TestClient) -> None:
    frank, grace = signed_in(world, "frank"), signed_in(world, "grace")
    made = client.post("/v1/catalog/proposals", json={"catalog": MORE, "reason": "a new target"}, headers=frank)
    assert made.status_code == 201
    proposal = made.json()
    assert [(change["what"], change["id"]) for change in proposal["changes"]] == [("added", "another")]
    [effect] = proposal["effects"]
    assert (effect["entitlement"], effect["before"], effect["after"]["least"]) == ("another", None, 2)
    path = f"/v1/catalog/proposals/{proposal['id']}"
    own = client.post(f"{path}/approve", json={"digest": proposal["digest"]}, headers=frank)
    assert (own.status_code, own.json()["code"]) == (403, "self-review")
    wrong = client.post(f"{path}/approve", json={"digest": "0" * 64}, headers=grace)
    assert (wrong.status_code, wrong.json()["code"]) == (409, "wrong-digest")
    done = client.post(f"{path}/approve", json={"digest": proposal["digest"]}, headers=grace)
    assert (done.status_code, done.json()["state"]) == (200, "approved")
    in_force = client.get("/v1/catalog", headers=grace).json()
    assert (in_force["seq"], in_force["proposed_by"], in_force["approved_by"]) == (2, "frank", "grace")
    listed = client.get("/v1/catalog/proposals", headers=grace).json()["items"]
    assert [item["state"] for item in listed] == ["approved"]


@pytest.mark.parametrize("who", ["alice", "bob", "carol", "olga"])
def test_nobody_else_changes_the_rules(world: World, client: TestClient, who: str) -> None:
    caller, frank = signed_in(world, who), signed_in(world, "frank")
    refused = client.post("/v1/catalog/proposals", json={"catalog": MORE, "reason": "mine"}, headers=caller)
    assert (refused.status_code, refused.json()["code"]) == (403, "not-permitted")
    made = client.post("/v1/catalog/proposals", json={"catalog": MORE, "reason": "theirs"}, headers=frank).json()
    refused = client.post(
        f"/v1/catalog/proposals/{made['id']}/approve", json={"digest": made["digest"]}, headers=caller
    )
    assert refused.status_code == 403
    assert client.get("/v1/catalog", headers=frank).json()["seq"] == 1


def test_a_malformed_catalog_is_refused_by_name_and_nothing_is_kept(world: World, client: TestClient) -> None:
    frank = signed_in(world, "frank")
    bad = {"schema": 1, "entitlement": [entitlement("x", draws=0)]}
    refused = client.post("/v1/catalog/proposals", json={"catalog": bad, "reason": "oops"}, headers=frank)
    assert (refused.status_code, refused.json()["field"]) == (422, "catalog")
    assert "draws" in refused.json()["detail"]
    assert client.get("/v1/catalog/proposals", headers=frank).json()["items"] == []
