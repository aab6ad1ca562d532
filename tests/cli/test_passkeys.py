"""From the terminal to the passkey page and back: the link that is printed, and what comes of it, without a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.cli.desk import Desk, listening_desk
from tests.signers import SIGNED, Signers

from countersign.domain.passkey import unbase64url


@pytest.fixture(scope="module")
def signers() -> Signers:
    return Signers()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, signers: Signers) -> Iterator[Desk]:
    catalog: dict[str, Any] = signers.catalog()
    with listening_desk(Path(tmp_path_factory.mktemp("desk")), catalog=catalog) as made:
        yield made


def test_approving_prints_a_link_and_the_result_comes_back(desk: Desk, signers: Signers) -> None:
    asked = desk.asked(what=SIGNED)
    running = desk.start("bob", "approve", asked["id"], "--json")
    assert running.stderr is not None
    link = next(line.strip() for line in running.stderr if "http://localhost" in line)
    address, _, ticket = link[link.index("http://") :].partition("#")
    assert address.endswith(f"/passkey/approve/{asked['id']}")
    task = httpx2.post(f"{desk.url}/passkey-calls/open", json={"ticket": ticket}).json()
    assert task["fingerprint"] == asked["fingerprint"]
    signed = signers["bob"].sign(unbase64url(task["challenge"])).document()
    done = httpx2.post(f"{desk.url}/passkey-calls/finish", json={"secret": task["secret"]} | signed)
    assert done.json()["state"] == "approved"
    out, _ = running.communicate(timeout=20)
    assert running.returncode == 0
    assert '"approved"' in out


def test_another_digest_than_the_one_shown_asks_for_no_page(desk: Desk) -> None:
    asked = desk.asked(what=SIGNED)
    ran = desk.run("bob", "approve", asked["id"], "--digest", "0" * 64)
    assert ran.code != 0
    assert "is not the digest of" in ran.err


def test_keys_are_listed_with_their_persons(desk: Desk) -> None:
    ran = desk.run("alice", "passkey", "ls")
    assert ran.code == 0, ran.err
    assert "bob  enrolled, vouches  by the genesis" in ran.out


def test_a_lock_names_one_thing_and_takes_two_to_lift(desk: Desk) -> None:
    until = ("--until", "2026-11-22T10:00:00.000Z", "--reason", "what is he doing", "--json")
    assert desk.run("olga", "lock", *until).code == 2
    placed = desk.run("olga", "lock", "--person", "dave", *until)
    assert placed.code == 0, placed.err
    stop = placed.json()["stop"]["id"]
    assert "once another person says so" in desk.run("olga", "lift", stop).out
    assert f"{stop} is lifted" in desk.run("oscar", "lift", stop).out
