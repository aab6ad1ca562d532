"""The auditor's guide: each of its commands is run as it is printed there, against a broker that listens."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from tests.cli.desk import Desk
from tests.cli.test_verifying import key_of

from countersign.auditlog import meaning
from countersign.auditlog.meaning import detectors

GUIDE = (Path(__file__).parents[2] / "docs" / "audit.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", GUIDE, flags=re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines() if line.startswith("countersign ")]
HERE = [command for command in COMMANDS if "--witness-key" not in command]
"""Those that need nobody else; witnesses have tests of their own."""


def test_a_stranger_finishes_the_tasks_with_the_commands_as_printed(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    grant = desk.granted()
    desk.world.draw(grant)
    desk.world.clock.forward(seconds=61)
    desk.world.sweep()
    desk.world.issuing.checkpoints.sign()
    Path("log.vkey").write_text(key_of(desk), encoding="utf-8")
    request = desk.run("erin", "ls", "requests", "--json").json()["items"][0]["id"]
    said: dict[str, str] = {}
    for command in HERE:
        args = shlex.split(command.replace("REQUEST", request).replace("GRANT", grant))[1:]
        ran = desk.run("erin", *args, "--utc")
        assert ran.code == 0, (command, ran.err)
        said[args[0]] = said.get(args[0], "") + ran.out + (ran.err if args[0] == "done" else "")
    assert len(COMMANDS) == 19
    assert "no source is declared" in said["done"]
    assert said["verify"].count("the log verifies") == 3
    assert re.search(
        r"alice +orders-db-read +bob +2026-11-22 09:00:00 \+0000 .* expired observed +1000 ms +\d", said["who-had"]
    )
    assert said["had"] == said["who-had"]
    assert "grant.opened" in said["log"]
    assert re.search(r"state +approved\n.*approvers +bob\n", said["reconstruct"], flags=re.DOTALL)
    assert "lease.dead" in said["reconstruct"]
    assert re.search(r"orders-owners +1 +bob, carol", said["who-could-approve"])
    assert len(said["late"].splitlines()) == 1
    assert len(said["findings"].splitlines()) == 1


def test_questions_are_answered_as_json_too_and_a_moment_may_be_written_in_three_ways(desk: Desk) -> None:
    desk.world.draw(desk.granted())
    spoken = [
        desk.run("erin", "who-had", "orders-db-read", "--at", at, "--json")
        for at in ("2026-11-22T09:00:30Z", "2026-11-22T10:00:30+01:00", "2026-11-22")
    ]
    assert [ran.code for ran in spoken] == [0, 0, 0]
    assert len({ran.out for ran in spoken}) == 1
    [held] = spoken[0].json()["items"]
    assert (held["person"], held["approvers"], held["until"]) == ("alice", ["bob"], None)
    assert "alive, ends 2026-11-22 09:01:00 +0000" in desk.run("erin", "had", "alice").out
    assert desk.run("erin", "who-had", "orders-db-read", "--at", "yesterday").code == 2
    assert desk.run("bob", "had", "alice").code == 6


def test_findings_end_in_failure_only_when_the_log_contradicts_itself(desk: Desk) -> None:
    made = desk.asked("alice")
    assert desk.run("alice", "approve", made["id"], "--digest", made["digest"]).code == 6
    ran = desk.run("erin", "findings", "--json")
    assert ran.code == 0
    assert [(item["code"], item["severity"]) for item in ran.json()["items"]] == [("self-approval-attempt", "high")]
    desk.world.clock.forward(days=1)  # nobody sweeps: the request should have lapsed long ago
    desk.asked("alice")
    ran = desk.run("erin", "findings")
    assert ran.code == 1
    assert "request-still-open" in ran.out
    verified = desk.run("erin", "verify", "--json")
    assert (verified.code, [failure["code"] for failure in verified.json()["failures"]]) == (1, ["request-still-open"])
    assert desk.run("erin", "verify", "--json", "--bytes-only").json()["ok"]


def test_the_tables_of_codes_hold_every_code_that_there_is() -> None:
    assert meaning.__doc__ is not None
    assert detectors.__doc__ is not None
    listed = set(re.findall(r"`([a-z-]+)`", meaning.__doc__ + detectors.__doc__)) - {"broken"}
    used: set[str] = set()
    for source in Path(meaning.__path__[0]).glob("*.py"):
        body = source.read_text(encoding="utf-8").partition('"""\n\nfrom')[2]
        used |= set(re.findall(r"\.(?:broken|note|once)\(\s*[\w.]+,\s*\"([a-z-]+)\"", body))
        used |= set(re.findall(r"(?:code = |_unknown\(index, name, |else )\"([a-z-]+)\"", body))
    codes = {
        word
        for word in used
        if "-" in word or word in {"late", "lateness", "stopped", "disabled", "overdue", "anomaly"}
    }
    assert codes - listed == set()
    assert len(codes) > 55
