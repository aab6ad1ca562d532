"""What each kind of end means to a script, as a process tells it."""

from __future__ import annotations

import json

import pytest
from tests.cli.desk import Desk

ASK = ("request", "orders-db-read", "--for", "1m", "--reason", "r")


@pytest.mark.parametrize(
    ("who", "args", "code", "said"),
    [
        ("alice", ["me"], 0, ""),
        ("alice", ["ls"], 0, ""),
        ("alice", ["no-such-command"], 2, "No such command"),
        ("alice", ["request", "orders-db-read"], 2, "--for"),
        ("alice", ["request", "orders-db-read", "--for", "soon", "--reason", "r"], 2, "such as 45m"),
        ("alice", [*ASK, "--param", "table"], 2, "NAME=VALUE"),
        ("alice", [*ASK, "--param", "a=1", "--param", "a=2"], 2, "twice"),
        ("alice", [*ASK, "--wait=soon"], 2, "such as 45m"),
        ("alice", ["request", "no-such-thing", "--for", "1m", "--reason", "r"], 2, "(invalid)"),
        ("alice", ["request", "orders-db-read", "--for", "9d", "--reason", "r"], 2, "max_duration_s"),
        ("alice", [*ASK[:-1], "x" * 5000], 2, "reason"),
        ("alice", ["approve", "req_" + "a" * 16, "--digest", "ABC"], 2, "hexadecimal"),
        ("alice", ["approve", "req_" + "a" * 16, "--digest", "a" * 11], 2, "hexadecimal"),
        ("alice", ["stop", "planet", "--reason", "r"], 2, "planet"),
        ("olga", ["stop", "person", "--reason", "r"], 2, "say which person"),
        ("olga", ["stop", "all", "bob", "--reason", "r"], 2, "takes no id"),
        ("alice", ["draw", "env_" + "a" * 16], 2, "another kind; what is meant here begins with grt_"),
        ("bob", ["approve", "grt_" + "a" * 16], 2, "another kind; what is meant here begins with req_"),
        ("alice", ["show", ""], 2, "is ambiguous"),
        ("alice", ["show", "req_" + "a" * 5000], 5, "aaa…'"),
        ("frank", ["catalog", "diff", "prp_x"], 5, "begins with 'prp_x'"),
        ("bob", ["envelope", "show", "env_x"], 5, "begins with 'env_x'"),
        ("erin", ["acknowledge", "x", "--comment", "c"], 5, "begins with 'x'"),
        ("erin", ["campaign", "show", "x"], 5, "begins with 'x'"),
        ("alice", ["request", "orders-db-réad", "--for", "1m", "--reason", "r"], 2, "entitlement: must have the form"),
        ("alice", ["request", "orders-db-read", "--for", "1m", "--reason", ""], 2, "reason: must say something"),
        (None, ["me"], 4, "COUNTERSIGN_TOKEN"),
        ("cst_unknown", ["me"], 4, "unauthenticated"),
        ("two words", ["me"], 4, "no token has"),
        ("alice", ["show", "req_" + "a" * 16], 5, "(not-found)"),
        ("alice", ["show", "zzz"], 5, "begins with"),
        ("bob", [*ASK], 6, "(not-permitted)"),
        ("alice", ["request", "orders-db-nobody", "--for", "1m", "--reason", "r"], 6, "(not-eligible)"),
        ("alice", ["stop", "all", "--reason", "r"], 6, "operator"),
        ("alice", ["log"], 6, "auditor"),
    ],
)
def test_refusals_have_their_codes(shared_desk: Desk, who: str | None, args: list[str], code: int, said: str) -> None:
    ran = shared_desk.run(who, *args)
    assert (ran.code, said in ran.err) == (code, True), ran.err
    assert (ran.out == "") is bool(code)


