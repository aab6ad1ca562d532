"""The walk of a deployment that has no keys yet: people make them, an author prints them, two authors bring them in."""

from __future__ import annotations

import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from tests.cli.desk import Desk, listening_desk
from tests.signers import ORIGIN, RP_ID, SIGNED, Signers

from countersign.cli.client import Client
from countersign.domain.passkey import Passkey, fingerprint

PEOPLE = ("bob", "carol")


@pytest.fixture
def catalog() -> dict[str, Any]:
    return {**Signers().catalog(), "trust": {"signing": {"rp_id": RP_ID, "origins": [ORIGIN]}}}


@pytest.fixture
def desk(tmp_path: Path, catalog: dict[str, Any]) -> Iterator[Desk]:
    with listening_desk(tmp_path, catalog=catalog) as made:
        yield made


def enrolled(desk: Desk, who: str, folder: Path, *more: str) -> str:
    ran = desk.run(who, "passkey", "enrol", *more, "--json", COUNTERSIGN_SOFTWARE_PASSKEY=str(folder / who))
    assert ran.code == 0, ran.err
    assert "whoever holds the file is the person" in ran.err
    assert stat.S_IMODE((folder / who).stat().st_mode) == 0o600
    return str(ran.json()["id"])


def in_force(desk: Desk, catalog: dict[str, Any], tables: list[dict[str, Any]]) -> None:
    rulemaking = desk.world.broker.rulemaking
    grown = {**catalog, "trust": {**catalog["trust"], "passkey": tables}}
    view = rulemaking.propose(desk.world.principal("frank"), catalog=grown, directory=None, reason="the first keys")
    rulemaking.approve(desk.world.principal("grace"), view.proposal.id, digest=view.proposal.digest)


def test_the_first_keys_are_made_printed_countersigned_and_sign(
    desk: Desk, catalog: dict[str, Any], tmp_path: Path
) -> None:
    made = {enrolled(desk, who, tmp_path, "--vouches"): who for who in PEOPLE}
    printed = desk.run("frank", "passkey", "first")
    assert printed.code == 0, printed.err
    tables = tomllib.loads(printed.out)["trust"]["passkey"]
    assert {each["person"] for each in tables} == set(PEOPLE)
    assert all(each["vouches"] for each in tables)
    for item in desk.run("frank", "passkey", "first", "--json").json()["items"]:
        assert made[item["id"]] == item["passkey"]["person"]
        assert f"made {item['said_at']}: {fingerprint(item['digest'])}" in printed.out
        assert tables[0].keys() == {"person", "credential_id", "public_key", "vouches"}
    in_force(desk, catalog, tables)
    assert "enrolled, vouches  by the genesis" in desk.run("alice", "passkey", "ls").out

    key = {"COUNTERSIGN_SOFTWARE_PASSKEY": str(tmp_path / "bob")}
    for _ in "12":  # a synced key does not count, and is no copy of itself
        asked = desk.asked(what=SIGNED)
        approved = desk.run("bob", "approve", asked["id"], "--json", **key)
        assert approved.code == 0, approved.err
        assert approved.json()["reviews"][0]["passkey"] in made
        assert desk.run("alice", "draw", approved.json()["grant_id"]).code == 0
    again = desk.run("frank", "passkey", "first")
    assert again.code != 0
    assert "there are first keys already" in again.err


def test_who_has_no_key_in_the_genesis_is_vouched_for_by_those_who_have(
    desk: Desk, catalog: dict[str, Any], tmp_path: Path
) -> None:
    keys = {who: enrolled(desk, who, tmp_path, "--vouches") for who in PEOPLE}
    one = desk.run("frank", "passkey", "first", keys["bob"])
    assert "nobody could enrol any other key" in one.err
    in_force(desk, catalog, tomllib.loads(desk.run("frank", "passkey", "first").out)["trust"]["passkey"])
    late = enrolled(desk, "grace", tmp_path)
    for who in PEOPLE:
        key = {"COUNTERSIGN_SOFTWARE_PASSKEY": str(tmp_path / who)}
        vouched = desk.run(who, "passkey", "vouch", late, "--json", **key)
        assert vouched.code == 0, vouched.err
    assert vouched.json() == {"id": late, "state": "enrolled"}


def test_a_key_that_is_not_what_its_person_made_is_not_printed(desk: Desk, tmp_path: Path) -> None:
    enrolled(desk, "bob", tmp_path)
    shown = desk.world.broker.passkeys.passkeys(desk.world.principal("frank"))[0]
    assert shown.digest is not None
    item = {
        "id": shown.passkey.id,
        "passkey": shown.passkey.document(),
        "state": "waiting",
        "said_at": shown.said_at,
        "digest": shown.digest,
        "fingerprint": fingerprint(shown.digest),
    }
    thief = Passkey(**{**vars_of(shown.passkey), "public_key": Signers()["bob"].passkey().public_key})
    lies: list[dict[str, Any]] = [
        {"passkey": thief.document()},
        {"said_at": "2026-11-22T00:00:00.000Z"},
        {"passkey": {}},
    ]
    for lie in lies:
        with mock.patch.object(Client, "get", return_value={"items": [item | lie]}):
            ran = desk.run("frank", "passkey", "first")
        assert ran.code != 0
        assert "[[trust.passkey]]" not in ran.out


def test_no_key_is_made_over_one_that_is_there_nor_signed_with_what_is_none(desk: Desk, tmp_path: Path) -> None:
    enrolled(desk, "bob", tmp_path)
    again = desk.run("bob", "passkey", "enrol", COUNTERSIGN_SOFTWARE_PASSKEY=str(tmp_path / "bob"))
    assert (again.code, "cannot be made" in again.err) == (2, True)
    (tmp_path / "none").write_text("{}")
    asked = desk.asked(what=SIGNED)
    for name in ("none", "nowhere"):
        ran = desk.run("bob", "approve", asked["id"], COUNTERSIGN_SOFTWARE_PASSKEY=str(tmp_path / name))
        assert ran.code == 2, ran.err


def vars_of(passkey: Passkey) -> dict[str, Any]:
    return {**passkey.document(), "origins": passkey.origins}
