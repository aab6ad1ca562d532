"""The rim: headers on every answer, hosts, methods, the last resort, and what the log says and never says."""

from __future__ import annotations

import dataclasses
import logging

import pytest
import structlog
from starlette.testclient import TestClient
from tests.api.calling import READY, Api, ask

from countersign.api import problems
from countersign.api.app import make_app
from countersign.domain.refusals import LogUnavailable, Refused
from countersign.service.questions import Questions

PATHS = [
    "/healthz",
    "/readyz",
    "/openapi.json",
    "/v1/me",
    "/v1/requests",
    "/v1/nowhere",
    "/nowhere",
    "/v1/audit/export",
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("who", ["erin", None])
def test_no_answer_is_kept_or_guessed_at(api: Api, path: str, who: str | None) -> None:
    answer = api.get(who, path)
    assert answer.headers.get_list("X-Content-Type-Options") == ["nosniff"]
    assert answer.headers.get_list("Cache-Control") == ["no-store"]
    assert answer.headers["X-Request-Id"]


def test_a_file_of_the_log_says_itself_how_long_it_holds(api: Api) -> None:
    api.world.issuing.checkpoints.sign()
    assert api.get("erin", "/log/checkpoint").headers.get_list("Cache-Control") == ["no-cache"]
    assert "immutable" in api.get("erin", "/log/tile/entries/000.p/1").headers["Cache-Control"]
    assert api.get("alice", "/log/tile/entries/000.p/1").headers.get_list("Cache-Control") == ["no-store"]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "HEAD", "CONNECT", "BREW"])
def test_no_other_method_is_offered(api: Api, method: str) -> None:
    answer = api.call("alice", method, "/v1/requests")
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, POST"
    if method != "HEAD":
        assert answer.json()["code"] == "method-not-allowed"


def test_a_change_is_never_made_by_get(api: Api) -> None:
    request = api.asked()
    for path in (f"/v1/requests/{request['id']}/reviews", f"/v1/requests/{request['id']}/withdraw", "/v1/stop"):
        assert api.get("bob", path).status_code == 405


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8443", "LOCALHOST:1", "[::1]", "[::1]:8080"])
def test_a_loopback_name_is_served(api: Api, host: str) -> None:
    assert api.get("alice", "/v1/me", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "evil.example:80", "localhost:80:80", "localhost:x", "", "::1"]
)
@pytest.mark.parametrize("path", ["/v1/me", "/healthz", "/openapi.json"])
def test_another_name_is_not_served(api: Api, host: str, path: str) -> None:
    answer = api.get("alice", path, headers={"Host": host})
    assert (answer.status_code, answer.json()["code"]) == (421, "wrong-host")


def test_two_hosts_are_no_host(api: Api) -> None:
    answer = api.client.get("/healthz", headers=[("Host", "localhost"), ("Host", "localhost")])
    assert answer.status_code == 421


def test_the_names_that_are_served_can_be_chosen(api: Api) -> None:
    app = make_app(api.world.broker, readiness=lambda: READY, allowed_hosts=["broker.example"])
    assert TestClient(app).get("/healthz").status_code == 421
    assert TestClient(app).get("/healthz", headers={"Host": "broker.example:443"}).status_code == 200


def test_readiness_is_told_as_it_is(api: Api) -> None:
    assert (api.get(None, "/readyz").status_code, api.get(None, "/readyz").json()) == (200, dataclasses.asdict(READY))
    api.readiness = dataclasses.replace(READY, ok=False, checks={"sweep": "late"}, sweep_age_s=99.5)
    answer = api.get(None, "/readyz")
    assert (answer.status_code, answer.json()) == (503, {"ok": False, "checks": {"sweep": "late"}, "sweep_age_s": 99.5})
    assert api.get(None, "/healthz").json() == {"ok": True}


