"""Campaigns at the command line, from the start to the removal."""

from __future__ import annotations

from tests.cli.desk import Desk


def test_a_campaign_from_its_start_to_a_removal(desk: Desk) -> None:
    made = desk.run("erin", "campaign", "start", "engineers", "--for", "14d", "--json").json()
    assert [item["person"] for item in made["memberships"]] == ["alice", "dave"]
    assert made["id"] in desk.run("bob", "campaign", "ls").out
    assert desk.run("alice", "campaign", "keep", made["id"], "alice", "engineers").code == 6
    assert "keep" in desk.run("bob", "campaign", "keep", made["id"], "dave", "engineers").out
    ran = desk.run("bob", "campaign", "remove", made["id"], "alice", "engineers")
    assert ran.code == 0, ran.err
    assert desk.run("alice", "request", "orders-db-read", "--for", "1m", "--reason", "x").code == 6
    shown = desk.run("erin", "campaign", "show", made["id"]).out
    assert [line.split()[1:3] for line in shown.splitlines()[-2:]] == [["alice", "remove"], ["dave", "keep"]]
    desk.world.issuing.checkpoints.sign()
    assert desk.run("erin", "verify").code == 0


def test_an_auditor_records_a_review(desk: Desk) -> None:
    grant, day = desk.granted(), ("--from", "2026-11-21", "--to", "2026-11-21")
    ran = desk.run("erin", "reviewed", *day, "--grant", grant, "--exceptions", "1", "--findings", "no ticket")
    assert ran.code == 0, ran.err
    assert "recorded, over a log of" in ran.out
    assert desk.run("erin", "reviewed", *day, "--exceptions", "1").code == 2
    assert desk.run("bob", "reviewed", *day, "--exceptions", "0").code == 6
