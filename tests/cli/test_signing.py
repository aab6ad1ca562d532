from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from tests.cli.desk import Desk

from countersign.cli.failures import CommandFailed
from countersign.cli.statement import demand_true


def test_a_request_as_the_broker_shows_it_is_what_its_digest_binds(desk: Desk) -> None:
    demand_true(desk.asked("alice", "--ticket", "OPS-1"))
    demand_true(desk.asked("alice"))


@pytest.fixture(scope="module")
def told(shared_desk: Desk) -> dict[str, Any]:
    """What the broker says of a request."""
    return shared_desk.asked("alice", "--param", "table=orders", "--ticket", "OPS-1", what="orders-db-write")


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda r: r.update(person="dave"), "person"),
        (lambda r: r.update(entitlement="orders-db-read"), "entitlement"),
        (lambda r: r.update(duration_s=61), "duration_s"),
        (lambda r: r.update(parameters={"table": "items"}), "parameters"),
        (lambda r: r.update(reason="something harmless"), "reason"),
        (lambda r: r.update(ticket="OPS-2"), "ticket"),
        (lambda r: r.pop("ticket"), "ticket"),
        (lambda r: r["openings"].pop("reason"), "reason"),
        (lambda r: r["openings"]["reason"].update(salt="00"), "reason"),
        (lambda r: r["openings"]["reason"].update(salt="zz"), "reason"),
        (lambda r: r.update(counters="req_aaaaaaaaaaaaaaaa"), "take up"),
        (lambda r: r.update(digest="0" * 64), "digest"),
        (lambda r: r["statement"].update(duration_s=61), "digest"),
        (lambda r: r["statement"].update(duration_s=1.5), "canonical"),
        (lambda r: r.pop("statement"), "statement"),
    ],
)
def test_nobody_signs_what_he_was_not_shown(told: dict[str, Any], change: Change, named: str) -> None:
    made = copy.deepcopy(told)
    change(made)
    with pytest.raises(CommandFailed, match=named) as refusal:
        demand_true(made)
    assert refusal.value.code == "shown-is-not-bound"


def test_who_would_sign_less_says_so_and_it_is_asked_in_one_step(desk: Desk) -> None:
    made = desk.asked()
    ran = desk.run("bob", "deny", made["id"], "--digest", made["digest"], "--counter", "30s")
    assert (ran.code, "denied" in ran.out) == (0, True)
    shown = desk.run("alice", "show", made["id"])
    assert "30s (says bob)" in shown.out
    assert f"countersign resubmit {made['id']}" in shown.err
    again = desk.run("alice", "resubmit", made["id"], "--json").json()
    assert (again["state"], again["duration_s"], again["counters"]) == ("pending", 30, made["id"])
    demand_true(again)
    assert f"taken up by {again['id']}" in desk.run("alice", "show", made["id"]).out
    assert desk.run("bob", "deny", again["id"], "--digest", again["digest"], "--counter-param", "x").code == 2


def test_why_says_who_counts_and_what_would_have_to_change(desk: Desk) -> None:
    made = desk.asked()
    ran = desk.run("alice", "why", made["id"])
    assert ran.code == 0
    assert "1 more of orders-owners to sign: bob, carol" in ran.out
    assert desk.run("erin", "why", "orders-db-read", "--person", "alice", "--json").json()["could_sign"] == [
        "bob",
        "carol",
    ]
    assert desk.run("alice", "why", made["id"], "--person", "bob").code == 2
    assert desk.run("dave", "why", made["id"]).code != 0


def test_denying_says_no_for_good(desk: Desk) -> None:
    made = desk.asked()
    ran = desk.run(
        "bob", "deny", made["id"], "--digest", made["digest"], "--comment", "not during the freeze", "--json"
    )
    assert (ran.code, ran.json()["state"]) == (0, "denied")
    assert "not during the freeze" in desk.run("alice", "show", made["id"]).out


def test_without_a_digest_nothing_is_signed(desk: Desk) -> None:
    made = desk.asked()
    for command in ("approve", "deny"):
        ran = desk.run("bob", command, made["id"], "--json")
        assert (ran.code, ran.json()["digest"]) == (2, made["digest"])
    assert desk.run("alice", "show", made["id"], "--json").json()["state"] == "pending"
