"""Attacks on sign-in, each over HTTP: forged and borrowed tokens, mixed-up issuers, stolen codes, other sites, lying issuers."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import RSAKey
from tests.api.signing import Desk, Device, signing_desk
from tests.issuer import CLI_CLIENT, CLIENT, key_named, serving, trusted

from countersign.api.browser import form_token_of
from countersign.identity.fetch import LARGEST_ANSWER, Fetcher
from countersign.identity.tokens import BACK_CHANNEL


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[Desk]:
    """One desk for attacks that leave nothing behind."""
    with signing_desk(tmp_path_factory.mktemp("attacks"), template=migrated_sqlite) as desk:
        yield desk


@pytest.fixture
def desk(tmp_path: Path, migrated_sqlite: Path) -> Iterator[Desk]:
    with signing_desk(tmp_path, template=migrated_sqlite) as desk:
        yield desk


def spelled(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def unsigned(desk: Desk, device: Device, **header: Any) -> str:  # noqa: ANN401 - header parameters
    claims = desk.issuer.claims(aud=CLI_CLIENT, nonce=device.nonce)
    return f"{spelled({'typ': 'JWT'} | header)}.{spelled(claims)}."


def with_own_key(**header: Any) -> Callable[[Desk, Device], str]:  # noqa: ANN401 - header parameters
    """Sign with a key that is not the issuer's, and say in the header where it would be found."""

    def made(desk: Desk, device: Device) -> str:
        claims = desk.issuer.claims(aud=CLI_CLIENT, nonce=device.nonce)
        own = key_named("attacker")
        jwk = {"jwk": own.as_dict(private=False)} if header.get("jwk") else {}
        return desk.issuer.sign(claims, key=own, **header | jwk)

    return made


def by_the_issuer(**header: Any) -> Callable[[Desk, Device], str]:  # noqa: ANN401 - header parameters
    """Sign with the issuer's own key, under a header that no token of its should have."""
    return lambda desk, device: desk.issuer.sign(desk.issuer.claims(aud=CLI_CLIENT, nonce=device.nonce), **header)


def saying(**changes: Any) -> Callable[[Desk, Device], str]:  # noqa: ANN401 - claims; None leaves one out
    return lambda desk, device: desk.id_token(device, **changes)


def at(minutes: float) -> Callable[[Desk, Device], str]:
    """Sign as an issuer whose clock is off by so many minutes."""

    def made(desk: Desk, device: Device) -> str:
        now = int((desk.world.clock() + timedelta(minutes=minutes)).timestamp())
        return desk.id_token(device, iat=now, exp=now + 300)

    return made


def cut(desk: Desk, device: Device) -> str:
    head, body, signature = desk.id_token(device).split(".")
    said = json.loads(base64.urlsafe_b64decode(body + "==")) | {"sub": "sub-olga"}
    return f"{head}.{spelled(said)}.{signature}"


def twice(desk: Desk, device: Device) -> str:
    head, body, signature = desk.id_token(device).split(".")
    doubled = base64.urlsafe_b64decode(body + "==").decode()[:-1] + ',"sub":"sub-olga"}'
    return f"{head}.{base64.urlsafe_b64encode(doubled.encode()).decode().rstrip('=')}.{signature}"


