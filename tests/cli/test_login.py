"""Signing in from the terminal through a browser, what is kept of it, and signing out."""

from __future__ import annotations

import json
import re
import stat
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from tests.api.signing import catalog, directory
from tests.cli.desk import Desk, Ran, listening_desk
from tests.issuer import LocalIssuer, serving, trusted

from countersign.cli.client import Client
from countersign.cli.failures import CommandFailed, Exit
from countersign.domain.session import ACCESS_LASTS


@dataclass(frozen=True, kw_only=True)
class Terminal:
    """A terminal of somebody with an empty home, at a broker and an issuer."""

    desk: Desk
    issuer: LocalIssuer
    home: Path

    def run(self, *args: str) -> Ran:
        return self.desk.run(None, *args, COUNTERSIGN_HOME=str(self.home))

    def begun(self, *more: str) -> tuple[subprocess.Popen[str], str]:
        """Begin to sign in; return the command, and the address that it printed."""
        command = self.desk.start(None, "login", "--no-browser", *more, COUNTERSIGN_HOME=str(self.home))
        assert command.stderr is not None
        assert command.stderr.readline() == "open this in a browser on this machine:\n"
        return command, command.stderr.readline().strip()

    def login(self, who: str = "alice") -> str:
        command, location = self.begun()
        come_back(location, self.issuer.authorize(location, f"sub-{who}"))
        out, err = command.communicate(timeout=20)
        assert command.returncode == 0, err
        return out

    def kept(self) -> dict[str, str]:
        (file,) = self.home.glob("*.json")
        return dict(json.loads(file.read_text()))

    def age(self, **changes: object) -> None:
        """Change what is kept."""
        (file,) = self.home.glob("*.json")
        file.write_text(json.dumps(self.kept() | changes))


def come_back(location: str, brought: dict[str, str]) -> httpx2.Response:
    where = dict(parse_qsl(urlsplit(location).query))["redirect_uri"]
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/callback", where)
    return httpx2.get(where, params=brought)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    with serving() as issuer, listening_desk(tmp_path, catalog=catalog(trusted(issuer)), directory=directory()) as desk:
        issuer.clock = desk.world.clock
        yield Terminal(desk=desk, issuer=issuer, home=tmp_path / "home")


def test_somebody_signs_in_works_and_signs_out(terminal: Terminal) -> None:
    assert terminal.login().startswith("signed in as alice, until ")
    assert terminal.run("me", "--json").json()["principal"] == "alice-corp"
    (listed,) = json.loads(terminal.run("sessions", "--json").out)
    assert (listed["kind"], listed["current"]) == ("cli", True)
    before = terminal.kept()
    assert terminal.run("logout").out == "signed out\n"
    assert list(terminal.home.glob("*.json")) == []
    assert terminal.run("me").code == 4
    assert terminal.desk.run(before["access_token"], "me").code == 4, (
        "the token is dead at the broker, not only forgotten"
    )


def test_signing_in_again_ends_the_session_that_was_kept_before(terminal: Terminal) -> None:
    terminal.login("alice")
    before = terminal.kept()["access_token"]
    terminal.login("bob")
    assert terminal.run("me", "--json").json()["person"] == "bob"
    assert terminal.desk.run(before, "me").code == 4


def test_what_is_kept_is_for_its_owner_s_eyes_and_refused_when_it_is_not(terminal: Terminal) -> None:
    terminal.login()
    (file,) = terminal.home.glob("*.json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(terminal.home.stat().st_mode) == 0o700
    file.chmod(0o644)
    ran = terminal.run("me")
    assert (ran.code, "open to others" in ran.err) == (4, True)


def test_no_secret_is_printed_or_stands_in_an_address(terminal: Terminal) -> None:
    command, location = terminal.begun("--json")
    come_back(location, terminal.issuer.authorize(location))
    out, err = command.communicate(timeout=20)
    kept = terminal.kept()
    for secret in (kept["access_token"], kept["refresh_token"], kept["device_key"]):
        assert secret not in out + err + location
    assert set(json.loads(out)) == {"person", "session", "ends_at"}


def test_the_session_is_renewed_by_itself_and_by_one_command_at_a_time(terminal: Terminal) -> None:
    terminal.login()
    first = terminal.kept()
    terminal.age(access_until=0)
    terminal.desk.world.clock.forward(seconds=ACCESS_LASTS.total_seconds())
    environment = terminal.desk.environment(None, COUNTERSIGN_HOME=str(terminal.home))
    started = [terminal.desk.start(None, "me", COUNTERSIGN_HOME=environment["COUNTERSIGN_HOME"]) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        codes = list(pool.map(lambda command: command.wait(timeout=30), started))
    for command in started:
        command.communicate()
    assert codes == [0, 0, 0]
    assert terminal.kept()["refresh_token"] != first["refresh_token"]
    assert terminal.desk.world.facts("session.refresh-reused") == []


def test_a_renewal_whose_answer_is_lost_is_no_theft(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal.login()
    terminal.age(access_until=0)
    honest = Client.post

    def lost(client: Client, path: str, *args: Any, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - as the client takes it
        honest(client, path, *args, **more)
        raise CommandFailed("the broker's answer was lost on the way", exit_code=Exit.AWAY, code="answer-lost")

    with monkeypatch.context() as patched:
        patched.setattr(Client, "post", lost)
        assert terminal.run("me").code == int(Exit.AWAY)
    assert terminal.run("me").code == 0
    assert terminal.kept()["next_refresh_token"] is None
    terminal.age(access_until=0)
    assert terminal.run("me").code == 0
    assert terminal.desk.world.facts("session.refresh-reused") == []


def test_a_copied_session_is_found_out_when_both_have_used_it(terminal: Terminal) -> None:
    terminal.login()
    copied = terminal.kept()
    terminal.age(access_until=0)
    assert terminal.run("me").code == 0
    terminal.age(**copied | {"access_until": 0})
    ran = terminal.run("me")
    assert (ran.code, "the session is over" in ran.err) == (4, True)
    assert len(terminal.desk.world.facts("session.refresh-reused")) == 1


def test_a_page_that_calls_the_port_with_another_state_changes_nothing(terminal: Terminal) -> None:
    command, location = terminal.begun()
    right = terminal.issuer.authorize(location)
    assert come_back(location, {"state": "another", "code": "stolen"}).status_code == 200
    assert come_back(location, {"code": "stolen"}).status_code == 404
    come_back(location, right)
    assert command.wait(timeout=20) == 0
    command.communicate()


def test_nobody_comes_back_and_the_issuer_says_no(terminal: Terminal) -> None:
    command, _ = terminal.begun("--within", "1")
    _, err = command.communicate(timeout=20)
    assert (command.returncode, "nobody signed in" in err) == (4, True)
    command, location = terminal.begun()
    state = dict(parse_qsl(urlsplit(location).query))["state"]
    come_back(location, {"state": state, "error": "access_denied", "iss": terminal.issuer.url})
    _, err = command.communicate(timeout=20)
    assert (command.returncode, "corp answered access_denied" in err) == (4, True)


def test_an_issuer_that_is_away_is_told_as_that(terminal: Terminal) -> None:
    terminal.issuer.lies = {"/.well-known/openid-configuration": (503, b"")}
    ran = terminal.run("login", "--no-browser")
    assert (ran.code, "identity-away" in ran.err) == (7, True)


def test_an_issuer_that_the_broker_does_not_know_is_a_question_of_usage(terminal: Terminal) -> None:
    ran = terminal.run("login", "--issuer", "evil")
    assert (ran.code, "the broker knows these issuers: corp" in ran.err) == (2, True)
