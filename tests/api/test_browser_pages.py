"""What people see in a browser: pages and not problem documents, with the code and what to do next."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from tests.api.signing import Desk, signing_desk

from countersign.api.browser_pages import PAGE_HEADERS

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with signing_desk(Path(tmp_path_factory.mktemp("pages"))) as made:
        yield made


def shown(answer: httpx2.Response, *, status: int, code: str) -> str:
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert {name: answer.headers[name] for name in PAGE_HEADERS} == PAGE_HEADERS
    assert f"<dd>{code}</dd>" in answer.text
    assert 'href="/sign-in"' in answer.text
    return answer.text


def test_a_sign_in_that_comes_to_nothing_ends_in_a_page_with_its_code_and_what_to_do(desk: Desk) -> None:
    lost = desk.browser().get("/sign-in/callback", params={"code": "c0de", "state": "st4te"}, headers=BROWSER)
    text = shown(lost, status=401, code="identity-refused")
    assert "begin again" in text
    assert "c0de" not in text
    assert "st4te" not in text
    twice = desk.browser().get("/sign-in/callback?state=1&state=2", headers=BROWSER)
    shown(twice, status=422, code="invalid")
    shown(desk.browser().get("/sign-in/to/nobody", headers=BROWSER), status=404, code="not-found")
    long = desk.browser().get("/sign-in/to/corp", params={"return_to": "/" + "a" * 600}, headers=BROWSER)
    shown(long, status=422, code="invalid")


def test_who_is_unknown_here_learns_by_what_name_he_could_be_proposed_and_it_is_escaped(desk: Desk) -> None:
    browser = desk.browser()
    brought = desk.issuer.authorize(desk.begin(browser), "<script>alert(1)</script>")
    text = shown(browser.get("/sign-in/callback", params=brought, headers=BROWSER), status=401, code="identity-refused")
    assert "have a catalog author propose" in text
    assert "&lt;script&gt;" in text
    assert "<script" not in text
    assert not any(value in text for value in brought.values() if len(value) > 8)


def test_an_issuer_that_says_no_or_is_away_is_a_page(desk: Desk) -> None:
    browser = desk.browser()
    state = httpx2.URL(desk.begin(browser)).params["state"]
    refused = browser.get(
        "/sign-in/callback", params={"error": "access_denied", "state": state, "iss": desk.issuer.url}, headers=BROWSER
    )
    assert "corp answered access_denied" in shown(refused, status=401, code="identity-refused")


def test_who_asks_for_no_page_gets_the_problem_as_ever(desk: Desk) -> None:
    answer = desk.browser().get("/sign-in/callback", params={"state": "x"})
    assert (answer.status_code, answer.json()["code"]) == (401, "identity-refused")


def test_a_sign_in_that_began_nowhere_leads_to_a_page_that_says_who_is_in_and_lets_him_out(desk: Desk) -> None:
    stranger = desk.browser().get("/", headers=BROWSER)
    assert "Sign in" in stranger.text
    assert "signed in as" not in stranger.text
    browser = desk.signed_in("alice")
    home = browser.get("/", headers=BROWSER)
    assert "You are signed in as alice" in home.text
    field = re.search(r'name="(\w+)" value="([0-9a-f]{64})"', home.text)
    assert field is not None
    stolen = browser.post("/sign-out", data={field[1]: field[2]}, headers={**BROWSER, "Sec-Fetch-Site": "cross-site"})
    shown(stolen, status=403, code="cross-site")
    gone = browser.post("/sign-out", data={field[1]: field[2]}, headers={**BROWSER, "Sec-Fetch-Site": "same-origin"})
    assert (gone.status_code, gone.headers["location"]) == (303, "/")
    assert "signed in as" not in browser.get("/", headers=BROWSER).text
    shown(
        browser.post("/sign-out", data={field[1]: field[2]}, headers={**BROWSER, "Sec-Fetch-Site": "same-origin"}),
        status=401,
        code="unauthenticated",
    )
