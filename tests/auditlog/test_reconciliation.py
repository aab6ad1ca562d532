"""The log against what others say: everything is matched, or it comes out with the side that says it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from countersign.auditlog.meaning.stories import LeaseStory
from countersign.auditlog.reconciliation import Demand, Extract, Kind, Replay, Seen, reconcile
from countersign.domain.timestamps import spell

NINE = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
LIVING, DEAD = "lse_aaaaaaaaaaaaaaaa", "lse_bbbbbbbbbbbbbbbb"


def at(minutes: float) -> datetime:
    return NINE + timedelta(minutes=minutes)


def lease(name: str, **more: Any) -> LeaseStory:  # noqa: ANN401 - fields of LeaseStory
    values: dict[str, Any] = {
        "provider": "vault",
        "target": "orders-db",
        "approvers": ("bob",),
        "prepared_at": spell(at(0)),
    }
    values |= {"id": name, "since": spell(at(0)), "not_after": spell(at(60))}
    return LeaseStory(**values | more)


LEASES = {
    LIVING: lease(LIVING),
    DEAD: lease(DEAD, asked_at=spell(at(5)), dead_at=spell(at(5)), cause="returned", not_after=spell(at(30))),
}
READ = Seen(kind=Kind.CREDENTIAL, what="read database/creds/orders-ro", lease=LIVING, at=at(0), mark="1")
BOTH = (READ, replace(READ, lease=DEAD, mark="2"))


def extract(*items: Seen, **more: Any) -> Extract:  # noqa: ANN401 - fields of Extract
    values: dict[str, Any] = {"source": "audit", "sha256": "0", "items": items, "until": at(10)}
    return Extract(**values | more)


def unmatched(*items: Seen, **more: Any) -> list[tuple[str, str | None]]:  # noqa: ANN401 - as above
    return [(each.side, each.lease) for each in reconcile(LEASES, [extract(*items, **more)])]


def test_what_both_sides_say_is_matched() -> None:
    assert unmatched(*BOTH, since=at(-10), provider="vault", demand=Demand.ISSUED) == []
    held = Seen(kind=Kind.HELD, what="login role", lease=LIVING)
    assert unmatched(held, target="orders-db", demand=Demand.LIVING) == []


@pytest.mark.parametrize(
    "item",
    [
        replace(READ, lease=None),
        replace(READ, lease="lse_zzzzzzzzzzzzzzzz"),
        replace(READ, mark="another read"),
        replace(READ, at=at(61)),
        replace(READ, at=at(-1)),
        Seen(kind=Kind.USE, what="login", lease=DEAD, at=at(6)),
        Seen(kind=Kind.HELD, what="login role", lease=DEAD),
        Seen(kind=Kind.FOREIGN, what="a statement"),
    ],
)
def test_what_the_log_does_not_explain_comes_out(item: Seen) -> None:
    assert ("outside", item.lease) in unmatched(*BOTH, item)


@pytest.mark.parametrize(
    "item",
    [
        replace(READ, lease=None, served=False),
        replace(READ, mark="a try that was refused", served=False),
        Seen(kind=Kind.USE, what="login (28P01)", lease=DEAD, at=at(6), served=False),
        Seen(kind=Kind.USE, what="login", lease=DEAD, at=at(5) + timedelta(seconds=1)),
        Seen(kind=Kind.TRACE, what="denied", lease=DEAD, at=at(600)),
    ],
)
def test_what_gave_no_access_or_lies_within_two_clocks_is_none(item: Seen) -> None:
    assert unmatched(*BOTH, item) == []


def test_what_the_log_says_was_made_must_be_on_record_where_it_was_made() -> None:
    asked: dict[str, Any] = {"since": at(-10), "provider": "vault", "demand": Demand.ISSUED}
    assert unmatched(READ, **asked) == [("log", DEAD)]
    assert unmatched(**asked | {"since": at(1)}) == []
    assert unmatched(**asked | {"until": at(-1)}) == []
    assert unmatched(**asked | {"provider": "aws"}) == []
    for cause in ("undelivered", "outcome-unknown", "failed"):
        lost = {DEAD: lease(DEAD, asked_at=spell(at(1)), cause=cause)}
        assert reconcile(lost, [extract(**asked)]) == []


def test_what_the_log_says_lives_must_stand_where_it_was_made() -> None:
    asked: dict[str, Any] = {"target": "orders-db", "demand": Demand.LIVING}
    assert unmatched(**asked) == [("log", LIVING)]
    assert unmatched(**asked | {"target": "other-db"}) == []
    assert unmatched(**asked | {"until": at(60)}) == []
    assert unmatched(**asked | {"until": at(0)}) == []


def test_a_fact_that_is_none_does_not_stop_the_replay() -> None:
    replay = Replay()
    replay.feed(0, {"type": "lease.prepared", "subject": LIVING, "at": spell(NINE), "actor": "alice", "data": {}})
    assert replay.leases() == {}
    assert replay.finish()
