"""`countersign followers`: the lag of whoever follows the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.cli.desk import Desk

from countersign.auditlog.leaf import Entry
from countersign.service.followers import Unfinished


@dataclass(frozen=True)
class Away:
    name: str = "siem"

    def handle(self, entries: Sequence[Entry]) -> None:
        assert entries
        raise Unfinished("the receiver is away", done=1)


def test_an_operator_sees_who_is_behind_and_why_and_the_exit_code_says_when_to_look(desk: Desk) -> None:
    desk.world.broker.followers.followers = [Away()]
    desk.world.broker.followers.follow_and_wait()
    ran = desk.run("olga", "followers")
    assert (ran.code, ran.err) == (0, "")
    assert "siem" in ran.out
    assert "the receiver is away" in ran.out
    desk.world.clock.forward(seconds=60)
    ran = desk.run("olga", "followers", "--json")
    assert ran.code == 1
    [found] = ran.json()["items"]
    assert (found["next"], found["failures"], found["alarming"]) == (1, 1, True)
    assert desk.run("alice", "followers").code == 6
