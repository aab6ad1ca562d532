"""`countersign raised` and `acknowledge`: what the detectors found, and who looked at it."""

from __future__ import annotations

import pytest
from tests.cli.desk import Desk
from tests.world import entitlement

from countersign.domain.refusals import SelfReview
from countersign.service.detecting import Detecting


def test_an_auditor_sees_what_was_raised_and_acknowledges_it(desk: Desk) -> None:
    desk.world.broker.followers.followers = [Detecting(store=desk.world.store)]
    with pytest.raises(SelfReview):
        desk.world.review(desk.world.ask("alice"), "alice")
    desk.world.broker.followers.follow_and_wait()
    ran = desk.run("erin", "raised", "--open")
    assert (ran.code, ran.err) == (0, "")
    assert "self-approval-attempt" in ran.out
    [found] = desk.run("erin", "raised", "--json").json()["items"]
    ran = desk.run("erin", "acknowledge", found["id"], "--comment", "asked alice")
    assert ran.code == 0, ran.err
    assert "acknowledged by erin" in ran.out
    assert desk.run("erin", "raised", "--open", "--json").json()["items"] == []
    assert desk.run("erin", "acknowledge", found["id"], "--comment", "again").code != 0


def test_an_auditor_asks_after_all_break_glass(desk: Desk) -> None:
    glass = {"review": [{"group": "orders-owners", "count": 1}], "max_duration_s": 600}
    catalog = {**desk.world.catalog, "entitlement": [entitlement("root", break_glass=glass)]}
    desk.world.adopt(catalog=catalog)
    made = desk.asked("alice", "--break-glass", "INC-7", what="root")
    assert desk.run("bob", "approve", made["id"], "--digest", made["digest"]).code == 0
    ran = desk.run("erin", "break-glass")
    assert (ran.code, ran.err) == (0, "")
    assert "INC-7" in ran.out
    assert "nobody" in ran.out
    assert desk.run("erin", "break-glass", "--json").json()["items"][0]["approvers"] == ["bob"]
