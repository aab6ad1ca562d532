from __future__ import annotations

import pytest
from tests.cli.desk import Desk


def test_any_unique_prefix_names_a_thing_with_or_without_its_kind(desk: Desk) -> None:
    made = desk.asked()
    grant = desk.granted()
    for given in (made["id"], made["id"][:10], made["id"][4:12]):
        assert desk.run("alice", "show", given, "--json").json()["id"] == made["id"]
    assert desk.run("alice", "show", grant[4:14], "--json").json()["id"] == grant
    assert desk.run("alice", "show", "orders-db-th", "--json").json()["id"] == "orders-db-thrice"


def test_a_whole_name_goes_before_what_begins_with_it(desk: Desk) -> None:
    assert desk.run("alice", "show", "orders-db-read", "--json").json()["id"] == "orders-db-read"


@pytest.mark.parametrize("nothing", ["", "grt_"])
def test_the_only_grant_there_is_was_not_named_by_an_empty_word(desk: Desk, nothing: str) -> None:
    grant = desk.granted()
    for act in (["draw", nothing], ["return", nothing], ["revoke", nothing, "--reason", "r"]):
        ran = desk.run("alice", *act)
        assert (ran.code, "names nothing" in ran.err) == (2, True), ran.err
    assert "open" in desk.run("alice", "show", grant).out


def test_an_ambiguous_prefix_lists_what_it_could_mean(desk: Desk) -> None:
    first, second = desk.asked()["id"], desk.asked()["id"]
    ran = desk.run("alice", "withdraw", "req_")
    assert ran.code == 2
    assert first in ran.err
    assert second in ran.err
    assert {item["state"] for item in desk.run("alice", "ls", "--json").json()["items"]} == {"pending"}


def test_ids_of_strangers_are_not_found_by_guessing(desk: Desk) -> None:
    made = desk.asked("alice")
    assert desk.run("dave", "show", made["id"][:6]).code == 5
    assert desk.run("dave", "show", made["id"]).code == 5


def test_what_is_given_never_becomes_another_address(desk: Desk) -> None:
    for given in ("../me", "req_/../../me", "req_?limit=1", "..", "req_%2e%2e", "", "req_a#b"):
        assert desk.run("alice", "show", given).code in {2, 5}
        assert desk.run("alice", "revoke", given, "--reason", "r").code in {2, 5}
    assert desk.run("olga", "disable", "../stop", "--reason", "r").code in {2, 5}
    assert desk.run("olga", "disable", "..", "--reason", "r").code in {2, 5}


def test_a_lease_or_a_request_names_its_grant(desk: Desk) -> None:
    grant = desk.granted()
    lease = desk.run("alice", "draw", grant, "--json").json()["lease"]["id"]
    assert desk.run("alice", "return", lease[:12], "--json").json()["id"] == grant
