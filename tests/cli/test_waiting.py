from __future__ import annotations

import os
import pty
import signal
import subprocess
import threading
import time

import pytest
from tests.cli.desk import PROGRAM, Desk, Ran

ASK = ("request", "orders-db-write", "--for", "1m", "--param", "table=orders", "--reason", "r", "--wait")


def pending(desk: Desk) -> dict[str, str]:
    """Return the one request, once it stands."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        items = desk.run("alice", "ls", "--json").json()["items"]
        if items:
            return dict(items[0])
        time.sleep(0.02)
    raise AssertionError("nothing was asked")


def ended(process: subprocess.Popen[str]) -> Ran:
    out, err = process.communicate(timeout=20)
    return Ran(code=process.returncode, out=out, err=err)


def test_waiting_ends_with_the_grant(desk: Desk) -> None:
    waiting = desk.start("alice", *ASK, "--json")
    made = pending(desk)
    for who in ("bob", "carol"):
        assert desk.run(who, "approve", made["id"], "--digest", made["digest"]).code == 0
    ran = ended(waiting)
    assert (ran.code, ran.json()["state"]) == (0, "approved")
    assert ran.json()["grant_id"].startswith("grt_")


def test_waiting_says_for_whom_and_a_line_for_each_change(desk: Desk) -> None:
    waiting = desk.start("alice", *ASK)
    made = pending(desk)
    assert waiting.stderr is not None
    assert made["id"] in waiting.stderr.readline()
    assert waiting.stderr.readline().startswith("waiting for 2 of 2 approvers (bob, carol) · lapses at ")
    assert desk.run("bob", "approve", made["id"], "--digest", made["digest"]).code == 0
    assert waiting.stderr.readline().startswith("waiting for 1 of 2 approvers (carol) · ")
    assert desk.run("carol", "deny", made["id"], "--digest", made["digest"]).code == 0
    ran = ended(waiting)
    assert (ran.code, "was denied" in ran.err, ran.out) == (3, True, "")


def test_an_interruption_keeps_the_request_and_says_how_to_go_on(desk: Desk) -> None:
    waiting = desk.start("alice", *ASK)
    made = pending(desk)
    assert waiting.stderr is not None
    waiting.stderr.readline()
    waiting.stderr.readline()
    os.kill(waiting.pid, signal.SIGINT)
    ran = ended(waiting)
    assert ran.code == 130
    assert f"countersign show {made['id']}" in ran.err
    assert "Traceback" not in ran.err
    assert pending(desk)["state"] == "pending"


def test_waiting_gives_up_when_its_time_is_over(desk: Desk) -> None:
    began = time.monotonic()
    ran = desk.run("alice", *ASK[:-1], "--wait=1s")
    assert (ran.code, "still pending" in ran.err) == (8, True)
    assert 1 <= time.monotonic() - began < 5


@pytest.mark.parametrize("end", ["withdraw", "stop"])
def test_what_ends_otherwise_is_over(desk: Desk, end: str) -> None:
    waiting = desk.start("alice", *ASK)
    made = pending(desk)
    if end == "withdraw":
        desk.run("alice", "withdraw", made["id"])
    else:
        desk.run("olga", "stop", "all", "--reason", "r")
    ran = ended(waiting)
    assert (ran.code, "was withdrawn" in ran.err) == (5, True)


def test_a_bare_wait_does_not_swallow_what_follows_it(desk: Desk) -> None:
    approved = threading.Thread(target=approve_when_asked, args=(desk,))
    approved.start()
    ran = desk.process("alice", "request", "--wait", "orders-db-read", "--for", "1m", "--reason", "r", "--json")
    approved.join(timeout=20)
    assert (ran.code, ran.json()["entitlement"]) == (0, "orders-db-read")
    ran = desk.process("alice", "request", "--wait=1s", "orders-db-read", "--for", "1m", "--reason", "r")
    assert ran.code == 8


def approve_when_asked(desk: Desk) -> None:
    made = pending(desk)
    desk.run("bob", "approve", made["id"], "--digest", made["digest"])


def test_a_persons_terminal_gets_a_spinner_and_stdout_stays_data(desk: Desk) -> None:
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(
            [*PROGRAM, *ASK[:-1], "--wait=1s"],
            env=desk.environment("alice", TERM="xterm", COLUMNS="200"),
            stdout=subprocess.PIPE,
            stderr=theirs,
            timeout=30,
            check=False,
        )
        shown = os.read(ours, 1 << 20).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert (done.returncode, done.stdout) == (8, b"")
    assert "waiting for 2 of 2 approvers (bob, carol)" in shown
    assert "\x1b[?25h" in shown, "the cursor is given back"


def test_show_says_what_comes_next_as_things_stand(desk: Desk) -> None:
    made = desk.asked()
    assert "--digest" in desk.run("alice", "show", made["id"]).err
    grant = desk.granted("orders-db-thrice")
    assert f"countersign draw {grant}" in desk.run("alice", "show", grant).err
    assert desk.run("alice", "return", grant).code == 0
    assert "draw" not in desk.run("alice", "show", grant).err