FORGERIES: dict[str, Callable[[Desk, Device], str]] = {
    "alg none": lambda desk, device: unsigned(desk, device, alg="none"),
    "alg None in another spelling": lambda desk, device: unsigned(desk, device, alg="nOnE"),
    "no alg": unsigned,
    "alg confusion": lambda desk, device: desk.issuer.confuse(desk.issuer.claims(aud=CLI_CLIENT, nonce=device.nonce)),
    "an algorithm off the list, by the issuer's own key": by_the_issuer(alg="RS512"),
    "a key by jku, though the issuer's own signed": by_the_issuer(jku="https://evil.example/keys"),
    "crit, though the issuer's own signed": by_the_issuer(crit=["exp"]),
    "another key": with_own_key(),
    "another key in jwk": with_own_key(jwk=True),
    "another key by jku": with_own_key(jku="https://evil.example/keys"),
    "another key by x5u": with_own_key(x5u="https://evil.example/cert"),
    "a kid that is a path": with_own_key(kid="../../../../dev/null"),
    "a kid that is a query": with_own_key(kid="one' UNION SELECT 'AAAA"),
    "a kid that is no text": with_own_key(kid=None),
    "crit": with_own_key(crit=["exp"]),
    "claims changed after signing": cut,
    "a claim twice": twice,
    "for somebody else": saying(aud="another-app"),
    "for the web client": saying(aud=CLIENT),
    "for nobody": saying(aud=None),
    "for two, without azp": saying(aud=[CLI_CLIENT, "another-app"]),
    "for two, made for the other": saying(aud=[CLI_CLIENT, "another-app"], azp="another-app"),
    "of another issuer": saying(iss="https://evil.example"),
    "of the issuer with a slash": lambda desk, device: desk.id_token(device, iss=desk.issuer.url + "/"),
    "without iss": saying(iss=None),
    "without sub": saying(sub=None),
    "a sub that is a list": saying(sub=["sub-alice"]),
    "an empty sub": saying(sub=""),
    "without exp": saying(exp=None),
    "exp that is a text": saying(exp="9999999999"),
    "exp beyond all bounds": saying(exp=10**30),
    "exp in a century": saying(exp=4_000_000_000),
    "exp that is true": saying(exp=True),
    "without iat": saying(iat=None),
    "nbf that is a text": saying(nbf="now"),
    "not yet valid": lambda desk, device: desk.id_token(device, nbf=int(desk.world.clock().timestamp()) + 120),
    "expired": lambda desk, device: desk.id_token(
        device, iat=int(desk.world.clock().timestamp()) - 400, exp=int(desk.world.clock().timestamp()) - 60
    ),
    "old": lambda desk, device: desk.id_token(
        device, iat=int(desk.world.clock().timestamp()) - 700, exp=int(desk.world.clock().timestamp()) + 700
    ),
    "the clock ten minutes ahead": at(10),
    "the clock ten minutes behind": at(-11),
    "without nonce": saying(nonce=None),
    "another nonce": saying(nonce="A" * 43),
    "an access token": lambda desk, device: desk.issuer.sign(
        desk.issuer.claims(aud=CLI_CLIENT, nonce=device.nonce), typ="at+jwt"
    ),
    "a logout token": saying(events={BACK_CHANNEL: {}}),
    "a subject that nobody is": saying(sub="sub-mallory"),
    "an e-mail address in place of a subject": saying(sub="alice@corp.example", email="alice@corp.example"),
    "no token at all": lambda _desk, _device: "a.b.c",
    "five parts": lambda _desk, _device: "a.b.c.d.e",
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_token_that_proves_nobody_lets_nobody_in(shared: Desk, forgery: str) -> None:
    device = Device()
    answer = shared.show(device.shows(FORGERIES[forgery](shared, device)))
    assert (answer.status_code, answer.json()["code"]) == (401, "identity-refused"), answer.text
    with shared.world.store.read() as tx:
        assert tx.sessions_of("alice") == tx.sessions_of("olga") == []


def test_the_same_token_without_any_of_these_faults_lets_its_subject_in(desk: Desk) -> None:
    assert desk.tokens("alice")["person"] == "alice"


def test_a_token_signs_in_once(desk: Desk) -> None:
    device = Device()
    shown = device.shows(desk.id_token(device))
    assert desk.show(shown).status_code == 200
    answer = desk.show(shown)
    assert answer.json()["detail"].endswith("was shown before")
    assert len(desk.world.facts("session.opened")) == len(desk.world.facts("sign-in.refused")) == 1


def test_a_token_that_was_seen_on_its_way_opens_nothing_without_the_device_key(shared: Desk) -> None:
    owner, thief = Device(), Device()
    token = shared.id_token(owner)
    for shown in (
        thief.shows(token),
        replace(thief, random=owner.random).shows(token),
        owner.shows(token) | {"signature": thief.shows(token)["signature"]},
        owner.shows(token) | {"signature": owner.shows(shared.id_token(owner, "bob"))["signature"]},
        owner.shows(token) | {"device": {"key": thief.public, "random": owner.random}},
    ):
        assert shared.show(shown).json()["code"] == "identity-refused"


@pytest.mark.parametrize("key", ["A" * 43, "AQ" + "A" * 41, "7P" + "_" * 40 + "8"])
def test_a_device_key_that_is_no_point_or_signs_everything_is_refused(shared: Desk, key: str) -> None:
    device = Device()
    shown = device.shows(shared.id_token(device)) | {"device": {"key": key, "random": device.random}}
    assert shared.show(shown | {"signature": "A" * 86}).status_code in {401, 422}


def test_another_issuer_s_code_and_token_are_refused_where_this_one_was_asked(desk: Desk) -> None:
    """Mix-up: the browser began at corp and comes back from evil, which is believed as well, with evil's code."""
    with serving(desk.world.clock) as evil:
        rules = dict(desk.world.catalog)
        rules["trust"] = {"issuer": [trusted(desk.issuer), trusted(evil, "evil", audience="other")]}
        desk.world.adopt(catalog=rules)
        browser = desk.browser()
        state = desk.issuer.authorize(desk.begin(browser))["state"]
        elsewhere = evil.authorize(desk.begin(desk.browser(), "evil"))
        answer = desk.callback(browser, elsewhere | {"state": state})
        assert (answer.status_code, answer.json()["code"]) == (401, "identity-refused")
        assert desk.issuer.asked.count("/token") == evil.asked.count("/token") == 0
        device = Device()
        token = evil.sign(evil.claims(aud=CLI_CLIENT, nonce=device.nonce))
        assert desk.show(device.shows(token)).json()["code"] == "identity-refused"


def test_an_answer_without_iss_is_refused_where_the_issuer_says_that_it_names_itself(desk: Desk) -> None:
    browser = desk.browser()
    brought = desk.issuer.authorize(desk.begin(browser))
    brought.pop("iss")
    assert desk.callback(browser, brought).json()["rule"] == "sign-in: iss (RFC 9207)"


def test_a_stolen_code_is_worth_nothing_in_another_browser(desk: Desk) -> None:
    victim, thief = desk.browser(), desk.browser()
    brought = desk.issuer.authorize(desk.begin(victim))
    own_state = desk.issuer.authorize(desk.begin(thief), "sub-mallory")["state"]
    assert desk.callback(desk.browser(), brought).json()["code"] == "identity-refused"
    assert desk.callback(thief, brought).json()["code"] == "identity-refused"
    another = desk.browser()
    desk.begin(another)
    assert desk.callback(another, brought | {"state": own_state}).json()["code"] == "identity-refused"
    thief_again = desk.browser()
    state = desk.issuer.authorize(desk.begin(thief_again))["state"]
    assert desk.callback(thief_again, brought | {"state": state}).json()["code"] == "identity-refused"
    assert desk.issuer.asked.count("/token") == 1, "the issuer itself refused the code without its verifier"


def test_nobody_is_signed_in_to_another_s_account_by_a_link(desk: Desk) -> None:
    """Login CSRF: mallory's finished answer, opened in alice's browser, which began nothing or something else."""
    mallory, alice = desk.browser(), desk.browser()
    brought = desk.issuer.authorize(desk.begin(mallory), "sub-dave")
    assert desk.callback(alice, brought).status_code == 401
    desk.begin(alice)
    assert desk.callback(alice, brought).status_code == 401
    assert "countersign" not in alice.cookies


def test_a_sign_in_works_once_and_not_for_ever(desk: Desk) -> None:
    browser = desk.browser()
    location = desk.begin(browser)
    brought, another_code = desk.issuer.authorize(location), desk.issuer.authorize(location)
    kept = browser.cookies["countersign-sign-in"]
    assert desk.callback(browser, brought).status_code == 303
    for replayed in (brought, another_code):
        again = desk.browser()
        again.cookies.set("countersign-sign-in", kept)
        assert desk.callback(again, replayed).status_code == 401
    late = desk.browser()
    brought = desk.issuer.authorize(desk.begin(late))
    desk.world.clock.forward(minutes=11)
    assert desk.callback(late, brought).status_code == 401


def test_a_session_that_was_planted_before_the_sign_in_is_not_the_one_after_it(desk: Desk) -> None:
    """Fixation: mallory gives alice's browser mallory's own cookie, and waits for alice to sign in."""
    mallory = desk.signed_in("dave")
    planted = mallory.cookies["countersign"]
    alice = desk.browser()
    alice.cookies.set("countersign", planted, domain="localhost.local")
    answer = desk.callback(alice, desk.issuer.authorize(desk.begin(alice), "sub-alice"))
    fresh = next(each for each in answer.headers.get_list("set-cookie") if each.startswith("countersign="))
    assert planted not in fresh
    assert mallory.get("/v1/me").status_code == 401, "what was planted is over"
    invented = desk.browser()
    invented.cookies.set("countersign", "csw_" + "a" * 52)
    assert invented.get("/v1/me").status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "null"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://localhost:9999"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
    ],
    ids=str,
)
def test_what_another_site_makes_a_browser_send_changes_nothing(shared: Desk, headers: dict[str, str]) -> None:
    browser = shared.signed_in("olga")
    token = {"X-Countersign-Form-Token": form_token_of(browser.cookies["countersign"])}
    body = {"scope": "all", "reason": "csrf"}
    answer = browser.post("/v1/stop", json=body, headers=headers | token)
    assert (answer.status_code, answer.json()["code"]) == (403, "cross-site")
    form = {"form_token": token["X-Countersign-Form-Token"]}
    assert browser.post("/sign-out", data=form, headers=headers).status_code == 403
    assert browser.get("/v1/me").status_code == 200
    assert shared.world.facts("stop.placed") == []
    shared.world.broker.sessions.leave(browser.cookies["countersign"])


