"""The passkey page over HTTP, with a software authenticator in the browser's place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from tests.api.calling import Api
from tests.quick import quick_world
from tests.signers import SIGNED, Signers, authenticator

from countersign.domain.passkey import unbase64url
from countersign.embedded.authenticator import SoftwareAuthenticator


@pytest.fixture
def signers() -> Signers:
    return Signers()


@pytest.fixture
def api(signers: Signers) -> Iterator[Api]:
    with quick_world(catalog=signers.catalog()) as world:
        yield Api(world=world)


def asked(api: Api, who: str, **body: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of the body
    answer = api.post(who, "/v1/passkey-pages", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def opened(api: Api, ticket: str) -> httpx2.Response:
    return api.post(None, "/passkey-calls/open", json={"ticket": ticket})


def finish(api: Api, task: dict[str, Any], key: SoftwareAuthenticator, challenge: str | None = None) -> httpx2.Response:
    signed = key.sign(unbase64url(challenge or task["challenge"]))
    return api.post(None, "/passkey-calls/finish", json={"secret": task["secret"]} | signed.document())


def outcome(api: Api, who: str, page: dict[str, Any]) -> dict[str, Any]:
    return dict(api.get(who, f"/v1/passkey-pages/{page['id']}").json())


def test_a_request_is_approved_at_the_page_and_the_terminal_hears_of_it(api: Api, signers: Signers) -> None:
    request = api.asked(entitlement=SIGNED)
    page = asked(api, "bob", act="approve", subject=request["id"])
    assert page["url"] == f"http://localhost:8440/passkey/approve/{request['id']}"
    assert page["ticket"] not in page["url"]
    assert outcome(api, "bob", page)["state"] == "new"
    task = opened(api, page["ticket"]).json()
    assert (task["digest"], task["fingerprint"]) == (request["digest"], request["fingerprint"])
    assert task["statement"] == request["statement"]
    assert finish(api, task, signers["bob"]).json() == {"id": request["id"], "state": "approved"}
    assert outcome(api, "bob", page)["outcome"] == {"id": request["id"], "state": "approved"}


def test_a_ticket_is_good_once_and_for_five_minutes(api: Api, signers: Signers) -> None:
    request = api.asked(entitlement=SIGNED)
    page = asked(api, "bob", act="approve", subject=request["id"])
    task = opened(api, page["ticket"]).json()
    assert opened(api, page["ticket"]).json()["code"] == "unauthenticated"
    assert opened(api, task["secret"]).json()["code"] == "unauthenticated"
    api.world.clock.forward(minutes=5)
    assert finish(api, task, signers["bob"]).json()["code"] == "unauthenticated"
    assert outcome(api, "bob", page)["state"] == "over"


def test_a_page_does_its_one_act_for_its_one_person_once(api: Api, signers: Signers) -> None:
    request = api.asked(entitlement=SIGNED)
    page = asked(api, "bob", act="approve", subject=request["id"])
    task = opened(api, page["ticket"]).json()
    assert finish(api, task, signers["carol"]).json()["code"] == "bad-signature"
    assert outcome(api, "bob", page)["outcome"]["code"] == "bad-signature"
    assert finish(api, task, signers["bob"]).status_code == 200
    assert finish(api, task, signers["bob"]).json()["code"] == "unauthenticated"
    assert api.get("carol", f"/v1/passkey-pages/{page['id']}").status_code == 404


def test_a_stranger_and_the_requester_see_and_approve_nothing_at_the_page(api: Api) -> None:
    request = api.asked(entitlement=SIGNED)
    for who, code in (("dave", "not-found"), ("frank", "not-found")):
        page = asked(api, who, act="approve", subject=request["id"])
        assert opened(api, page["ticket"]).json()["code"] == code


def test_a_disabled_person_s_link_is_worth_nothing(api: Api) -> None:
    request = api.asked(entitlement=SIGNED)
    page = asked(api, "bob", act="approve", subject=request["id"])
    api.post("olga", "/v1/persons/bob/disable", json={"reason": "left"})
    assert opened(api, page["ticket"]).json()["code"] == "unauthenticated"


def test_a_key_is_made_vouched_for_and_removed_at_the_page(api: Api, signers: Signers) -> None:
    new = authenticator("dave")
    page = asked(api, "dave", act="enrol")
    task = opened(api, page["ticket"]).json()
    made = api.post(
        None, "/passkey-calls/finish", json={"secret": task["secret"]} | new.make(unbase64url(task["challenge"]))
    ).json()["next"]
    passkey = finish(api, task, new, made["challenge"]).json()
    assert passkey["state"] == "waiting"
    for who in ("bob", "carol"):
        word = opened(api, asked(api, who, act="vouch", subject=passkey["id"])["ticket"]).json()
        assert word["fingerprint"] == made["fingerprint"]
        passkey = finish(api, word, signers[who]).json()
    assert passkey["state"] == "enrolled"
    gone = opened(api, asked(api, "dave", act="remove", subject=passkey["id"], reason="lost")["ticket"]).json()
    assert finish(api, gone, new).json()["state"] == "removed"


def test_the_page_runs_nothing_but_its_own_file_and_is_framed_by_nobody(api: Api) -> None:
    for path in ("/passkey/approve/new", "/passkey-files/page.js", "/passkey-files/page.css"):
        answer = api.get(None, path)
        assert answer.status_code == 200
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
    page = api.get(None, "/passkey/approve/new").text
    assert "<script>" not in page
    assert "onclick" not in page
    assert api.get(None, "/passkey-files/page.html").status_code == 404
    assert api.get(None, "/passkey-files/..%2fapp.py").status_code == 404


@pytest.mark.parametrize("body", [{}, {"ticket": ""}, {"ticket": 5}, {"ticket": "x", "more": 1}, []])
def test_bad_input_to_the_page_is_told(api: Api, body: object) -> None:
    assert api.post(None, "/passkey-calls/open", json=body).status_code == 422


def test_rules_are_proposed_signed_and_adopted_at_the_page(signers: Signers) -> None:
    with quick_world(catalog=signers.catalog(signed_rules=True)) as world:
        api = Api(world=world)
        changed = signers.catalog(signed_rules=True)
        changed["entitlement"][0] = {**changed["entitlement"][0], "max_duration_s": 1800}
        body = {"catalog": changed, "reason": "half an hour is enough"}
        proposal = api.post("frank", "/v1/catalog/proposals", json=body).json()
        signed = opened(api, asked(api, "frank", act="propose", subject=proposal["id"])["ticket"]).json()
        assert signed["fingerprint"] == proposal["fingerprint"]
        assert finish(api, signed, signers["frank"]).json()["state"] == "signed"
        adopted = opened(api, asked(api, "grace", act="adopt", subject=proposal["id"])["ticket"]).json()
        assert finish(api, adopted, signers["grace"]).json()["state"] == "approved"
        assert api.get("frank", "/v1/catalog").json()["seq"] == 2
