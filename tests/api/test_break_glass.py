"""Break-glass over HTTP, as who is on call and as who would abuse it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient
from tests.emergencies import GLASS_CATALOG, ROOT, with_groups
from tests.world import Clock, World

from countersign.api.app import Readiness, make_app
from countersign.store import Store

PEOPLE = ("alice", "bob", "carol", "dave", "erin", "hugo", "nina", "olga")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    store = Store(f"sqlite:///{tmp_path / 'countersign.db'}", clock=(clock := Clock()))
    store.migrate()
    yield World(store=store, clock=clock, catalog=GLASS_CATALOG, directory=with_groups())
    store.close()


class Desk:
    """Calls as somebody."""

    def __init__(self, world: World) -> None:
        ready = Readiness(ok=True, checks={}, sweep_age_s=0.0)
        self.client = TestClient(make_app(world.broker, readiness=lambda: ready))
        self.tokens = {who: world.broker.gate.issue(who) for who in PEOPLE}

    def post(self, who: str, path: str, body: dict[str, Any] | None = None, **headers: str) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self.tokens[who]}"} | {k.replace("_", "-"): v for k, v in headers.items()}
        return self.client.post(f"/v1{path}", json=body, headers=headers)

    def get(self, who: str, path: str) -> httpx2.Response:
        return self.client.get(f"/v1{path}", headers={"Authorization": f"Bearer {self.tokens[who]}"})

    def ask(self, who: str = "alice", **changes: Any) -> httpx2.Response:  # noqa: ANN401 - fields of the body
        body = {
            "entitlement": ROOT,
            "parameters": {},
            "duration_s": 60,
            "reason": "orders are stuck",
            "emergency": {"incident": "INC-7"},
        }
        return self.post(who, "/requests", body | changes)

    def approve(self, who: str, request: dict[str, Any]) -> httpx2.Response:
        return self.post(
            who, f"/requests/{request['id']}/reviews", {"decision": "approve", "digest": request["digest"]}
        )

    def sealed(self, *signers: str) -> dict[str, Any]:
        body = {"entitlement": ROOT, "valid_s": 86400, "uses": 1, "max_duration_s": 300}
        made = self.post("bob", "/envelopes", body).json()
        for who in signers:
            made = self.post(who, f"/envelopes/{made['id']}/sign", {"digest": made["digest"]}).json()
        return dict(made)

    def open(self, who: str, envelope: dict[str, Any], **changes: Any) -> httpx2.Response:  # noqa: ANN401 - fields of the body
        key = changes.pop("key", None)
        body = {"incident": "INC-7", "duration_s": 60, "parameters": {}, "reason": "nobody answers"} | changes
        headers = {} if key is None else {"Idempotency_Key": key}
        return self.post(who, f"/envelopes/{envelope['id']}/open", body, **headers)


@pytest.fixture
def desk(world: World) -> Desk:
    return Desk(world)


def outcome(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "ok")


def test_from_page_to_credential_with_a_second_person_awake_takes_seconds_of_the_brokers_time(desk: Desk) -> None:
    begun = time.monotonic()
    asked = desk.ask().json()
    assert (
        asked["emergency"] == {"incident": "INC-7", "drill": False, "envelope": None} == asked["statement"]["emergency"]
    )
    assert asked["may_review"] == ["bob", "carol", "hugo"]
    approved = desk.approve("hugo", asked).json()
    drawn = desk.post("alice", f"/grants/{approved['grant_id']}/draw")
    assert drawn.status_code == 200
    assert time.monotonic() - begun < 5


def test_an_emergency_waives_nobody(desk: Desk) -> None:
    asked = desk.ask("dave").json()
    assert outcome(desk.approve("dave", asked)) == (403, "self-review")
    assert outcome(desk.approve("nina", asked)) == (403, "not-eligible")
    assert outcome(desk.approve("olga", asked)) == (403, "not-eligible")
    assert desk.get("dave", f"/requests/{asked['id']}").json()["state"] == "pending"


@pytest.mark.parametrize(
    "emergency",
    [
        {},
        {"incident": ""},
        {"incident": "INC 7"},
        {"incident": "INC-7\n"},
        {"incident": "INC-7", "drill": "no"},
        {"incident": "INC-7", "envelope": "env_aaaaaaaaaaaaaaaa"},
        "INC-7",
    ],
)
def test_a_malformed_mark_is_refused_and_nobody_names_an_envelope_himself(desk: Desk, emergency: object) -> None:
    refused = desk.ask(emergency=emergency)
    assert outcome(refused) == (422, "invalid")
    assert refused.json()["field"].startswith("emergency")


def test_who_is_on_call_opens_once_what_two_others_signed(desk: Desk) -> None:
    envelope = desk.sealed("bob", "carol")
    assert (envelope["state"], envelope["signers"]) == ("in-force", ["bob", "carol"])
    for who, code in (("bob", "not-permitted"), ("carol", "self-review"), ("alice", "not-permitted")):
        assert outcome(desk.open(who, envelope)) == (403, code)
    opened = desk.open("nina", envelope, key="one")
    assert (opened.status_code, opened.json()["state"]) == (201, "approved")
    assert desk.open("nina", envelope, key="one").json()["id"] == opened.json()["id"]
    assert outcome(desk.open("nina", envelope)) == (429, "limit")
    assert desk.post("nina", f"/grants/{opened.json()['grant_id']}/draw").status_code == 200
    assert desk.get("bob", f"/envelopes/{envelope['id']}").json()["state"] == "used-up"


def test_one_person_does_not_sign_twice_nor_for_another_digest(desk: Desk) -> None:
    envelope = desk.sealed("bob")
    path = f"/envelopes/{envelope['id']}/sign"
    assert outcome(desk.post("bob", path, {"digest": envelope["digest"]})) == (409, "already-reviewed")
    assert outcome(desk.post("carol", path, {"digest": "0" * 64})) == (409, "wrong-digest")
    assert outcome(desk.post("hugo", path, {"digest": envelope["digest"]})) == (403, "not-eligible")
    assert outcome(desk.post("alice", path, {"digest": envelope["digest"]})) == (404, "not-found")
    assert outcome(desk.open("nina", envelope)) == (409, "approval-void")


def test_an_envelope_that_is_over_or_revoked_opens_nothing(desk: Desk, world: World) -> None:
    one, other = desk.sealed("bob", "carol"), desk.sealed("bob", "carol")
    assert desk.post("carol", f"/envelopes/{one['id']}/revoke").json()["state"] == "revoked"
    assert outcome(desk.open("nina", one)) == (409, "wrong-state")
    assert outcome(desk.post("erin", f"/envelopes/{other['id']}/revoke")) == (403, "not-eligible")
    world.clock.forward(days=1)
    assert outcome(desk.open("nina", other)) == (410, "window-over")
    assert [item["state"] for item in desk.get("erin", "/envelopes").json()["items"]] == ["over", "revoked"]
    assert desk.get("alice", "/envelopes").json()["items"] == []


def test_the_word_afterwards_is_somebody_elses_and_is_owed_until_given(desk: Desk, world: World) -> None:
    asked = desk.ask(emergency={"incident": "INC-7", "drill": True}).json()
    grant = desk.approve("bob", asked).json()["grant_id"]
    assert outcome(desk.ask(emergency={"incident": "INC-8"})) == (409, "review-outstanding")
    word = {"verdict": "justified", "comment": "a drill"}
    path = f"/grants/{grant}/after-review"
    for who, code in (("alice", "self-review"), ("bob", "self-review"), ("hugo", "not-eligible")):
        assert outcome(desk.post(who, path, word)) == (403, code)
    assert outcome(desk.post("dave", path, word)) == (403, "not-eligible")
    assert outcome(desk.post("carol", path, {"verdict": "fine", "comment": "x"})) == (422, "invalid")
    world.clock.forward(seconds=3600)
    world.sweep()
    [owed] = desk.get("carol", "/after-reviews").json()["items"]
    assert (owed["id"], owed["drill"], owed["verdict"]) == (grant, True, None)
    assert owed["escalated_at"] == "2026-11-22T10:00:00.000Z"
    given = desk.post("carol", path, word)
    assert (given.status_code, given.json()["reviewer"], given.json()["verdict"]) == (200, "carol", "justified")
    assert outcome(desk.post("carol", path, word)) == (409, "already-reviewed")
    assert desk.ask(emergency={"incident": "INC-8"}).status_code == 201


def test_the_catalog_says_what_an_emergency_changes(desk: Desk) -> None:
    items = {item["id"]: item for item in desk.get("alice", "/entitlements").json()["items"]}
    assert items[ROOT]["break_glass"]["reviewers"] == "orders-owners"
    assert "break_glass" not in items["orders-db-read"]