def test_a_page_of_ours_must_bear_its_own_session_s_form_token(shared: Desk) -> None:
    browser, other = shared.signed_in("olga"), shared.signed_in("erin")
    own = {"Sec-Fetch-Site": "same-origin"}
    for token in ({}, {"X-Countersign-Form-Token": form_token_of(other.cookies["countersign"])}):
        answer = browser.post("/v1/stop", json={"scope": "all", "reason": "x"}, headers=own | token)
        assert answer.json()["code"] == "cross-site"
    right = {"X-Countersign-Form-Token": form_token_of(browser.cookies["countersign"])}
    assert browser.post(
        "/v1/stop", json={"scope": "provider", "id": "fake", "reason": "x"}, headers=own | right
    ).is_success
    for each in (browser, other):
        shared.world.broker.sessions.leave(each.cookies["countersign"])


def away(desk: Desk) -> Any:  # noqa: ANN401 - the answer
    """Try to sign in, and return the answer."""
    device = Device()
    return desk.show(device.shows(desk.id_token(device)))


LIES: dict[str, dict[str, tuple[int, bytes]]] = {
    "an error": {"/keys": (500, b"{}")},
    "no JSON": {"/keys": (200, b"<html>down for maintenance</html>")},
    "a list": {"/keys": (200, b"[]")},
    "ten megabytes": {"/keys": (200, b'{"keys":[' + b" " * 10_000_000 + b"]}")},
    "ten megabytes of itself": {"/.well-known/openid-configuration": (200, b" " * 10_000_000)},
    "sent elsewhere": {"/keys": (302, b"http://127.0.0.1:1/keys")},
    "no keys": {"/keys": (200, b'{"keys":[]}')},
    "keys that are none": {"/keys": (200, b'{"keys":[1,{"kty":"RSA"},{"kty":"oct","k":"c2VjcmV0","kid":"one"}]}')},
    "nested deeply": {"/keys": (200, b"[" * 100_000)},
    "a key twice": {"/keys": (200, b'{"keys":[],"keys":[]}')},
    "another name": {"/.well-known/openid-configuration": (200, b'{"issuer":"https://evil.example"}')},
}