def test_a_fault_that_nobody_foresaw_is_told_by_its_incident_alone(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "hunter2"

    def broken(self: Questions, *whatever: object) -> None:
        del self, whatever
        try:
            dict[str, str]()[secret]
        except KeyError as cause:
            raise ValueError(f"cannot use {secret}") from cause

    monkeypatch.setattr(Questions, "roles", broken)
    with structlog.testing.capture_logs() as logged:
        answer = api.get("alice", "/v1/me")
    problem = answer.json()
    assert answer.status_code == 500
    assert problem == {
        "type": "urn:countersign:problem:internal",
        "title": problem["title"],
        "status": 500,
        "detail": "",
        "code": "internal",
        "incident": answer.headers["X-Request-Id"],
    }
    [fault] = [line for line in logged if line["log_level"] == "error"]
    assert fault["incident"] == problem["incident"]
    assert fault["error"] == ["ValueError", "KeyError"]
    assert any("in broken" in place for place in fault["trace"])
    assert secret not in str(logged)


def test_a_log_that_cannot_be_written_is_told_and_nothing_happens(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*whatever: object, **more: object) -> None:
        del whatever, more
        raise LogUnavailable("the database cannot be written, so nothing happened")

    request = api.asked()
    monkeypatch.setattr("countersign.store.log.append", away)
    body = {"decision": "approve", "digest": request["digest"]}
    answer = api.post("bob", f"/v1/requests/{request['id']}/reviews", json=body)
    assert (answer.status_code, answer.json()["code"]) == (503, "log-unavailable")
    assert api.get("alice", f"/v1/requests/{request['id']}").json()["reviews"] == []
    unseen = api.get("bob", f"/v1/requests/{request['id']}")  # an approver's first look is a fact, or there is none
    assert (unseen.status_code, unseen.json()["code"]) == (503, "log-unavailable")


def test_a_call_is_one_line_of_log_that_names_route_and_principal(api: Api) -> None:
    request = api.asked()
    with structlog.testing.capture_logs() as logged:
        answer = api.get("alice-laptop", f"/v1/requests/{request['id']}?limit=1")
        api.get(None, f"/nowhere/{request['id']}")
    refused, unrouted = logged
    assert {key: refused[key] for key in ("event", "method", "route", "status", "principal")} == {
        "event": "call",
        "method": "GET",
        "route": "/v1/requests/{request_id}",
        "status": answer.status_code,
        "principal": "alice-laptop",
    }
    assert refused["ms"] > 0
    assert (unrouted["route"], unrouted["status"], unrouted["principal"]) == (None, 404, None)
    assert request["id"] not in str(logged)


def test_no_secret_token_or_free_text_reaches_any_log(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with structlog.testing.capture_logs() as logged:
        grant_id = api.granted(reason="canary-reason", ticket="canary-ticket")
        drawn = api.draw(grant_id).json()
        api.draw(grant_id)
        api.post("alice", "/v1/requests", json=ask(reason="canary-reason", extra="canary-extra"))
        api.post("alice", "/v1/me/token")
        api.get("alice", "/v1/me?token=canary-query")
        api.client.get("/v1/me", headers={"Authorization": "Bearer canary-token"})
    assert len(logged) >= 7
    everything = str(logged) + "".join(
        str(line.msg) + str(line.args) for line in caplog.records if line.name != "httpx2"
    )
    assert "canary" not in everything
    assert drawn["credential"]["password"] not in everything
    assert not any(token in everything for token in api.tokens.values())


def everything_below(kind: type[Refused]) -> set[type[Refused]]:
    return {kind} | {each for below in kind.__subclasses__() for each in everything_below(below)}


def test_every_refusal_has_a_status_and_every_status_a_refusal() -> None:
    codes = {kind.code for kind in everything_below(Refused)} - {"refused"}
    assert codes == set(problems.STATUSES)


CONTRACT = {
    "self-review": 403,
    "not-eligible": 403,
    "wrong-digest": 409,
    "already-reviewed": 409,
    "wrong-state": 409,
    "draws-exhausted": 409,
    "already-delivered": 409,
    "window-over": 410,
    "rule-changed": 409,
    "not-yours": 403,
    "not-found": 404,
    "invalid": 422,
    "too-large": 413,
    "limit": 429,
    "provider-away": 503,
    "stopped": 503,
    "log-unavailable": 503,
}


def test_the_statuses_are_those_of_the_contract() -> None:
    assert {code: problems.STATUSES[code][0] for code in CONTRACT} == CONTRACT
