"""Locks: they stop reviews and draws at once, end by themselves, and on production take two people to lift before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa
from tests.api.calling import Api
from tests.quick import quick_world
from tests.world import DIRECTORY

from countersign.domain.refusals import Conflict
from countersign.store import schema

UNTIL = "2026-11-22T10:00:00.000Z"
THREE = {
    **DIRECTORY,
    "group": [
        group | {"members": ["olga", "oscar", "frank"]} if group["id"] == "operators" else group
        for group in DIRECTORY["group"]
        if group["id"] != "authors"
    ]
    + [{"id": "authors", "members": ["grace"], "roles": ["catalog-author"]}],
}


@pytest.fixture
def api() -> Iterator[Api]:
    with quick_world(directory=THREE) as world:
        yield Api(world=world)


def lock(api: Api, who: str = "olga", **changes: Any) -> httpx2.Response:  # noqa: ANN401 - fields of the body
    body = {"scope": "person", "id": "alice", "until": UNTIL, "reason": "what is she doing"} | changes
    return api.post(who, "/v1/lock", json=body)


def approve(api: Api, who: str, request: dict[str, Any]) -> httpx2.Response:
    body = {"decision": "approve", "digest": request["digest"]}
    return api.post(who, f"/v1/requests/{request['id']}/reviews", json=body)


def test_what_a_lock_refuses_says_when_it_ends(api: Api) -> None:
    grant = api.granted()
    lock(api)
    assert UNTIL in api.draw(grant).json()["next"]


@pytest.mark.parametrize(
    ("scope", "name"), [("person", "alice"), ("entitlement", "orders-db-read"), ("provider", "fake")]
)
def test_a_lock_stops_reviews_and_draws_at_once_and_ends_by_itself(api: Api, scope: str, name: str) -> None:
    request, grant = api.asked(), api.granted()
    assert lock(api, scope=scope, id=name).status_code == 200
    assert approve(api, "bob", request).json()["code"] == "stopped"
    assert api.draw(grant).json()["code"] == "stopped"
    api.world.clock.forward(hours=1)
    again = api.asked()
    assert approve(api, "bob", again).status_code == 200


def test_a_locked_approver_approves_nothing_and_may_still_deny(api: Api) -> None:
    request = api.asked()
    lock(api, id="bob")
    assert approve(api, "bob", request).json()["code"] == "stopped"
    body = {"decision": "deny", "digest": request["digest"]}
    assert api.post("bob", f"/v1/requests/{request['id']}/reviews", json=body).json()["state"] == "denied"


def test_what_lives_is_ended_only_if_the_lock_says_so(api: Api) -> None:
    grant = api.granted()
    lease = api.draw(grant).json()["lease"]["id"]
    assert lock(api).json()["grants_revoked"] == 0
    assert api.get("alice", f"/v1/leases/{lease}").json()["state"] == "active"
    assert lock(api, revoke=True).json()["grants_revoked"] == 1
    assert api.get("alice", f"/v1/leases/{lease}").json()["state"] == "revoking"


def test_a_lock_on_production_is_lifted_by_two_and_never_by_who_placed_it_alone(api: Api) -> None:
    stop = lock(api).json()["stop"]["id"]
    path = f"/v1/stops/{stop}/lift"
    assert api.post("olga", path).json()["lift_asked_by"] == "olga"
    assert api.post("olga", path).json()["code"] == "not-permitted"
    assert "lift_asked_by" not in api.post("oscar", path).json()
    assert api.get("olga", "/v1/stops").json()["items"] == []
    other = lock(api).json()["stop"]["id"]
    path = f"/v1/stops/{other}/lift"
    assert api.post("oscar", path).json()["lift_asked_by"] == "oscar"
    assert api.post("oscar", path).json()["code"] == "not-permitted"
    assert api.post("olga", path).status_code == 200, "who placed it is a second person"
    assert api.get("olga", "/v1/stops").json()["items"] == []


def test_a_stop_without_an_end_is_lifted_by_another_than_who_placed_it(api: Api) -> None:
    body = {"scope": "entitlement", "id": "orders-db-read", "reason": "look first"}
    path = f"/v1/stops/{api.post('olga', '/v1/stop', json=body).json()['stop']['id']}/lift"
    assert api.post("olga", path).json()["code"] == "not-permitted"
    assert "lift_asked_by" not in api.post("oscar", path).json()
    assert api.get("olga", "/v1/stops").json()["items"] == []


@pytest.mark.parametrize("columns", [{"lifted_by": "olga"}, {"lift_asked_by": "olga", "lifted_by": "olga"}])
def test_the_table_lets_nobody_lift_alone(api: Api, columns: dict[str, str]) -> None:
    stop = lock(api).json()["stop"]["id"]
    with pytest.raises(Conflict), api.world.store.begin() as tx:
        tx._connection.execute(sa.update(schema.stops).where(schema.stops.c.id == stop).values(**columns))


def test_only_one_is_the_first_to_ask(api: Api) -> None:
    lock(api)
    with api.world.store.read() as tx:
        [stop] = tx.stops()
    with api.world.store.begin() as tx:
        tx.ask_to_lift(stop, by="olga")
    with pytest.raises(Conflict), api.world.store.begin() as tx:
        tx.ask_to_lift(stop, by="oscar")


@pytest.mark.parametrize("call", ["/v1/stop", "/v1/lock"])
def test_nobody_lifts_what_stops_himself_nor_asks_for_it(api: Api, call: str) -> None:
    body = {"scope": "person", "id": "oscar", "reason": "laptop stolen"} | (
        {"until": UNTIL} if call == "/v1/lock" else {}
    )
    path = f"/v1/stops/{api.post('olga', call, json=body).json()['stop']['id']}/lift"
    answer = api.post("oscar", path).json()
    assert (answer["code"], answer["rule"]) == ("not-permitted", "a different person lifts a stop")
    [stop] = api.get("olga", "/v1/stops").json()["items"]
    assert "lift_asked_by" not in stop
    assert api.post("frank", path).status_code == 200


@pytest.mark.parametrize("who", ["alice", "bob", "erin", "grace"])
def test_who_may_lock_is_a_role(api: Api, who: str) -> None:
    assert lock(api, who).json()["code"] == "not-permitted"


@pytest.mark.parametrize(
    "change",
    [
        {"until": "2026-11-22T09:00:00.000Z"},
        {"until": "2027-11-22T09:00:00.000Z"},
        {"until": "tomorrow at nine o'clock"},
        {"id": "nobody"},
        {"scope": "all"},
        {"reason": ""},
    ],
)
def test_bad_input_to_a_lock_is_told(api: Api, change: dict[str, Any]) -> None:
    assert lock(api, **change).status_code == 422