@pytest.mark.parametrize("lie", LIES)
def test_an_issuer_that_answers_what_cannot_be_used_lets_nobody_in(desk: Desk, lie: str) -> None:
    desk.issuer.lies = LIES[lie]
    answer = away(desk)
    assert (answer.status_code, answer.json()["code"]) == (503, "identity-away")
    assert "corp" in answer.json()["detail"]
    assert desk.world.facts("session.opened") == []


@pytest.mark.filterwarnings("ignore:Key size should be")
def test_a_weak_key_of_the_issuer_s_is_not_believed(desk: Desk) -> None:
    weak = RSAKey.generate_key(1024, {"kid": "weak"})
    desk.issuer.lies = {"/keys": (200, json.dumps({"keys": [weak.as_dict(private=False)]}).encode())}
    assert away(desk).json()["code"] == "identity-away"


def test_an_issuer_that_shows_other_keys_than_it_signs_with_lets_nobody_in(desk: Desk) -> None:
    lying = key_named("attacker").as_dict(private=False) | {"kid": "one"}
    desk.issuer.lies = {"/keys": (200, json.dumps({"keys": [lying]}).encode())}
    assert away(desk).json()["code"] == "identity-refused"


def test_a_slow_issuer_is_not_waited_for_and_one_that_drips_neither(desk: Desk) -> None:
    device = Device()
    token = desk.id_token(device)
    sign_in = desk.world.broker.sign_in
    with desk.world.store.read() as tx:
        provider = sign_in.identities.provider(desk.world.broker.office.rules.current(tx), "corp")
    provider.fetcher = Fetcher(name="corp", within_s=0.3)
    desk.issuer.delay_s = 8.0
    began = time.monotonic()
    answer = desk.show(device.shows(token))
    assert (answer.status_code, answer.json()["code"]) == (503, "identity-away")
    assert time.monotonic() - began < 6
    assert answer.headers["retry-after"] == "5"
    desk.issuer.delay_s, desk.issuer.drip_s = 0.0, 0.1
    began = time.monotonic()
    assert desk.show(device.shows(token)).json()["code"] == "identity-away"
    assert time.monotonic() - began < 6
    desk.issuer.drip_s = 0.0