@pytest.mark.parametrize(
    "args", [["no-such", "--json"], ["request", "--json"], ["request", "a", "--for", "x", "--json"]]
)
def test_a_wrong_command_line_is_told_like_every_other_failure(shared_desk: Desk, args: list[str]) -> None:
    for given in (args, args[:-1]):
        ran = shared_desk.run("alice", *given)
        assert (ran.code, ran.out) == (2, "")
        if given is args:
            told = json.loads(ran.err)["error"]
            assert (told["code"], told["exit_code"], told["next"].endswith("--help")) == ("usage", 2, True)
        else:
            assert (ran.err.startswith("countersign: "), "(usage)\n  next:" in ran.err) == (True, True)


def test_a_broker_that_is_not_there_is_seven_and_a_missing_address_is_usage(desk: Desk) -> None:
    away = desk.process("alice", "ls", COUNTERSIGN_URL="http://127.0.0.1:9")
    assert (away.code, away.out) == (7, "")
    assert away.err.startswith("countersign: the broker at http://127.0.0.1:9 cannot be reached (unreachable)\n  next:")
    assert desk.process("alice", "ls", COUNTERSIGN_URL="").code == 2


def test_signing_ones_own_request_is_forbidden_by_policy(desk: Desk) -> None:
    made = desk.asked()
    ran = desk.process("alice", "approve", made["id"], "--digest", made["digest"])
    assert (ran.code, "self-review" in ran.err, "rule:  a different person signs" in ran.err) == (6, True, True)


def test_a_wrong_digest_fails_and_a_second_review_counts_once(desk: Desk) -> None:
    made = desk.asked(what="orders-db-thrice")
    assert desk.run("bob", "approve", made["id"], "--digest", "0" * 64).code == 1
    assert desk.run("bob", "approve", made["id"], "--digest", "0" * 12).code == 1
    assert desk.run("bob", "approve", made["id"], "--digest", made["digest"]).code == 0
    again = desk.run("bob", "approve", made["id"], "--digest", made["digest"])
    assert (again.code, "already-reviewed" in again.err) == (1, True)


def test_what_is_over_is_five(desk: Desk) -> None:
    made = desk.asked()
    assert desk.run("alice", "withdraw", made["id"][:10]).code == 0
    late = desk.run("bob", "approve", made["id"], "--digest", made["digest"])
    assert (late.code, "wrong-state" in late.err) == (5, True)
    nothing = desk.run("alice", "draw", made["id"])
    assert (nothing.code, "no-grant" in nothing.err) == (5, True)
    grant = desk.granted()
    desk.world.clock.forward(hours=1)
    assert desk.run("alice", "draw", grant).code == 5
    assert desk.run("alice", "show", grant).code == 0


def test_drawing_too_early_is_pending_too_often_is_forbidden_and_for_others_is_not_theirs(desk: Desk) -> None:
    made = desk.asked()
    assert desk.run("alice", "draw", made["id"]).code == 8
    grant = desk.granted()
    assert desk.run("bob", "draw", grant).code == 6
    assert desk.run("alice", "draw", grant).code == 0
    assert "draws-exhausted" in desk.run("alice", "draw", grant).err
    assert desk.run("dave", "draw", grant).code == 5


def test_failures_are_one_line_of_json_on_stderr_where_json_was_asked_for(desk: Desk) -> None:
    ran = desk.run("alice", "show", "req_" + "a" * 16, "--json")
    told = json.loads(ran.err)["error"]
    assert (told["code"], told["exit_code"], ran.out) == ("not-found", 5, "")


def test_a_fault_of_the_program_is_told_without_its_values(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**options: object) -> None:
        assert options
        raise RuntimeError("cst_canary")

    monkeypatch.setattr("countersign.cli.commands.looking.ls.callback", fail)
    ran = desk.run("alice", "ls")
    assert (ran.code, ran.out) == (1, "")
    assert "RuntimeError" in ran.err
    assert "cst_canary" not in ran.err
    assert "Traceback" not in ran.err


def test_a_reader_who_leaves_early_is_no_fault(desk: Desk) -> None:
    process = desk.start("erin", "log", "--json")
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(timeout=20) in {0, 1}
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
