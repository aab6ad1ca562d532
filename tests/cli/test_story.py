"""From request to return and evidence, each command a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.desk import Desk

pytestmark = pytest.mark.slow


def test_the_whole_way_works_from_a_shell(desk: Desk) -> None:
    asked = desk.process(
        "alice", "request", "orders-db-write", "--for", "PT1M", "--param", "table=orders", "--reason", "invoice 4711",
        "--ticket", "OPS-7", "--json",
    )  # fmt: skip
    assert (asked.code, asked.json()["state"], asked.json()["duration_s"]) == (0, "pending", 60)
    request, digest = asked.json()["id"], asked.json()["digest"]

    shown = desk.process("bob", "approve", request)
    assert shown.code == 2
    for text in ("invoice 4711", "OPS-7", "table=orders", "alice", "bob, carol", digest):
        assert text in shown.out
    assert f"countersign approve {request} --digest {digest}" in shown.err

    assert desk.process("bob", "approve", request[:12], "--digest", digest[:12]).code == 0
    second = desk.process("carol", "approve", request, "--digest", digest, "--json")
    grant = second.json()["grant_id"]

    drawn = desk.process("alice", "draw", grant[:9])
    assert drawn.code == 0
    assert f"export COUNTERSIGN_GRANT={grant}" in drawn.out.splitlines()
    assert "PGPASSWORD" in drawn.out
    assert "PGPASSWORD" not in drawn.err

    returned = desk.process("alice", "return", grant, "--json")
    assert returned.json()["state"] == "returned"
    assert desk.world.sweep() == 1
    lease = returned.json()["leases"][0]["id"]
    assert desk.process("alice", "show", lease, "--json").json()["state"] == "revoked"

    log = desk.process("erin", "log", "--json").json()["items"]
    assert {"request.submitted", "grant.opened", "lease.issued", "lease.dead"} & {item["type"] for item in log}
    desk.world.issuing.checkpoints.sign()
    key = desk.world.issuing.checkpoints.signer.verifier().vkey()
    assert desk.process("erin", "verify", "--key", key, "--json").json()["ok"] is True


def test_asking_says_what_comes_next_on_stderr_and_nothing_of_it_on_stdout(desk: Desk) -> None:
    ran = desk.run("alice", "request", "orders-db-read", "--for", "1m", "--reason", "r")
    assert "hint:" in ran.err
    assert "hint" not in ran.out
    quiet = desk.run("alice", "request", "orders-db-read", "--for", "1m", "--reason", "r", "-q")
    assert (quiet.code, quiet.err) == (0, "")


def test_lists_can_be_cut_and_say_so(desk: Desk) -> None:
    for _ in range(3):
        desk.asked()
    ran = desk.run("alice", "ls", "--limit", "2")
    assert len(ran.out.splitlines()) == 3
    assert "more than 2" in ran.err
    listed = desk.run("alice", "ls", "requests", "--limit", "2", "--json").json()
    assert listed["next"] == listed["items"][-1]["id"]
    assert desk.run("alice", "ls", "--json").json()["next"] is None


def test_the_log_is_read_on_from_where_it_was_left(desk: Desk) -> None:
    first = desk.run("erin", "log", "--limit", "3", "--json").json()
    assert [item["index"] for item in first["items"]] == [0, 1, 2]
    second = desk.run("erin", "log", "--limit", "2", "--after", str(first["next"]), "--json").json()
    assert [item["index"] for item in second["items"]] == [3, 4]
    assert desk.run("erin", "log", "--json").json()["next"] is None


def test_stopping_lifting_disabling_and_a_new_token(desk: Desk, tmp_path: Path) -> None:
    grant = desk.granted()
    stopped = desk.run("olga", "stop", "person", "alice", "--reason", "laptop lost", "--json")
    assert stopped.json()["grants_revoked"] == 1
    assert desk.run("alice", "show", grant, "--json").json()["state"] == "revoked"
    assert desk.run("olga", "lift", stopped.json()["stop"]["id"]).code == 6
    assert desk.run("oscar", "lift", stopped.json()["stop"]["id"][:8]).code == 0
    kept = tmp_path / "token"
    kept.write_text(desk.tokens["alice"] + "\n")
    kept.chmod(0o600)
    ran = desk.run(None, "token", "rotate", "--write", COUNTERSIGN_TOKEN_FILE=str(kept))
    assert (ran.code, ran.out) == (0, "")
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.read_text().strip() != desk.tokens["alice"]
    assert kept.read_text().strip() not in ran.err
    assert desk.run("alice", "me").code == 4
    assert desk.run(None, "me", COUNTERSIGN_TOKEN_FILE=str(kept)).code == 0
    assert desk.run("olga", "disable", "alice", "--reason", "left").code == 0
    assert desk.run(None, "me", COUNTERSIGN_TOKEN_FILE=str(kept)).code == 4


def test_a_token_that_could_not_be_kept_is_not_made(desk: Desk, tmp_path: Path) -> None:
    missing = desk.run("alice", "token", "rotate", "--write", COUNTERSIGN_TOKEN_FILE=str(tmp_path / "none"))
    assert missing.code == 2
    assert desk.run("alice", "me").code == 0