def test_an_issuer_that_is_away_lets_nobody_in_and_throws_nobody_out(desk: Desk) -> None:
    told = desk.tokens("alice")
    desk.issuer.lies = dict.fromkeys(("/.well-known/openid-configuration", "/keys", "/token"), (503, b""))
    assert desk.me(told["access_token"]).status_code == 200
    assert desk.browser().post("/v1/sign-in/refresh", json={"refresh_token": told["refresh_token"]}).status_code == 200
    browser = desk.browser()
    begun = desk.begin(browser)
    answer = desk.callback(browser, desk.issuer.authorize(begun))
    assert (answer.status_code, answer.json()["code"]) == (503, "identity-away")


def test_a_new_key_is_found_and_made_up_key_ids_do_not_make_us_ask_and_ask(desk: Desk) -> None:
    desk.tokens("alice")
    provider = next(iter(desk.world.broker.sign_in.identities._known.values()))
    ahead = [0.0]
    provider._monotonic = lambda: time.monotonic() + ahead[0]
    desk.issuer.kid, desk.issuer.published = "two", ["one", "two"]
    ahead[0] += 20
    assert desk.tokens("bob")["person"] == "bob"
    asked = len(desk.issuer.asked)
    for turn in range(20):
        device = Device()
        token = with_own_key(kid=f"made-up-{turn}")(desk, device)
        assert desk.show(device.shows(token)).json()["code"] == "identity-refused"
    assert len(desk.issuer.asked) == asked
    desk.issuer.published = ["two"]
    desk.issuer.kid = "one"
    ahead[0] += 601
    assert away(desk).json()["code"] == "identity-refused", "a key that was withdrawn is not believed for long"


def test_nothing_that_was_presented_is_echoed_or_logged(shared: Desk, capfd: pytest.CaptureFixture[str]) -> None:
    device = Device()
    token = with_own_key()(shared, device)
    answer = shared.show(device.shows(token))
    said = capfd.readouterr()
    for secret in (token, token.rpartition(".")[2], device.random):
        assert secret not in answer.text + said.out + said.err


def test_bounds_are_what_the_documentation_says() -> None:
    text = (Path(__file__).parents[2] / "docs" / "sign-in.md").read_text(encoding="utf-8")
    assert f"{LARGEST_ANSWER // 1024} KiB" in text
