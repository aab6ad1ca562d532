"""Questions: each is answered from the facts, names the entries that prove it, and is a fact itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from tests.quick import quick_world
from tests.world import BEGINNING, CATALOG, DIRECTORY, World, entitlement

from countersign.domain.lease import Cause
from countersign.domain.refusals import NotFound, NotPermitted, SelfReview
from countersign.providers.fake import Fault
from countersign.service.inquiries import Held, Inquiries
from countersign.store import schema


@pytest.fixture
def quick() -> Iterator[World]:
    with quick_world() as world:
        yield world


def asking(world: World) -> Inquiries:
    return world.broker.inquiries


def minute(number: float) -> datetime:
    return BEGINNING + timedelta(minutes=number)


def lived(world: World) -> tuple[str, str]:
    """Let alice draw in minute 0 for one minute, and dave in minute 10 for ten; both are swept."""
    first = world.draw(world.granted()).lease.id
    world.clock.forward(seconds=61)
    world.sweep()
    world.clock.forward(seconds=539)
    second = world.draw(world.granted("dave", seconds=600), "dave").lease.id
    return first, second


def leases(found: list[Held]) -> list[str]:
    return [held.lease.id for held in found]


def test_who_had_an_entitlement_at_a_moment(quick: World) -> None:
    first, second = lived(quick)
    erin, ask = quick.principal("erin"), asking(quick)
    assert leases(ask.who_had(erin, "orders-db-read", at=minute(0))) == [first]
    assert leases(ask.who_had(erin, "orders-db-read", at=minute(-1))) == []
    assert leases(ask.who_had(erin, "orders-db-read", at=minute(5))) == []
    assert leases(ask.who_had(erin, "orders-db-read", at=minute(10.5))) == [second]
    assert leases(ask.who_had(erin, "orders-db-write", at=minute(10.5))) == []


def test_an_answer_says_who_signed_how_it_ended_and_which_entries_prove_it(quick: World) -> None:
    first, _ = lived(quick)
    [held] = asking(quick).who_had(quick.principal("erin"), "orders-db-read", at=minute(0.5))
    lease = held.lease
    assert (held.story.person, lease.approvers, lease.target, lease.cause) == (
        "alice",
        ("bob",),
        "orders-db",
        "expired",
    )
    assert (lease.evidence, lease.lateness_ms, lease.overdue) == ("observed", 1000, False)
    assert held.until == "2026-11-22T09:01:01.000Z"
    rows = {row["index"]: row for row in quick.facts()}
    told = [rows[index]["type"] for index in held.entries]
    # The grant is closed beside the end of its lease: which of the two is written first is no promise.
    told.remove("grant.closed")
    assert told == [
        "request.submitted",
        "review.recorded",
        "request.decided",
        "grant.opened",
        "lease.prepared",
        "lease.reserved",
        "lease.issued",
        "lease.end-asked",
        "lease.end-written",
        "lease.dead",
    ]
    assert {rows[index]["subject"] for index in held.entries} >= {first, held.story.request, held.story.grant}


def test_what_was_refused_by_the_provider_was_had_by_nobody_and_what_may_have_been_made_was(quick: World) -> None:
    erin = quick.principal("erin")
    for fault, cause in ((Fault.DECLINED, Cause.FAILED), (Fault.ANSWER_LOST, Cause.OUTCOME_UNKNOWN)):
        grant = quick.granted()
        quick.provider.faults["issue"] = fault
        with pytest.raises(Exception, match="provider"):
            quick.draw(grant)
        with quick.store.read() as tx:
            assert tx.leases(grant_id=grant)[0].cause is cause
        quick.broker.control.give_back(quick.principal("alice"), grant)
    [held] = asking(quick).had(erin, "alice")
    assert held.lease.cause == Cause.OUTCOME_UNKNOWN
    assert leases(asking(quick).who_had(erin, "orders-db-read", at=minute(0))) == [held.lease.id]


def test_everything_that_a_person_ever_had_and_nobody_elses(quick: World) -> None:
    first, second = lived(quick)
    erin = quick.principal("erin")
    assert leases(asking(quick).had(erin, "alice")) == [first]
    assert leases(asking(quick).had(erin, "dave")) == [second]
    assert asking(quick).had(erin, "bob") == []


def test_what_ended_late_and_what_is_overdue(quick: World) -> None:
    erin = quick.principal("erin")
    lived(quick)
    assert asking(quick).late(erin, over=timedelta(seconds=1)) == []
    assert [held.lease.lateness_ms for held in asking(quick).late(erin, over=timedelta(milliseconds=999))] == [1000]
    quick.clock.forward(seconds=660)
    quick.provider.faults["look"] = Fault.AWAY
    quick.sweep()
    [_, held] = asking(quick).late(erin, over=timedelta(milliseconds=999))
    assert (held.story.person, held.lease.overdue, held.until) == ("dave", True, None)


def grouped(**members: list[str]) -> dict[str, Any]:
    groups = [group | {"members": members.get(group["id"], group["members"])} for group in DIRECTORY["group"]]
    return DIRECTORY | {"group": groups}


def test_who_could_approve_on_a_day_by_the_rules_of_that_day(quick: World) -> None:
    owners = "orders-owners"
    quick.clock.forward(minutes=10)
    quick.adopt(directory=grouped(**{owners: ["carol"]}))
    quick.clock.forward(minutes=10)
    changed = entitlement("orders-db-read", max_duration_s=1800)
    quick.adopt(catalog=CATALOG | {"entitlement": [changed, *CATALOG["entitlement"][1:]]})
    quick.clock.forward(minutes=10)
    quick.adopt(directory=grouped(authors=["grace", "dave"], **{owners: ["carol", "frank"]}))
    quick.clock.forward(minutes=10)
    quick.broker.control.disable(quick.principal("olga"), "carol", reason="left")
    erin, ask = quick.principal("erin"), asking(quick)

    def signers(what: str, on: float) -> tuple[int, list[tuple[str, ...]], bool]:
        found = ask.who_could_approve(erin, what, on=minute(on))
        assert found.matches_log
        assert quick.facts()[found.entry]["type"] == "rulebook.adopted"
        return found.rulebook, [persons for _, _, persons in found.groups], found.enough

    assert signers("orders-db-read", 5) == (1, [("bob", "carol")], True)
    assert signers("orders-db-write", 5) == (1, [("bob", "carol"), ("carol",)], True)
    assert signers("orders-db-read", 15) == (2, [("carol",)], True)
    assert signers("orders-db-write", 15) == (2, [("carol",), ("carol",)], False)
    assert signers("orders-db-read", 35) == (4, [("carol",)], True)  # frank wrote its rule
    assert signers("orders-db-thrice", 35) == (4, [("carol", "frank")], True)
    assert signers("orders-db-read", 45) == (4, [()], False)  # carol is disabled
    assert signers("orders-db-thrice", 45) == (4, [("frank",)], True)
    with pytest.raises(NotFound):
        ask.who_could_approve(erin, "orders-db-read", on=minute(-1))
    with pytest.raises(NotFound):
        ask.who_could_approve(erin, "nothing", on=minute(5))


def test_rules_that_were_changed_in_the_database_change_no_answer(quick: World) -> None:
    with quick.store.begin() as tx:
        tx._connection.exec_driver_sql("DROP TRIGGER IF EXISTS rulebooks_UPDATE_refused")
        tx._connection.execute(sa.update(schema.rulebooks).values(directory=grouped(**{"orders-owners": ["dave"]})))
    found = asking(quick).who_could_approve(quick.principal("erin"), "orders-db-read", on=minute(0))
    assert found.matches_log
    assert found.groups == [("orders-owners", 1, ("bob", "carol"))]


def test_a_request_is_reconstructed_as_it_stood_and_from_facts_alone(quick: World) -> None:
    request = quick.ask(seconds=600)
    quick.clock.forward(minutes=1)
    quick.review(request)
    quick.clock.forward(minutes=1)
    with quick.store.read() as tx:
        grant = tx.grant_of_request(request.id)
    assert grant is not None
    lease = quick.draw(grant.id).lease
    quick.granted()
    erin, ask = quick.principal("erin"), asking(quick)
    early = ask.reconstruct(erin, request.id, at=minute(0.5))
    assert (early.story.state, early.story.grant, early.story.approvers) == ("pending", None, [])
    assert [fact["type"] for _, fact in early.facts] == ["request.submitted"]
    assert early.story.digest == request.digest
    approved = ask.reconstruct(erin, request.id, at=minute(1))
    assert (approved.story.state, approved.story.grant, approved.story.approvers) == ("approved", grant.id, ["bob"])
    drawn = ask.reconstruct(erin, request.id, at=minute(2))
    assert list(drawn.story.leases) == [lease.id]
    assert {fact["subject"] for _, fact in drawn.facts} == {request.id, grant.id, lease.id}
    assert all(quick.facts()[index]["subject"] == fact["subject"] for index, fact in drawn.facts)
    with pytest.raises(NotFound):
        ask.reconstruct(erin, request.id, at=minute(-1))


def test_findings_hold_what_the_log_tells_and_what_habits_show(quick: World) -> None:
    erin, request = quick.principal("erin"), quick.ask("alice")
    with pytest.raises(SelfReview):
        quick.review(request, "alice-laptop")
    quick.draw(quick.granted())
    quick.clock.forward(seconds=70)
    quick.provider.faults["look"] = Fault.AWAY
    quick.sweep()
    found = asking(quick).findings(erin)
    assert [(each.code, each.severity.value) for each in found] == [
        ("self-approval-attempt", "high"),
        ("overdue", "high"),
    ]
    assert quick.facts()[found[0].index]["type"] == "act.refused"


def test_each_question_is_a_fact_with_how_much_was_told(quick: World) -> None:
    lived(quick)
    erin, olga, ask = quick.principal("erin"), quick.principal("olga"), asking(quick)
    ask.who_had(erin, "orders-db-read", at=minute(0))
    ask.had(olga, "bob")
    ask.late(erin, over=timedelta(seconds=1))
    ask.who_could_approve(erin, "orders-db-read", on=minute(0))
    ask.findings(erin)
    asked = quick.facts("audit.asked")
    assert [(row["actor"], row["subject"]) for row in asked] == [
        ("erin", "orders-db-read"),
        ("olga", "bob"),
        ("erin", "log"),
        ("erin", "orders-db-read"),
        ("erin", "log"),
    ]
    assert b'"about":{"at":"2026-11-22T09:00:00.000Z"},"count":1' in asked[0]["leaf"]
    assert b'"about":{"over_ms":1000},"count":0' in asked[2]["leaf"]


@pytest.mark.parametrize("who", ["alice", "bob", "carol", "frank"])
def test_others_are_told_nothing(quick: World, who: str) -> None:
    principal, ask, before = quick.principal(who), asking(quick), len(quick.facts())
    for question in (
        lambda: ask.who_had(principal, "orders-db-read", at=minute(0)),
        lambda: ask.had(principal, who),
        lambda: ask.late(principal, over=timedelta(0)),
        lambda: ask.who_could_approve(principal, "orders-db-read", on=minute(0)),
        lambda: ask.reconstruct(principal, "req_aaaaaaaaaaaaaaaa", at=minute(0)),
        lambda: ask.findings(principal),
    ):
        with pytest.raises(NotPermitted):
            question()
    assert len(quick.facts()) == before
