"""What callers get: the story of a request over HTTP on both databases, repeated calls, and pages."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pytest
import rfc8785
from tests.api.calling import Api, ask

ON_BOTH = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@ON_BOTH
def test_the_story_of_a_request_from_asking_to_a_credential_that_is_dead(api: Api) -> None:
    asked = api.post("alice", "/v1/requests", json=ask(ticket="OPS-1"))
    request = asked.json()
    assert asked.status_code == 201
    assert re.fullmatch(r"req_[a-z2-7]{16}", request["id"])
    assert request["state"] == "pending"
    assert request["review"] == [{"group": "orders-owners", "count": 1, "have": 0}]
    assert (request["lapses_at"], request["latest_end"]) == ("2026-11-22T09:10:00.000Z", "2026-11-22T09:16:30.000Z")
    assert (request["may_review"], request["reviews"]) == (["bob", "carol"], [])
    assert request["preview"]["privileges"]
    assert "grant_id" not in request

    self_review = api.post("alice", f"/v1/requests/{request['id']}/reviews", json=approval(request))
    assert (self_review.status_code, self_review.json()["code"]) == (403, "self-review")
    wrong = api.post("bob", f"/v1/requests/{request['id']}/reviews", json=approval(request) | {"digest": "0" * 64})
    assert (wrong.status_code, wrong.json()["code"]) == (409, "wrong-digest")

    approved = api.approve("bob", request)
    assert approved["state"] == "approved"
    assert [(review["person"], review["decision"]) for review in approved["reviews"]] == [("bob", "approve")]
    again = api.post("bob", f"/v1/requests/{request['id']}/reviews", json=approval(request))
    assert (again.status_code, again.json()["code"]) == (409, "already-reviewed")
    late = api.post("carol", f"/v1/requests/{request['id']}/reviews", json=approval(request))
    assert (late.status_code, late.json()["code"]) == (409, "wrong-state")

    grant_id = approved["grant_id"]
    answer = api.draw(grant_id)
    drawn = answer.json()
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert drawn.keys() == {"lease", "credential"}
    assert drawn["lease"] == {
        "id": drawn["lease"]["id"],
        "grant_id": grant_id,
        "state": "active",
        "not_after": "2026-11-22T09:01:00.000Z",
    }
    assert drawn["credential"]["kind"] == "postgresql"
    assert drawn["credential"]["password"] == f"secret-of-{drawn['lease']['id']}"
    second = api.draw(grant_id)
    assert (second.status_code, second.json()["code"], second.json()["rule"]) == (
        409,
        "draws-exhausted",
        "entitlement orders-db-read: draws = 1",
    )

    returned = api.post("alice", f"/v1/grants/{grant_id}/return").json()
    assert (returned["state"], [lease["state"] for lease in returned["leases"]]) == ("returned", ["revoking"])
    api.world.sweep()
    lease = api.get("bob", f"/v1/leases/{drawn['lease']['id']}").json()
    assert (lease["state"], lease["cause"], lease["evidence"]) == ("revoked", "returned", "observed")
    gone = api.post("alice", f"/v1/grants/{grant_id}/return")
    assert (gone.status_code, gone.json()["code"]) == (409, "wrong-state")
    everything = (api.get("erin", f"/v1/{kind}").text for kind in ("requests", "grants", "leases", "audit/entries"))
    assert not any("secret-of" in text for text in everything)


def approval(request: dict[str, Any]) -> dict[str, str]:
    return {"decision": "approve", "digest": request["digest"]}


def test_a_digest_can_be_recomputed_from_the_answer_alone(api: Api) -> None:
    for request in (api.asked(reason="  because ä  "), api.asked(ticket="OPS-1")):
        spelled = b"countersign/request/v1\n" + rfc8785.dumps(request["statement"])
        assert hashlib.sha256(spelled).hexdigest() == request["digest"]
        for name, opening in request["openings"].items():
            salted = bytes.fromhex(opening["salt"]) + opening["text"].encode()
            assert hashlib.sha256(salted).hexdigest() == request["statement"][name]
            assert opening["text"] == request[name]
        for name in ("id", "person", "entitlement", "parameters", "duration_s", "submitted_at"):
            assert request["statement"][name] == request[name]
        assert request["openings"].keys() == {name for name in ("reason", "ticket") if request["statement"][name]}


def test_a_denial_ends_a_request_and_its_comment_reaches_the_requester_but_the_log_only_as_an_opening(api: Api) -> None:
    request = api.asked()
    body = {"decision": "deny", "digest": request["digest"], "comment": "not on a Friday"}
    denied = api.post("bob", f"/v1/requests/{request['id']}/reviews", json=body).json()
    assert (denied["state"], denied["latest_end"], denied["may_review"]) == ("denied", None, [])
    [review] = api.get("alice", f"/v1/requests/{request['id']}").json()["reviews"]
    assert (review["person"], review["comment"]) == ("bob", "not on a Friday")
    [entry] = [
        entry
        for entry in api.get("alice", f"/v1/audit/entries?subject={request['id']}").json()["items"]
        if entry["type"] == "review.recorded"
    ]
    assert entry["openings"]["comment"]["text"] == "not on a Friday"
    assert "Friday" not in str(entry["data"])


def test_a_request_whose_time_for_review_is_over_is_gone(api: Api) -> None:
    request = api.asked()
    grant_id = api.granted()
    api.world.clock.forward(seconds=600)
    late = api.post("bob", f"/v1/requests/{request['id']}/reviews", json=approval(request))
    assert (late.status_code, late.json()["code"]) == (410, "window-over")
    late = api.draw(grant_id)
    assert (late.status_code, late.json()["code"]) == (410, "window-over")


def test_a_changed_rule_voids_what_was_asked_under_it_and_says_so(api: Api) -> None:
    request, grant_id = api.asked(), api.granted()
    catalog = api.world.catalog
    changed = [item | {"max_duration_s": 1800} for item in catalog["entitlement"]]
    api.world.adopt(catalog=catalog | {"entitlement": changed})
    shown = api.get("bob", f"/v1/requests/{request['id']}").json()
    assert (shown["review"], shown["preview"], shown["latest_end"]) == ([], None, None)
    review = api.post("bob", f"/v1/requests/{request['id']}/reviews", json=approval(request))
    draw = api.draw(grant_id)
    assert [(answer.status_code, answer.json()["code"]) for answer in (review, draw)] == [(409, "rule-changed")] * 2


def test_an_approver_who_lost_the_role_voids_the_approval(api: Api) -> None:
    grant_id = api.granted()
    api.post("olga", "/v1/persons/bob/disable", json={"reason": "left"})
    answer = api.draw(grant_id)
    assert (answer.status_code, answer.json()["code"]) == (409, "approval-void")


@ON_BOTH
def test_a_repeated_call_with_the_same_key_answers_with_the_same_request(api: Api) -> None:
    first = api.post("alice", "/v1/requests", json=ask(), headers={"Idempotency-Key": "k1"})
    second = api.post("alice", "/v1/requests", json=ask(), headers={"Idempotency-Key": "k1"})
    assert (second.status_code, second.json()) == (201, first.json())
    assert len(api.get("alice", "/v1/requests").json()["items"]) == 1
    other = api.post("alice", "/v1/requests", json=ask(duration_s=61), headers={"Idempotency-Key": "k1"})
    assert (other.status_code, other.json()["code"]) == (409, "idempotency-key-reused")
    dave = api.post("dave", "/v1/requests", json=ask(), headers={"Idempotency-Key": "k1"})
    assert dave.json()["id"] != first.json()["id"]


def test_a_replayed_draw_never_repeats_the_secret(api: Api) -> None:
    grant_id = api.granted(entitlement="orders-db-thrice")
    assert api.draw(grant_id, headers={"Idempotency-Key": "k1"}).status_code == 200
    replayed = api.draw(grant_id, headers={"Idempotency-Key": "k1"})
    assert (replayed.status_code, replayed.json()["code"]) == (409, "already-delivered")
    assert "secret-of" not in replayed.text
    elsewhere = api.draw(api.granted(), headers={"Idempotency-Key": "k1"})
    assert elsewhere.json()["code"] == "idempotency-key-reused"
    assert api.draw(grant_id, headers={"Idempotency-Key": "k2"}).status_code == 200
    assert len(api.world.provider.target.issued) == 2


@pytest.mark.parametrize("key", ["", "k" * 129, "\u00e9", "a\tb"])
def test_a_key_that_is_no_key_is_refused(api: Api, key: str) -> None:
    headers = {name.encode(): value.encode() for name, value in api.headers("alice").items()}
    headers |= {b"Idempotency-Key": key.encode("latin-1")}
    answer = api.client.post("/v1/requests", json=ask(), headers=headers)
    assert (answer.json()["code"], answer.json()["field"]) == ("invalid", "Idempotency-Key")


def test_two_keys_are_no_key(api: Api) -> None:
    headers = [*api.headers("alice").items(), ("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    answer = api.client.post("/v1/requests", json=ask(), headers=headers)
    assert (answer.json()["code"], answer.json()["field"]) == ("invalid", "Idempotency-Key")


def pages(api: Api, who: str, path: str, limit: int) -> list[list[Any]]:
    found, after = [], ""
    while True:
        page = api.get(who, f"{path}?limit={limit}{after}").json()
        assert page.keys() == {"items", "next"}
        found.append(page["items"])
        if page["next"] is None:
            return found
        assert page["items"][-1].get("id", page["items"][-1].get("index")) == page["next"]
        after = f"&after={page['next']}"


@ON_BOTH
def test_pages_hold_everything_once_newest_first_and_end_with_null(api: Api) -> None:
    made = []
    for _ in range(4):
        made.append(api.granted(entitlement="orders-db-thrice"))
        api.draw(made[-1])
    for limit, sizes in ((1, [1, 1, 1, 1]), (2, [2, 2]), (3, [3, 1]), (4, [4]), (200, [4])):
        for path in ("/v1/requests", "/v1/grants", "/v1/leases"):
            assert [len(page) for page in pages(api, "erin", path, limit)] == sizes
    listed = [grant["id"] for page in pages(api, "alice", "/v1/grants", 3) for grant in page]
    assert sorted(listed) == sorted(made)
    api.world.clock.forward(seconds=1)
    newest = api.granted("dave", entitlement="orders-db-thrice")
    assert api.get("erin", "/v1/grants?limit=1").json()["items"][0]["id"] == newest
    assert newest not in api.get("alice", "/v1/grants").text


def test_the_catalog_comes_in_pages_with_what_the_caller_may_request(api: Api) -> None:
    listed = [item for page in pages(api, "alice", "/v1/entitlements", 2) for item in page]
    assert [item["id"] for item in listed] == sorted(item["id"] for item in api.world.catalog["entitlement"])
    assert [item["id"] for item in listed if not item["may_request"]] == ["orders-db-nobody"]
    assert not any(item["may_request"] for item in api.get("erin", "/v1/entitlements").json()["items"])
    asked = api.asked()
    [read] = [item for item in listed if item["id"] == "orders-db-read"]
    assert read["rule"] == asked["statement"]["rule"]
    assert "grants" not in read


def test_stops_are_listed_in_pages_and_lifted_by_another(api: Api) -> None:
    body = {"scope": "person", "id": "alice", "reason": "lost laptop"}
    pending, grant_id = api.asked(), api.granted()
    api.draw(grant_id)
    ended = api.post("olga", "/v1/stop", json=body).json()
    assert (ended["grants_revoked"], ended["requests_ended"]) == (1, 1)
    assert (ended["stop"]["scope"], ended["stop"]["target"], ended["stop"]["placed_by"]) == ("person", "alice", "olga")
    assert api.get("alice", f"/v1/requests/{pending['id']}").json()["state"] == "withdrawn"
    stopped = api.post("alice", "/v1/requests", json=ask())
    assert (stopped.status_code, stopped.json()["code"]) == (503, "stopped")
    api.post("carol", "/v1/stop", json={"scope": "provider", "id": "fake", "reason": "fire"})
    listed = [stop["id"] for page in pages(api, "erin", "/v1/stops", 1) for stop in page]
    assert len(listed) == 2
    own = api.post("olga", f"/v1/stops/{ended['stop']['id']}/lift")
    assert (own.status_code, own.json()["code"]) == (403, "not-permitted")
    assert api.post("oscar", f"/v1/stops/{ended['stop']['id']}/lift").json()["id"] == ended["stop"]["id"]
    assert api.post("carol", f"/v1/stops/{ended['stop']['id']}/lift").status_code == 404
    assert [stop["id"] for stop in api.get("erin", "/v1/stops").json()["items"]] == listed[1:]


def test_a_stop_of_all_names_no_target(api: Api) -> None:
    stop = api.post("olga", "/v1/stop", json={"scope": "all", "reason": "fire"}).json()["stop"]
    assert stop.keys() == {"id", "scope", "placed_by", "placed_at"}


def test_a_person_who_is_disabled_loses_everything_at_once(api: Api) -> None:
    grant_id = api.granted()
    api.draw(grant_id)
    ended = api.post("olga", "/v1/persons/alice/disable", json={"reason": "left"}).json()
    assert ended == {"grants_revoked": 1, "requests_ended": 0}
    assert api.get("alice", "/v1/me").status_code == api.get("alice-laptop", "/v1/me").status_code == 401
    assert api.get("bob", f"/v1/grants/{grant_id}").json()["state"] == "revoked"


def test_a_caller_learns_who_he_is_and_replaces_his_token(api: Api) -> None:
    assert api.get("bob-bot", "/v1/me").json() == {
        "principal": "bob-bot",
        "person": "bob",
        "human": False,
        "groups": ["orders-owners"],
        "roles": ["approver"],
    }
    renewed = api.post("alice", "/v1/me/token")
    assert renewed.headers["Cache-Control"] == "no-store"
    assert api.get("alice", "/v1/me").status_code == 401
    api.tokens = api.tokens | {"alice": renewed.json()["token"]}
    assert api.get("alice", "/v1/me").json()["principal"] == "alice"
    assert api.get("alice-laptop", "/v1/me").json()["principal"] == "alice-laptop"


def test_all_times_are_spelled_alike_and_durations_are_whole_seconds(api: Api) -> None:
    api.draw(api.granted())
    api.post("olga", "/v1/stop", json={"scope": "person", "id": "dave", "reason": "x"})
    seen = 0
    for path in ("requests", "grants", "leases", "audit/entries", "stops", "entitlements"):
        for item in api.get("erin", f"/v1/{path}").json()["items"]:
            for key, value in item.items():
                if key.endswith("_at") or key in {"at", "not_after", "latest_end", "draw_by"}:
                    assert TIME.fullmatch(value)
                    seen += 1
                if key.endswith("_s"):
                    assert type(value) is int
    assert seen > 10
