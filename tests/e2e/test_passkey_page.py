"""The passkey page in a real browser: a headless Chromium with a virtual authenticator, on http://localhost."""

from __future__ import annotations

import re
import shutil
import threading
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import Browser, CDPSession, Page, expect, sync_playwright
from tests.cli.desk import Desk, Ran, listening_desk
from tests.signers import SIGNED, Signers

from countersign.domain.passkey import Word, vouch_challenge
from countersign.embedded.authenticator import SoftwareAuthenticator
from countersign.embedded.processes import free_port

pytestmark = pytest.mark.e2e
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    assert found is not None, f"none of {', '.join(BROWSERS)} is on the PATH; on Debian: apt-get install chromium"
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def signers() -> Signers:
    return Signers()


@pytest.fixture
def desk(tmp_path: Path, signers: Signers) -> Iterator[Desk]:
    port = free_port()
    origin = f"http://localhost:{port}"
    for key in signers.keys.values():
        key.origin = origin
    with listening_desk(tmp_path, port, catalog=signers.catalog(origins=[origin])) as made:
        yield made


def vouched(desk: Desk, passkey_id: str, key: SoftwareAuthenticator) -> None:
    principal = desk.world.principal(key.person)
    waiting = desk.world.broker.passkeys.passkey(principal, passkey_id)
    assert waiting.digest is not None
    challenge = vouch_challenge(enrolment=waiting.digest, voucher=key.person)
    desk.world.broker.passkeys.vouch(principal, passkey_id, Word(person=key.person, assertion=key.sign(challenge)))


def device(page: Page) -> CDPSession:
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    session.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})
    return session


class Terminal:
    """A command that runs until its page was used, and the link that it printed."""

    def __init__(self, desk: Desk, who: str, *args: str) -> None:
        self.process = desk.start(who, *args)
        self.err = ""
        self.link = ""
        self._ready = threading.Event()
        self._reader = ThreadPoolExecutor(1).submit(self._read)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.err += line
            if "http://localhost" in line:
                self.link = line[line.index("http://localhost") :].strip()
                self._ready.set()

    def wait_link(self) -> str:
        assert self._ready.wait(20), self.err
        return self.link

    def finished(self) -> Ran:
        code = self.process.wait(timeout=20)
        assert self.process.stdout is not None
        self._reader.result(5)
        return Ran(code=code, out=self.process.stdout.read(), err=self.err)


def use(page: Page, link: str) -> str:
    page.goto(link)
    page.locator("#go").click()
    expect(page.locator("#said")).to_have_text(re.compile("^(Done|Nothing)"), timeout=15_000)
    return page.locator("#said").inner_text()


def test_a_key_is_made_vouched_for_and_signs_an_approval_from_the_terminal(
    browser: Browser, desk: Desk, signers: Signers
) -> None:
    page = browser.new_page()
    device(page)
    making = Terminal(desk, "bob", "passkey", "enrol", "--json")
    assert use(page, making.wait_link()).startswith("Done: psk_")
    made = making.finished()
    assert made.code == 0, made.err
    passkey = made.json()["id"]
    for voucher in ("carol", "frank"):
        vouched(desk, passkey, signers[voucher])

    asked = desk.asked(what=SIGNED)
    approving = Terminal(desk, "bob", "approve", asked["id"], "--json")
    page.goto(approving.wait_link())
    expect(page.locator("#fingerprint")).to_have_text(asked["fingerprint"])
    assert asked["id"] in page.locator("#lines").inner_text()
    page.locator("#go").click()
    expect(page.locator("#said")).to_have_text(re.compile("^Done"), timeout=15_000)
    approved = approving.finished()
    assert approved.code == 0, approved.err
    assert approved.json()["state"] == "approved"
    assert approved.json()["reviews"][0]["passkey"] == passkey
    assert desk.run("alice", "draw", approved.json()["grant_id"]).code == 0


def test_the_first_key_of_all_is_made_in_a_browser_and_printed_for_the_catalog(
    browser: Browser, tmp_path: Path, signers: Signers
) -> None:
    port = free_port()
    signing = {"rp_id": "localhost", "origins": [f"http://localhost:{port}"]}
    with listening_desk(tmp_path, port, catalog={**signers.catalog(), "trust": {"signing": signing}}) as desk:
        page = browser.new_page()
        device(page)
        making = Terminal(desk, "bob", "passkey", "enrol", "--vouches")
        assert use(page, making.wait_link()).startswith("Done: psk_")
        shown = page.locator("#fingerprint").inner_text()
        made = making.finished()
        assert f"read this to who vouches for it: {shown}" in made.out
        printed = desk.run("frank", "passkey", "first")
        assert shown in printed.out
        table = tomllib.loads(printed.out)["trust"]["passkey"][0]
        rulemaking, grown = desk.world.broker.rulemaking, {"signing": signing, "passkey": [table]}
        view = rulemaking.propose(
            desk.world.principal("frank"),
            catalog={**signers.catalog(), "trust": grown},
            directory=None,
            reason="the first key",
        )
        rulemaking.approve(desk.world.principal("grace"), view.proposal.id, digest=view.proposal.digest)
        asked = desk.asked(what=SIGNED)
        approving = Terminal(desk, "bob", "approve", asked["id"], "--json")
        assert use(page, approving.wait_link()).startswith("Done: req_")
        assert approving.finished().json()["state"] == "approved"


def test_a_link_is_good_once_and_leaves_no_secret_in_the_address(browser: Browser, desk: Desk) -> None:
    making = Terminal(desk, "bob", "passkey", "enrol")
    link = making.wait_link()
    first, second = browser.new_page(), browser.new_page()
    device(first)
    first.goto(link)
    first.wait_for_selector("#go:not([hidden])")
    assert "#" not in first.url
    second.goto(link)
    expect(second.locator("#said")).to_contain_text("used before")
    making.process.terminate()
    making.process.wait(10)


def test_nothing_that_somebody_injects_runs_or_frames_the_page(browser: Browser, desk: Desk) -> None:
    page = browser.new_page()
    page.goto(desk.url.replace("127.0.0.1", "localhost") + "/passkey/approve/new")
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\\'document.title = 1\\'>')")
    page.wait_for_timeout(300)
    assert page.title() == "Countersign: sign with a passkey"
    framing = browser.new_page()
    framing.set_content(f"<iframe src='{page.url}'></iframe>")
    framing.wait_for_timeout(500)
    assert not any(frame.url.startswith(page.url) and frame.locator("main").count() for frame in framing.frames[1:])
