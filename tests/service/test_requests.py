"""Asking and signing: who may, what is refused with which code, and that every decision is a fact."""

from __future__ import annotations

import threading

import pytest
from tests.world import CATALOG, DIRECTORY, World, entitlement

from countersign.domain.refusals import (
    AlreadyReviewed,
    Invalid,
    KeyReused,
    Limit,
    NobodyCanApprove,
    NotEligible,
    NotFound,
    NotPermitted,
    NotYours,
    Refused,
    RuleChanged,
    SelfReview,
    WindowOver,
    WrongDigest,
    WrongState,
)
from countersign.domain.request import RequestState


def test_a_request_is_kept_as_it_was_asked_and_is_a_fact_without_its_free_text(world: World) -> None:
    request = world.ask(reason="invoice 4711 is stuck", ticket="OPS-1")
    assert request.state is RequestState.PENDING
    with world.store.read() as tx:
        assert tx.request(request.id) == request
        assert tx.stored_digest(request.id) == request.digest
    [row] = world.facts("request.submitted")
    assert b"4711" not in row["leaf"]
    assert row["openings"]["reason"]["text"] == "invoice 4711 is stuck"
    assert row["subject"] == request.id


def test_nobody_reviews_his_own_request_by_whatever_account(world: World) -> None:
    request = world.ask("alice")
    for account in ("alice", "alice-laptop"):
        with pytest.raises(SelfReview):
            world.review(request, account)
    refusals = world.facts("act.refused")
    assert [row["actor"] for row in refusals] == ["alice", "alice"]


@pytest.mark.parametrize("who", ["olga", "erin"])
def test_no_role_stands_in_for_an_approver(world: World, who: str) -> None:
    request = world.ask()
    with pytest.raises(NotEligible):
        world.review(request, who)


def test_a_bot_of_an_approver_does_not_sign(world: World) -> None:
    with pytest.raises(NotEligible, match="not a human"):
        world.review(world.ask(), "bob-bot")


def test_a_stranger_is_told_that_there_is_no_such_request(world: World) -> None:
    request = world.ask("alice")
    with pytest.raises(NotFound):
        world.review(request, "dave")
    with pytest.raises(NotFound):
        world.broker.requests.withdraw(world.principal("dave"), request.id)


def test_the_digest_that_was_shown_is_the_one_that_is_signed(world: World) -> None:
    request = world.ask()
    with pytest.raises(WrongDigest):
        world.review(request, "bob", digest="0" * 64)
    assert world.review(request, "bob").state is RequestState.APPROVED


def test_a_second_approval_by_one_person_counts_once(world: World) -> None:
    request = world.ask(what="orders-db-write", parameters={"table": "orders"})
    assert world.review(request, "carol").state is RequestState.PENDING
    with pytest.raises(AlreadyReviewed):
        world.review(request, "carol")
    assert world.review(request, "bob").state is RequestState.APPROVED


def test_one_person_in_both_groups_does_not_fill_both_factors(world: World) -> None:
    request = world.ask(what="orders-db-write", parameters={"table": "orders"})
    world.review(request, "carol")
    view = world.broker.questions.request(world.principal("alice"), request.id)
    assert view.quorum is not None
    assert sum(factor.have for factor in view.quorum.factors) == 1
    assert not view.quorum.reached


def test_one_deny_ends_it(world: World) -> None:
    request = world.ask()
    assert world.review(request, "bob", deny=True).state is RequestState.DENIED
    with pytest.raises(WrongState):
        world.review(request, "carol")
    assert not world.facts("grant.opened")


def test_a_withdrawn_request_cannot_be_approved_and_only_its_requester_withdraws(world: World) -> None:
    request = world.ask()
    with pytest.raises(NotYours):
        world.broker.requests.withdraw(world.principal("bob"), request.id)
    world.broker.requests.withdraw(world.principal("alice"), request.id)
    with pytest.raises(WrongState):
        world.review(request)


def test_a_request_nobody_reviewed_in_time_lapses(world: World) -> None:
    request = world.ask()
    world.clock.forward(seconds=600)
    with pytest.raises(WindowOver):
        world.review(request)
    world.sweep()
    with world.store.read() as tx:
        assert tx.request(request.id).state is RequestState.LAPSED  # type: ignore[union-attr] # it exists


def test_a_changed_rule_voids_what_was_pinned_and_an_edit_elsewhere_does_not(world: World) -> None:
    request = world.ask()
    other = {**CATALOG, "entitlement": [*CATALOG["entitlement"], entitlement("another")]}
    world.adopt(catalog=other)
    longer = [e | {"max_duration_s": 7200} if e["id"] == "orders-db-read" else e for e in other["entitlement"]]
    world.adopt(catalog={**other, "entitlement": longer})
    with pytest.raises(RuleChanged):
        world.review(request)


