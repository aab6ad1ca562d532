"""The route of a draw: judged again, intent before effect, and nothing left standing whatever breaks in between."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import sqlalchemy as sa
from tests.world import CATALOG, DIRECTORY, World

from countersign.domain.lease import Cause, Lease, LeaseState
from countersign.domain.refusals import (
    AlreadyDelivered,
    ApprovalVoid,
    Conflict,
    DrawsExhausted,
    LogUnavailable,
    NotEligible,
    NotFound,
    NotPermitted,
    NotYours,
    ProviderAway,
    ProviderRefused,
    Refused,
    RuleChanged,
    Stopped,
    WindowOver,
    WrongState,
)
from countersign.providers.base import Issued, Reservation
from countersign.providers.fake import Crash, Fault
from countersign.service.issuer import OVERDUE_LIMIT
from countersign.store import schema


def leases(world: World, grant_id: str) -> list[LeaseState]:
    with world.store.read() as tx:
        return [lease.state for lease in tx.leases(grant_id=grant_id)]


def test_a_draw_makes_one_credential_that_bears_the_lease_and_works(world: World) -> None:
    drawn = world.draw(world.granted())
    assert drawn.lease.state is LeaseState.ACTIVE
    assert drawn.credential.fields["username"] == drawn.lease.id
    assert world.provider.works(drawn.lease.id)
    types = [row["type"] for row in world.facts() if row["subject"] == drawn.lease.id]
    assert types == ["lease.prepared", "lease.reserved", "lease.issued"]


def test_the_secret_is_nowhere_in_the_database_nor_in_a_repr(world: World) -> None:
    drawn = world.draw(world.granted())
    secret = drawn.credential.fields["password"]
    with world.store.read() as tx:
        everything = [
            [str(tuple(row)) for row in tx._connection.execute(sa.select(table))]
            for table in schema.metadata.sorted_tables
        ]
    assert drawn.lease.id in str(everything)
    assert secret not in str(everything)
    assert secret not in repr(drawn)


def test_only_the_requester_draws_and_strangers_see_nothing(world: World) -> None:
    grant = world.granted("alice")
    with pytest.raises(NotYours):
        world.draw(grant, "bob")
    with pytest.raises(NotYours):
        world.draw(grant, "olga")
    with pytest.raises(NotFound):
        world.draw(grant, "dave")
    assert not world.provider.target.issued


def test_a_second_draw_is_refused(world: World) -> None:
    grant = world.granted()
    world.draw(grant)
    with pytest.raises(DrawsExhausted):
        world.draw(grant)


def test_later_draws_never_extend_what_the_first_began(world: World) -> None:
    grant = world.granted(what="orders-db-thrice", seconds=60)
    first = world.draw(grant)
    world.clock.forward(seconds=50)
    second = world.draw(grant)
    assert second.lease.not_after == first.lease.not_after
    world.clock.forward(seconds=10)
    with pytest.raises(WindowOver):
        world.draw(grant)


def test_an_approval_that_nobody_drew_in_time_is_over(world: World) -> None:
    grant = world.granted()
    world.clock.forward(seconds=300)
    with pytest.raises(WindowOver):
        world.draw(grant)


def test_a_rule_that_changed_since_the_approval_refuses_the_draw(world: World) -> None:
    grant = world.granted()
    changed = [e | {"draws": 2} for e in CATALOG["entitlement"]]
    world.adopt(catalog={**CATALOG, "entitlement": changed})
    with pytest.raises(RuleChanged):
        world.draw(grant)


def test_an_approver_who_lost_the_role_no_longer_counts_and_a_new_one_does_not_reach_back(world: World) -> None:
    grant = world.granted()
    groups = [g | {"members": ["carol", "dave"]} if g["id"] == "orders-owners" else g for g in DIRECTORY["group"]]
    world.adopt(directory={**DIRECTORY, "group": groups})
    with pytest.raises(ApprovalVoid):
        world.draw(grant)


@pytest.mark.parametrize("new_owner", ["dave", "alice"])
def test_an_account_that_became_somebody_else_s_speaks_for_nobody_who_had_it(world: World, new_owner: str) -> None:
    def laptop_of(person: str) -> dict[str, Any]:
        return {**DIRECTORY, "principal": [*DIRECTORY["principal"], {"id": "laptop-7", "person": person}]}

    world.adopt(directory=laptop_of("bob"))
    request = world.ask()
    world.review(request, "laptop-7")
    with world.store.read() as tx:
        grant = tx.grant_of_request(request.id)
    assert grant is not None
    world.adopt(directory=laptop_of(new_owner))
    with pytest.raises(ApprovalVoid):
        world.draw(grant.id)


def test_a_requester_who_lost_the_role_draws_no_more(world: World) -> None:
    grant = world.granted()
    groups = [g | {"members": ["dave"]} if g["id"] == "engineers" else g for g in DIRECTORY["group"]]
    world.adopt(directory={**DIRECTORY, "group": groups})
    with pytest.raises(NotEligible):
        world.draw(grant)


def test_a_request_edited_in_the_database_is_refused_by_its_trigger_and_without_it_by_the_draw(world: World) -> None:
    grant = world.granted()
    edit = sa.update(schema.requests).values(duration_s=3000)
    with pytest.raises((Conflict, sa.exc.DBAPIError)), world.store.begin() as tx:
        tx._connection.execute(edit)
    with world.store.begin() as tx:
        on = "" if world.store.is_embedded else " ON requests"
        tx._connection.execute(sa.text(f"DROP TRIGGER requests_pinned{on}"))
        tx._connection.execute(edit)
    with pytest.raises(ApprovalVoid):
        world.draw(grant)
    assert not world.provider.target.issued


def test_a_digest_in_the_database_that_is_not_the_record_s_own_gives_nothing(world: World) -> None:
    grant = world.granted()
    with world.store.begin() as tx:
        on = "" if world.store.is_embedded else " ON requests"
        tx._connection.execute(sa.text(f"DROP TRIGGER requests_pinned{on}"))
        tx._connection.execute(sa.update(schema.requests).values(digest="f" * 64))
    with pytest.raises(ApprovalVoid):
        world.draw(grant)
    assert not world.provider.target.issued


def test_a_grant_inserted_without_an_approval_gives_nothing(world: World) -> None:
    request = world.ask()
    with world.store.begin() as tx:
        row = {
            "id": "grt_aaaaaaaaaaaaaaaa",
            "request_id": request.id,
            "request_digest": request.digest,
            "person": "alice",
            "entitlement": request.entitlement,
            "target": "orders-db",
            "duration_s": 60,
            "draws": 1,
            "draws_used": 0,
            "opened_at": tx.now,
            "draw_by": request.lapses_at,
            "not_after": None,
            "due": request.lapses_at,
            "state": "open",
            "version": 1,
        }
        tx._connection.execute(sa.insert(schema.grants).values(**row))
        tx._connection.execute(sa.update(schema.requests).values(state="approved"))
    with pytest.raises(ApprovalVoid):
        world.draw("grt_aaaaaaaaaaaaaaaa")


@pytest.mark.parametrize(
    ("call", "fault", "code"),
    [
        ("reserve", Fault.AWAY, ProviderAway),
        ("reserve", Fault.DECLINED, ProviderRefused),
        ("reserve", Fault.ANSWER_LOST, ProviderAway),
        ("issue", Fault.AWAY, ProviderAway),
        ("issue", Fault.DECLINED, ProviderRefused),
        ("issue", Fault.ANSWER_LOST, ProviderAway),
    ],
)
def test_a_provider_that_fails_leaves_no_credential_and_gives_the_draw_back(
    world: World, call: str, fault: Fault, code: type[Refused]
) -> None:
    grant = world.granted()
    world.provider.faults[call] = fault
    with pytest.raises(code):
        world.draw(grant)
    assert world.sweep() == 1
    assert not world.provider.target.live
    assert leases(world, grant) == [LeaseState.REVOKED]
    world.clock.forward(seconds=30)
    again = world.draw(grant)
    assert (again.lease.not_after - world.clock()).total_seconds() == 60


@pytest.mark.parametrize("call", ["reserve", "issue"])
def test_a_draw_that_dies_in_the_middle_is_swept_long_before_the_ttl(world: World, call: str) -> None:
    grant = world.granted()
    world.provider.faults[call] = Fault.CRASH
    with pytest.raises(Crash):
        world.draw(grant)
    with world.store.begin() as tx:  # the process died: undo what its handler could still do
        [lease] = tx.leases(grant_id=grant)
        values = {"state": "prepared", "due": world.clock.at.replace(second=15), "cause": None, "asked_at": None}
        tx._connection.execute(sa.update(schema.leases).values(**values))
    if world.store.is_embedded:
        world.restart()
    else:  # another broker may be at work on it, for a while
        assert world.sweep() == 0
        world.clock.forward(seconds=15)
    assert world.sweep() == 1
    assert not world.provider.works(lease.id)
    assert world.clock() < lease.not_after


def test_a_draw_that_dies_in_the_middle_is_swept_at_not_after_if_that_comes_first(world: World) -> None:
    grant = world.granted(seconds=10)
    world.provider.faults["issue"] = Fault.CRASH
    with pytest.raises(Crash):
        world.draw(grant)
    with world.store.begin() as tx:
        [lease] = tx.leases(grant_id=grant)
        values = {"state": "prepared", "due": lease.not_after, "cause": None, "asked_at": None}
        tx._connection.execute(sa.update(schema.leases).values(**values))
    world.clock.forward(seconds=10)
    assert world.sweep() == 1
    assert not world.provider.works(lease.id)


def test_a_draw_under_way_is_due_no_later_than_its_own_end(world: World) -> None:
    grant = world.granted(seconds=10)
    issue = world.provider.issue
    seen: list[Lease] = []

    def and_look(reservation: Reservation) -> Issued:
        with world.store.read() as tx:
            seen.extend(tx.leases(grant_id=grant))
        return issue(reservation)

    world.provider.issue = and_look  # type: ignore[method-assign] # a look into the middle of a draw
    world.draw(grant)
    assert [lease.due for lease in seen] == [lease.not_after for lease in seen]


def test_without_a_log_there_is_no_access(world: World) -> None:
    grant = world.granted()
    with world.store.begin() as tx:
        forbid = (
            "CREATE TRIGGER full BEFORE INSERT ON facts BEGIN SELECT RAISE(FAIL, 'disk full'); END"
            if world.store.is_embedded
            else "ALTER TABLE facts ADD CONSTRAINT full_disk CHECK (type <> 'lease.prepared')"
        )
        tx._connection.execute(sa.text(forbid))
    with pytest.raises((LogUnavailable, Conflict)):
        world.draw(grant)
    assert leases(world, grant) == []
    assert not world.provider.target.reserved


def test_an_outcome_that_cannot_be_written_hands_nothing_over(world: World) -> None:
    grant = world.granted()
    issue = world.provider.issue

    def and_somebody_moves_the_lease(reservation: Reservation) -> Issued:
        issued = issue(reservation)
        world.broker.control.revoke(world.principal("bob"), grant, reason="changed my mind")
        return issued

    world.provider.issue = and_somebody_moves_the_lease  # type: ignore[method-assign] # a race, made certain
    with pytest.raises(Conflict):
        world.draw(grant)
    world.sweep()
    assert not world.provider.target.live


def test_two_draws_at_once_make_one_credential(world: World) -> None:
    grant = world.granted()
    outcomes: list[str] = []
    together = threading.Barrier(2)

    def draw() -> None:
        together.wait()
        try:
            world.draw(grant)
            outcomes.append("drawn")
        except Refused as refusal:
            outcomes.append(refusal.code)

    threads = [threading.Thread(target=draw) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["drawn", "draws-exhausted"]
    assert list(world.provider.target.issued.values()) == [1]


def test_a_replayed_draw_never_repeats_the_secret(world: World) -> None:
    grant = world.granted(what="orders-db-thrice")
    world.draw(grant, key="k")
    with pytest.raises(AlreadyDelivered):
        world.draw(grant, key="k")
    assert len(world.provider.target.issued) == 1


def test_an_answer_that_was_lost_on_the_way_is_revoked_and_the_draw_given_back(world: World) -> None:
    grant = world.granted()
    lost = world.draw(grant, key="k")
    world.issuing.issuer.undelivered(lost.lease.id)
    world.issuing.issuer.undelivered(lost.lease.id)
    assert world.sweep() == 1
    assert not world.provider.works(lost.lease.id)
    with world.store.read() as tx:
        assert tx.lease(lost.lease.id).cause is Cause.UNDELIVERED  # type: ignore[union-attr] # it exists
    assert world.provider.works(world.draw(grant, key="k").lease.id)


def test_a_wrapped_credential_that_nobody_picked_up_is_revoked_and_the_draw_given_back(world: World) -> None:
    grant = world.granted(what="orders-db-wrapped")
    drawn = world.draw(grant)
    world.provider.picked_up = False
    world.clock.forward(seconds=1)
    world.sweep()
    world.sweep()
    assert not world.provider.works(drawn.lease.id)
    world.provider.picked_up = True
    kept = world.draw(grant)
    world.clock.forward(seconds=1)
    world.sweep()
    assert world.provider.works(kept.lease.id)


def test_a_clock_that_ran_back_stops_issuing_and_not_ending(world: World) -> None:
    grant, other = world.granted(), world.granted("dave")
    drawn = world.draw(other, "dave")
    world.broker.control.give_back(world.principal("dave"), other)
    world.clock.forward(seconds=-10)
    with pytest.raises(Stopped, match="clock"):
        world.draw(grant)
    assert world.sweep() == 1
    assert not world.provider.works(drawn.lease.id)


def test_with_too_much_overdue_at_a_target_issuing_stops_there_and_only_there(world: World) -> None:
    grant = world.granted(what="orders-db-thrice")
    drawn = world.draw(grant)
    elsewhere = world.granted("dave", "orders-db-wrapped")
    with world.store.begin() as tx:
        [row] = tx._connection.execute(sa.select(schema.leases)).mappings()
        for number in range(OVERDUE_LIMIT):
            copy = dict(row) | {"id": f"lse_{number:016d}", "overdue": True, "state": "revoking"}
            tx._connection.execute(sa.insert(schema.leases).values(**copy))
    with pytest.raises(Stopped, match="past their time"):
        world.draw(grant)
    assert world.draw(elsewhere, "dave").lease.id != drawn.lease.id


def test_a_stop_covers_person_entitlement_provider_and_all(world: World) -> None:
    for scope, target in (("person", "alice"), ("entitlement", "orders-db-read"), ("provider", "fake"), ("all", None)):
        olga, oscar = world.principal("olga"), world.principal("oscar")
        grant = world.granted()
        drawn = world.draw(grant)
        ended = world.broker.control.stop(olga, scope=scope, target=target, reason="an incident")
        assert ended.grants >= 1
        world.sweep()
        assert not world.provider.works(drawn.lease.id)
        with pytest.raises(Stopped):
            world.ask()
        assert ended.stop is not None
        with pytest.raises(Refused, match="does not lift"):
            world.broker.control.lift(olga, ended.stop.id)
        world.broker.control.lift(oscar, ended.stop.id)


def test_a_disabled_person_is_out_at_once(world: World) -> None:
    token = world.broker.gate.issue("alice")
    pending, drawn = world.ask(), world.draw(world.granted())
    ended = world.broker.control.disable(world.principal("olga"), "alice", reason="left the company")
    assert (ended.grants, ended.requests) == (1, 1)
    world.sweep()
    assert not world.provider.works(drawn.lease.id)
    with pytest.raises(Refused, match="token"):
        world.broker.gate.admit(token)
    with pytest.raises(WrongState):
        world.review(pending)


def test_nobody_disables_himself(world: World) -> None:
    with pytest.raises(NotPermitted):
        world.broker.control.disable(world.principal("olga"), "olga", reason="tired")
    world.broker.control.disable(world.principal("oscar"), "olga", reason="left the company")
