"""Two brokers that write one role's list of ended leases: a lost write would revive a lease that was seen dead."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from tests.world import Clock

from countersign.bootstrap.providers import _turn
from countersign.domain.refusals import LogUnavailable
from countersign.providers.aws.clock import AwsClock
from countersign.providers.aws.ended_list import EndedList
from countersign.providers.aws.revoker import Revoker
from countersign.providers.aws.settings import RoleTarget
from countersign.store import Store

ARN = "arn:aws:iam::111122223333:role/countersign/reports"
TARGET = RoleTarget.of({"id": "reports", "settings": {"role_arn": ARN}}, default_region="us-east-1")
FIRST, SECOND = "lse_aaaaaaaaaaaaaaaa", "lse_bbbbbbbbbbbbbbbb"


def now() -> datetime:
    return datetime.now(UTC)


class Role:
    """A role's inline policy, whose first reader is held up between its reading and its writing."""

    def __init__(self) -> None:
        self.document: object = None
        self.read_once = threading.Event()
        self.other_has_written = threading.Event()
        self.lock = threading.Lock()

    def get_role_policy(self, **_: str) -> dict[str, Any]:
        with self.lock:
            first, seen = not self.read_once.is_set(), self.document
            self.read_once.set()
        if first:
            self.other_has_written.wait(timeout=0.7)
        return {"PolicyDocument": seen}

    def put_role_policy(self, *, PolicyDocument: str, **_: str) -> None:  # noqa: N803 -- IAM's own name
        with self.lock:
            self.document = json.loads(PolicyDocument)
        self.other_has_written.set()


def ended(turns: list[Callable[[str], AbstractContextManager[object]]]) -> set[str]:
    """Let two brokers end a lease each at the same moment; return which leases the role denies afterwards."""
    role = Role()
    brokers = [Revoker(role, AwsClock(now), turn) for turn in turns]
    until = now() + timedelta(hours=1)
    first = threading.Thread(target=lambda: brokers[0].deny(TARGET, FIRST, until))
    first.start()
    role.read_once.wait(timeout=5)
    brokers[1].deny(TARGET, SECOND, until)
    first.join(timeout=10)
    return {lease for leases in EndedList.read(role.document).entries.values() for lease in leases}


def test_brokers_of_one_database_take_turns_so_that_no_ended_lease_is_revived(fresh_database: str) -> None:
    stores = [Store(fresh_database, clock=Clock()) for _ in range(2)]
    assert ended([partial(_turn, store) for store in stores]) == {FIRST, SECOND}
    for store in stores:
        store.close()


def test_control_without_turns_one_of_the_two_is_lost() -> None:
    assert ended([nullcontext, nullcontext]) == {FIRST}


def test_a_turn_that_does_not_come_is_trouble_that_is_tried_again(fresh_database: str, monkeypatch: Any) -> None:  # noqa: ANN401 -- pytest's own
    monkeypatch.setattr("countersign.store.store.TURN_WITHIN_S", 1)
    one, other = (Store(fresh_database, clock=Clock()) for _ in range(2))
    with one.turn("role"):
        try:
            with other.turn("role"):
                raise AssertionError("two had the turn at once")
        except LogUnavailable:
            pass
        with other.turn("another role"):
            pass
    with other.turn("role"):
        pass
    one.close()
    other.close()
