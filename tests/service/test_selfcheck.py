"""The self-check: the log verified by its own broker, on record, and nothing issued from a log that does not verify."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa
from tests.auditlog.test_meaning import broken, meaning_of
from tests.world import World

from countersign.domain.refusals import LogRewound, NotPermitted, Stopped
from countersign.domain.stop_facts import StopLifted, StopPlaced
from countersign.service import selfcheck
from countersign.service.selfcheck import SelfCheck
from countersign.store import schema


def checks(world: World) -> list[dict[str, Any]]:
    return [json.loads(row["leaf"])["data"] for row in world.facts("log.checked")]


def size_of(world: World) -> int:
    with world.store.read() as tx:
        return tx.head().size


def edit(world: World, statement: sa.Executable) -> None:
    """Change a row as somebody does who owns the database and has taken its triggers away."""
    with world.store.begin() as tx:
        if world.store.is_embedded:
            for verb in ("UPDATE", "DELETE"):
                for table in ("facts", "checkpoints"):
                    tx._connection.execute(sa.text(f"DROP TRIGGER IF EXISTS {table}_{verb}_refused"))
        else:
            for table in ("facts", "checkpoints"):
                tx._connection.execute(sa.text(f"DROP TRIGGER IF EXISTS {table}_refused ON {table}"))
        tx._connection.execute(statement)


def forge(world: World, type_: str) -> None:
    """Change the newest entry of a type."""
    row = world.facts(type_)[-1]
    forged = bytes(row["leaf"]).replace(b'"v":1', b'"v":7')
    edit(world, sa.update(schema.facts).where(schema.facts.c.index == row["index"]).values(leaf=forged))


def test_it_reads_on_from_where_it_was_and_says_so_in_the_log(world: World) -> None:
    check = SelfCheck(office=world.broker.office)
    world.draw(world.granted())
    world.issuing.checkpoints.sign()
    first = size_of(world)
    assert check.check()
    world.granted("dave")
    assert check.check()
    assert [(each["ok"], each["since"], each["size"]) for each in checks(world)] == [
        (True, 0, first),
        (True, first, size_of(world) - 1),
    ]
    with world.store.read() as tx:
        assert tx.stops() == []


def test_once_a_day_it_reads_all_of_it_again(world: World) -> None:
    times = iter([0.0, 1.0, 10.0, 11.0, selfcheck.ALL_OF_IT_EVERY_S + 1, selfcheck.ALL_OF_IT_EVERY_S + 2])
    check = SelfCheck(office=world.broker.office, monotonic=lambda: next(times))
    for _ in range(3):
        assert check.check()
    assert [each["since"] == 0 for each in checks(world)] == [True, False, True]


def test_what_another_process_checked_lately_is_not_checked_again(world: World) -> None:
    one, other = SelfCheck(office=world.broker.office), SelfCheck(office=world.broker.office)
    assert one.check_if_due() is True
    assert other.check_if_due() is None
    world.clock.forward(seconds=selfcheck.EVERY.total_seconds())
    assert other.check_if_due() is True


@pytest.mark.parametrize("is_new", [True, False])
def test_an_entry_that_was_edited_stops_issuing_until_two_people_lift_it(world: World, is_new: bool) -> None:  # noqa: FBT001 - a parameter of the test
    check = SelfCheck(office=world.broker.office)
    grant = world.granted()
    if not is_new:
        assert check.check()
    [row] = world.facts("grant.opened")
    forged = bytes(row["leaf"]).replace(b'"draws":1', b'"draws":9')
    edit(world, sa.update(schema.facts).where(schema.facts.c.index == row["index"]).values(leaf=forged))
    if not is_new:
        check._began = float("-inf")  # a day later
    assert not check.check()
    assert (checks(world)[-1]["ok"], checks(world)[-1]["first"]) == (False, row["index"])
    assert "leaf-hash" in checks(world)[-1]["codes"]
    with pytest.raises((Stopped, LogRewound)):  # the stop, or the issuer itself, which remembers what it read
        world.draw(grant)
    with world.store.read() as tx:
        [stop] = tx.stops()
    assert stop.placed_by == "countersign/self-check"
    with pytest.raises(NotPermitted):
        world.broker.control.lift(world.principal("alice"), stop.id)
    assert world.broker.control.lift(world.principal("carol"), stop.id).lift_asked_by == "carol"
    with pytest.raises(NotPermitted, match="does not lift it alone"):
        world.broker.control.lift(world.principal("carol"), stop.id)
    with world.store.read() as tx:
        assert [each.id for each in tx.stops()] == [stop.id]
    world.broker.control.lift(world.principal("olga"), stop.id)
    for another in (check, SelfCheck(office=world.broker.office)):  # this process, and one that starts afterwards
        assert not another.check(), "it goes on saying so"
        with world.store.read() as tx:
            assert tx.stops() == [], "and those who lifted the stop knew that"


def test_after_a_false_alarm_two_people_let_draws_go_on_while_the_check_goes_on_saying_so(world: World) -> None:
    grant = world.granted()
    world.ask("dave", "orders-db-thrice")
    world.clock.forward(seconds=250)
    with world.store.begin() as tx:
        tx.record(
            StopLifted(actor="olga", subject="stp_none", principal="olga", placed_by="oscar")
        )  # of nothing in force
    assert not SelfCheck(office=world.broker.office).check()
    with pytest.raises(Stopped, match="access is stopped"):
        world.draw(grant)
    with world.store.read() as tx:
        [stop] = tx.stops()
    for who in ("olga", "oscar"):
        world.broker.control.lift(world.principal(who), stop.id)
    assert not SelfCheck(office=world.broker.office).check()
    world.draw(grant)


def test_what_was_let_stand_stops_nothing_again_and_anything_else_does(world: World) -> None:
    world.granted()
    forge(world, "grant.opened")
    assert not SelfCheck(office=world.broker.office).check()
    with world.store.read() as tx:
        [stop] = tx.stops()
    for who in ("olga", "oscar"):
        world.broker.control.lift(world.principal(who), stop.id)
    world.granted("dave", "orders-db-thrice")
    forge(world, "request.submitted")
    assert not SelfCheck(office=world.broker.office).check()
    with world.store.read() as tx:
        [other] = tx.stops()
    assert (other.placed_by, other.id != stop.id) == ("countersign/self-check", True)
    told = [(row["subject"], json.loads(row["leaf"])["data"]["failures"]) for row in world.facts("log.failed")]
    assert [subject for subject, _ in told] == [stop.id, other.id]
    assert [code for _, code in told[1][1] if code == "leaf-hash"] == ["leaf-hash"]


def test_a_stop_of_the_self_check_that_one_person_lifted_is_named(world: World) -> None:
    said: dict[str, Any] = {
        "actor": "countersign/self-check",
        "subject": "stp_x",
        "principal": "countersign/self-check",
    }
    sealed = world.broker.office.seal("the log does not verify", field="reason")
    placed = StopPlaced(**said, scope="all", reason=sealed, grants_revoked=0, requests_ended=0)
    lifted = StopLifted(actor="olga", subject="stp_x", principal="olga", placed_by="countersign/self-check")
    with world.store.begin() as tx:
        tx.record(placed, lifted)
    assert {each.code for each in broken(meaning_of(world.store))} == {"stop-lifted-alone"}


def test_a_forged_head_and_a_forged_checkpoint_are_found_as_they_are_read(world: World) -> None:
    check = SelfCheck(office=world.broker.office)
    world.granted()
    world.issuing.checkpoints.sign()
    edit(world, sa.update(schema.checkpoints).values(root=b"x" * 32))
    assert not check.check()
    assert checks(world)[-1]["codes"] == ["root-mismatch"]


def test_a_log_that_was_cut_is_found(world: World) -> None:
    check = SelfCheck(office=world.broker.office)
    world.granted()
    assert check.check()
    last = size_of(world) - 1
    edit(world, sa.delete(schema.facts).where(schema.facts.c.index == last))
    check._began = float("-inf")
    assert not check.check()
    assert set(checks(world)[-1]["codes"]) & {"truncated", "root-mismatch", "index-gap"}


def test_a_lie_with_right_hashes_is_found_by_what_it_means(world: World) -> None:
    check = SelfCheck(office=world.broker.office)
    world.ask()
    world.clock.forward(seconds=5000)  # nobody swept: it should have lapsed, and the log does not say so
    world.ask("dave", "orders-db-thrice")
    assert not check.check()
    assert checks(world)[-1]["codes"] == ["request-still-open"]
    world.sweep()
    assert check.check(), "it is over now"
