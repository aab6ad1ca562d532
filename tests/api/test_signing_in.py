"""Signing in over HTTP: by a browser and by a command line, sessions and their ends."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from tests.api.signing import Desk, Device, signing_desk
from tests.issuer import trusted

from countersign.api.browser import form_token_of
from countersign.domain import device as devices
from countersign.domain.session import ACCESS_LASTS, IDLE, LASTS, SessionKind
from countersign.service.sessions import AGAIN_WITHIN


@pytest.fixture
def desk(tmp_path: Path, migrated_sqlite: Path) -> Iterator[Desk]:
    with signing_desk(tmp_path, template=migrated_sqlite) as desk:
        yield desk


def types(desk: Desk) -> list[str]:
    return [row["type"] for row in desk.world.facts()]


def test_a_browser_signs_in_and_is_who_the_directory_says_its_subject_is(desk: Desk) -> None:
    browser = desk.signed_in("alice", acr="gold", amr=["pwd", "otp"])
    me = browser.get("/v1/me").json()
    assert (me["principal"], me["person"], me["roles"]) == ("alice-corp", "alice", ["requester"])
    (session,) = browser.get("/v1/sessions").json()["items"]
    assert (session["kind"], session["factors"], session["current"]) == ("web", ["gold", "otp", "pwd"], True)
    assert types(desk).count("session.opened") == 1


def test_the_cookie_is_kept_from_scripts_and_bound_to_the_host_over_https(desk: Desk) -> None:
    browser = desk.browser()
    answer = desk.callback(browser, desk.issuer.authorize(desk.begin(browser)))
    (kept,) = [each for each in answer.headers.get_list("set-cookie") if each.startswith("countersign=")]
    assert "HttpOnly" in kept
    assert "SameSite=lax" in kept
    assert "Path=/" in kept
    assert "Domain" not in kept
    desk.app.state.broker.sign_in.identities.__dict__["public_url"] = "https://broker.example"
    begun = desk.browser().get("/sign-in/to/corp")
    (kept,) = begun.headers.get_list("set-cookie")
    assert kept.startswith("__Host-countersign-sign-in=")
    assert "Secure" in kept


def test_neither_cookie_nor_tokens_stand_in_the_database(desk: Desk, tmp_path: Path) -> None:
    browser, tokens = desk.signed_in("alice"), desk.tokens("bob")
    desk.world.store.close()
    raw = b"".join(path.read_bytes() for path in tmp_path.glob("countersign.db*"))
    for secret in (browser.cookies["countersign"], tokens["access_token"], tokens["refresh_token"]):
        assert secret.encode() not in raw
        assert secret[4:].encode() not in raw


def test_after_the_sign_in_the_browser_goes_where_it_wanted_and_nowhere_else(desk: Desk) -> None:
    browser = desk.browser()
    answer = desk.callback(browser, desk.issuer.authorize(desk.begin(browser, return_to="/r/req_x?tab=2")))
    assert answer.headers["location"] == "/r/req_x?tab=2"
    for elsewhere in ("https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "evil"):
        refused = desk.browser().get("/sign-in/to/corp", params={"return_to": elsewhere})
        assert (refused.status_code, refused.json()["field"]) == (422, "return_to")


def test_the_door_leads_to_the_only_issuer_or_shows_them_all(desk: Desk) -> None:
    one = desk.browser().get("/sign-in", params={"return_to": "/r/x?a=b"})
    assert (one.status_code, one.headers["location"]) == (303, "/sign-in/to/corp?return_to=%2Fr%2Fx%3Fa%3Db")
    rules = dict(desk.world.catalog)
    other = trusted(desk.issuer, "second", audience="other", cli_audience=None)
    del other["cli_audience"]
    rules["trust"] = {"issuer": [trusted(desk.issuer), other]}
    desk.world.adopt(catalog=rules)
    several = desk.browser().get("/sign-in", params={"return_to": '/"><script>'})
    assert several.text.count("<a href=") == 2
    assert "<script>" not in several.text
    assert "default-src 'none'" in several.headers["content-security-policy"]


def test_a_command_line_signs_in_with_a_token_that_is_bound_to_its_device_key(desk: Desk) -> None:
    device = Device()
    token = desk.id_token(device)
    told = desk.show(device.shows(token)).json()
    assert desk.me(told["access_token"]).json()["principal"] == "alice-corp"
    with desk.world.store.read() as tx:
        proof = tx.identity_proof(told["session"])
    assert proof is not None
    assert f"{proof.signed}.{proof.signature}" == token
    assert devices.nonce_for(key=str(proof.device_key), random=str(proof.random)) == device.nonce
    assert proof.device_key == device.public


def test_an_access_token_is_short_and_the_next_comes_by_the_refresh_token(desk: Desk) -> None:
    told = desk.tokens()
    desk.world.clock.forward(seconds=ACCESS_LASTS.total_seconds())
    assert desk.me(told["access_token"]).status_code == 401
    again = desk.browser().post("/v1/sign-in/refresh", json={"refresh_token": told["refresh_token"]}).json()
    assert desk.me(again["access_token"]).json()["person"] == "alice"
    assert again["session"] == told["session"]


def test_a_refresh_token_that_is_shown_twice_ends_the_session_of_thief_and_owner(desk: Desk) -> None:
    told = desk.tokens()
    shown = {"refresh_token": told["refresh_token"]}
    fresh = desk.browser().post("/v1/sign-in/refresh", json=shown).json()
    assert desk.browser().post("/v1/sign-in/refresh", json=shown).status_code == 401
    assert desk.me(fresh["access_token"]).status_code == 401
    next_one = {"refresh_token": fresh["refresh_token"]}
    assert desk.browser().post("/v1/sign-in/refresh", json=next_one).status_code == 401
    assert types(desk).count("session.refresh-reused") == 1
    assert types(desk).count("session.ended") == 1


def following(letter: str) -> tuple[str, str]:
    secret = "csr_" + letter * 52
    return secret, hashlib.sha256(secret.encode()).hexdigest()


def refreshed(desk: Desk, token: str, then: str | None) -> httpx2.Response:
    return desk.browser().post("/v1/sign-in/refresh", json={"refresh_token": token, "next": then})


def test_a_refresh_whose_answer_was_lost_is_asked_for_again_word_for_word(desk: Desk) -> None:
    told = desk.tokens()
    secret, then = following("a")
    first = refreshed(desk, told["refresh_token"], then)
    assert first.json()["refresh_token"] is None
    again = refreshed(desk, told["refresh_token"], then)
    assert desk.me(again.json()["access_token"]).status_code == 200
    assert refreshed(desk, secret, following("b")[1]).status_code == 200
    assert "session.refresh-reused" not in types(desk)
    assert refreshed(desk, told["refresh_token"], then).status_code == 401, "its successor was used"
    assert types(desk).count("session.refresh-reused") == 1


@pytest.mark.parametrize("case", ["another", "none", "late", "his own other session's"])
def test_who_shows_a_used_token_without_being_its_user_ends_the_session(desk: Desk, case: str) -> None:
    told, other = desk.tokens(), desk.tokens()
    assert refreshed(desk, told["refresh_token"], following("a")[1]).status_code == 200
    assert refreshed(desk, other["refresh_token"], following("c")[1]).status_code == 200
    if case == "late":
        desk.world.clock.forward(seconds=AGAIN_WITHIN.total_seconds() + 1)
    then = {"another": following("b")[1], "none": None, "late": following("a")[1]}.get(case, following("c")[1])
    assert refreshed(desk, told["refresh_token"], then).status_code == 401
    assert refreshed(desk, following("a")[0], None).status_code == 401
    assert types(desk).count("session.refresh-reused") == 1


def test_no_secret_of_a_session_stands_in_for_another_kind(desk: Desk) -> None:
    told, browser = desk.tokens(), desk.signed_in()
    cookie = browser.cookies["countersign"]
    assert desk.me(told["refresh_token"]).status_code == 401
    assert desk.me(cookie).status_code == 401
    other = desk.browser()
    other.cookies.set("countersign", told["access_token"])
    assert other.get("/v1/me").status_code == 401
    assert desk.browser().post("/v1/sign-in/refresh", json={"refresh_token": told["access_token"]}).status_code == 422


def test_a_web_session_ends_when_it_idles_and_at_the_latest_after_its_hours(desk: Desk) -> None:
    browser = desk.signed_in()
    for _ in range(20):
        desk.world.clock.forward(seconds=IDLE.total_seconds() - 60)
        if browser.get("/v1/me").status_code != 200:
            break
    opened = desk.world.facts("session.opened")[0]["at"]
    assert desk.world.clock() - opened >= LASTS[SessionKind.WEB]
    idle = desk.signed_in()
    desk.world.clock.forward(seconds=IDLE.total_seconds() + 1)
    assert idle.get("/v1/me").status_code == 401


def test_sessions_are_listed_and_ended_by_their_person_alone(desk: Desk) -> None:
    alice, laptop, bob = desk.signed_in("alice"), desk.tokens("alice"), desk.tokens("bob")
    listed = desk.call(laptop["access_token"], "GET", "/v1/sessions").json()["items"]
    assert {each["kind"] for each in listed} == {"web", "cli"}
    (web,) = [each["id"] for each in listed if each["kind"] == "web"]
    assert desk.call(bob["access_token"], "POST", f"/v1/sessions/{web}/revoke").status_code == 404
    assert alice.get("/v1/me").status_code == 200
    assert desk.call(laptop["access_token"], "POST", f"/v1/sessions/{web}/revoke").status_code == 200
    assert alice.get("/v1/me").status_code == 401
    assert desk.call(laptop["access_token"], "POST", f"/v1/sessions/{web}/revoke").status_code == 404


def test_signing_out_ends_the_session_and_not_only_the_cookie(desk: Desk) -> None:
    browser = desk.signed_in()
    cookie = browser.cookies["countersign"]
    form = {"form_token": form_token_of(cookie)}
    left = browser.post("/sign-out", data=form, headers={"Sec-Fetch-Site": "same-origin"})
    assert left.status_code == 303
    other = desk.browser()
    other.cookies.set("countersign", cookie)
    assert other.get("/v1/me").status_code == 401


def test_who_is_disabled_is_out_at_once_by_every_session_and_cannot_come_back(desk: Desk) -> None:
    browser, laptop = desk.signed_in("dave"), desk.tokens("dave")
    olga = desk.tokens("olga")
    assert desk.call(olga["access_token"], "POST", "/v1/persons/dave/disable", json={"reason": "left"}).is_success
    assert browser.get("/v1/me").status_code == 401
    assert desk.me(laptop["access_token"]).status_code == 401
    refreshed = desk.browser().post("/v1/sign-in/refresh", json={"refresh_token": laptop["refresh_token"]})
    assert refreshed.status_code == 401
    device = Device()
    assert desk.show(device.shows(desk.id_token(device, "dave"))).json()["code"] == "identity-refused"
    assert types(desk)[-1] == "sign-in.refused"


def test_a_session_ends_with_its_principal_s_place_in_the_directory(desk: Desk) -> None:
    told = desk.tokens("alice")
    without = dict(desk.world.directory)
    without["principal"] = [
        each | ({"subject": "sub-somebody-else"} if each["id"] == "alice-corp" else {}) for each in without["principal"]
    ]
    desk.world.adopt(directory=without)
    assert desk.me(told["access_token"]).status_code == 401
