"""`countersign raised` and `acknowledge`: what the detectors found, and who looked at it."""

from __future__ import annotations

import pytest
from tests.cli.desk import Desk

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