def test_an_edit_of_another_entitlement_voids_nothing(world: World) -> None:
    request = world.ask()
    world.adopt(catalog={**CATALOG, "entitlement": [*CATALOG["entitlement"], entitlement("another")]})
    assert world.review(request).state is RequestState.APPROVED


@pytest.mark.parametrize(
    ("what", "field"),
    [
        ({"what": "no-such"}, "entitlement"),
        ({"seconds": 0}, "duration_s"),
        ({"seconds": -5}, "duration_s"),
        ({"seconds": 9}, "duration_s"),
        ({"seconds": 3601}, "duration_s"),
        ({"seconds": 2**70}, "duration_s"),
        ({"reason": "   "}, "reason"),
        ({"reason": "x" * 2001}, "reason"),
        ({"reason": "left\u202eright"}, "reason"),
        ({"reason": "bell\x07"}, "reason"),
        ({"ticket": ""}, "ticket"),
        ({"parameters": {"table": "orders"}}, "parameters.table"),
        ({"what": "orders-db-write"}, "parameters.table"),
        ({"what": "orders-db-write", "parameters": {"table": "users"}}, "parameters.table"),
        ({"what": "orders-db-write", "parameters": {"table": 5}}, "parameters.table"),
    ],
)
def test_bad_input_names_its_field_and_leaves_nothing(world: World, what: dict[str, object], field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        world.ask(**what)  # type: ignore[arg-type] # bad on purpose
    assert refusal.value.field == field
    assert not world.facts("request.submitted")


def test_who_may_not_request_is_refused(world: World) -> None:
    with pytest.raises(NotPermitted):
        world.ask("bob")
    with pytest.raises(NotEligible):
        world.ask("alice", "orders-db-nobody")


def test_a_request_that_nobody_could_approve_is_refused_at_submission(world: World) -> None:
    groups = [g | {"members": []} if g["id"] == "security" else g for g in DIRECTORY["group"]]
    world.adopt(directory={**DIRECTORY, "group": groups})
    with pytest.raises(NobodyCanApprove):
        world.ask(what="orders-db-write", parameters={"table": "orders"})


def test_caps_bound_pending_requests_open_grants_and_time_per_day(world: World) -> None:
    for _ in range(5):
        world.ask()
    with pytest.raises(Limit, match="waiting for review"):
        world.ask()
    for _ in range(3):
        world.granted("dave")
    with pytest.raises(Limit, match="open grants"):
        world.ask("dave")


def test_splitting_one_long_access_into_many_meets_the_cap_per_day(world: World) -> None:
    capped = entitlement("orders-db-read", caps={"seconds_per_person_day": 100})
    world.adopt(catalog={**CATALOG, "entitlement": [capped]})
    first = world.ask(seconds=60)
    with pytest.raises(Limit, match="within a day"):
        world.ask(seconds=60)
    world.review(first, deny=True)
    world.ask(seconds=60)


def test_a_repeated_submission_under_one_key_is_one_request(world: World) -> None:
    first = world.ask(key="k1")
    assert world.ask(key="k1") == first
    with pytest.raises(KeyReused):
        world.ask(key="k1", seconds=61)
    assert len(world.facts("request.submitted")) == 1


def test_two_approvers_at_once_make_one_grant(world: World) -> None:
    request = world.ask(what="orders-db-write", parameters={"table": "orders"})
    trouble: list[str] = []
    together = threading.Barrier(2)

    def sign(who: str) -> None:
        together.wait()
        try:
            world.review(request, who)
        except Refused as refusal:
            trouble.append(refusal.code)

    threads = [threading.Thread(target=sign, args=(who,)) for who in ("bob", "carol")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert trouble == []
    assert len(world.facts("grant.opened")) == 1


def test_approve_against_deny_has_one_outcome_and_both_are_recorded_or_refused(world: World) -> None:
    request = world.ask()
    codes: list[str] = []
    together = threading.Barrier(2)

    def sign(who: str, deny: bool) -> None:  # noqa: FBT001 - a thread's argument
        together.wait()
        try:
            codes.append(world.review(request, who, deny=deny).state)
        except Refused as refusal:
            codes.append(refusal.code)

    threads = [threading.Thread(target=sign, args=args) for args in (("bob", False), ("carol", True))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) in (["approved", "wrong-state"], ["denied", "wrong-state"])
    assert len(world.facts("request.decided")) == 1
