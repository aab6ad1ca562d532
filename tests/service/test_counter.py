"""Counter-proposals, tried as a reviewer, a requester and somebody hostile would: only ever less, taken up once, in the open."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
import sqlalchemy as sa
from tests.emergencies import GLASS_CATALOG, ROOT, with_groups
from tests.world import CATALOG, World, entitlement

from countersign.auditlog.meaning import MeaningCheck
from countersign.domain.counter import Less
from countersign.domain.emergency import Emergency
from countersign.domain.refusals import Invalid, NotFound, NotYours, Refused, RuleChanged, SelfReview, WrongState
from countersign.domain.request import Request, RequestState
from countersign.domain.review import Decision
from countersign.service.verification import verify_store
from countersign.store import schema
from countersign.store.counter_tables import counter_proposals

SIZES = {
    "rows": {"values": ["ten", "hundred", "all"], "ordered": True, "default": "ten"},
    "table": {"values": ["a", "b"]},
}
RULES = {**CATALOG, "entitlement": [*CATALOG["entitlement"], entitlement("sized", parameters=SIZES)]}
ALL = {"rows": "all", "table": "a"}


def less(duration_s: int | None = None, **parameters: object) -> Less:
    return Less(parameters=parameters, duration_s=duration_s)


def deny(world: World, request: Request, what: Less, who: str = "bob") -> Request:
    return world.broker.requests.review(
        world.principal(who), request.id, decision=Decision.DENY, digest=request.digest, less=what
    )


@pytest.fixture
def sized(world: World) -> World:
    world.adopt(catalog=RULES)
    return world


def test_who_wants_less_denies_with_a_counter_which_is_taken_up_in_one_step(sized: World) -> None:
    asked = sized.ask(what="sized", seconds=600, parameters=ALL)
    assert deny(sized, asked, less(120, rows="ten")).state is RequestState.DENIED
    made = sized.broker.requests.resubmit(sized.principal("alice-laptop"), asked.id)
    assert (made.state, made.counters, made.person) == (RequestState.PENDING, asked.id, "alice")
    assert (made.duration.total_seconds(), made.parameters) == (120, {"rows": "ten", "table": "a"})
    assert (made.reason.text, made.digest != asked.digest) == (asked.reason.text, True)
    assert made.statement()["counters"] == asked.id
    view = sized.broker.questions.request(sized.principal("carol"), asked.id)
    assert view.counter is not None
    assert (view.counter.person, view.taken_up_by) == ("bob", made.id)
    # Who proposed it has not signed it: it takes his word like anybody's.
    assert sized.review(made, "bob").state is RequestState.APPROVED
    with sized.store.read() as tx:
        grant = tx.grant_of_request(made.id)
    assert grant is not None
    assert sized.draw(grant.id).lease.person == "alice"
    [fact] = sized.facts("counter.proposed")
    assert json.loads(fact["leaf"])["data"] == {
        "principal": "bob",
        "digest": asked.digest,
        "parameters": {"rows": "ten", "table": "a"},
        "duration_s": 120,
    }
    assert verify_store(sized.store, verifiers=[]).ok


@pytest.mark.parametrize(
    ("what", "field"),
    [
        (less(601), "counter.duration_s"),
        (less(600), "counter"),
        (less(), "counter"),
        (less(9), "duration_s"),
        (less(-60), "duration_s"),
        (less(None, rows="all"), "counter"),
        (less(60, table="b"), "counter.parameters.table"),
        (less(60, rows="everything"), "parameters.rows"),
        (less(60, rows=["ten"]), "parameters.rows"),
        (less(60, columns="x"), "parameters.columns"),
    ],
)
def test_a_counter_is_only_ever_less_by_the_entitlement_s_own_rules(sized: World, what: Less, field: str) -> None:
    asked = sized.ask(what="sized", seconds=600, parameters=ALL)
    with pytest.raises(Invalid) as refusal:
        deny(sized, asked, what)
    assert refusal.value.field == field
    with sized.store.read() as tx:
        assert (tx.reviews(asked.id), tx.counter(asked.id)) == ([], None)


def test_a_wider_value_is_no_less_even_with_a_shorter_time(sized: World) -> None:
    asked = sized.ask(what="sized", seconds=600, parameters={"rows": "hundred", "table": "a"})
    with pytest.raises(Invalid, match="rows is not less"):
        deny(sized, asked, less(60, rows="all"))


def test_no_counter_goes_with_an_approval_nor_comes_from_who_may_not_review(world: World) -> None:
    asked = world.ask(seconds=600)
    with pytest.raises(Invalid):
        world.broker.requests.review(
            world.principal("bob"), asked.id, decision=Decision.APPROVE, digest=asked.digest, less=less(60)
        )
    with pytest.raises(SelfReview):
        deny(world, asked, less(60), who="alice-laptop")
    with pytest.raises(NotFound):
        deny(world, asked, less(60), who="frank")


def test_only_its_requester_takes_a_counter_up_and_only_once(world: World) -> None:
    asked = world.ask(seconds=600)
    with pytest.raises(WrongState, match="not denied with a counter"):
        world.broker.requests.resubmit(world.principal("alice"), asked.id)
    deny(world, asked, less(60))
    with pytest.raises(NotYours):
        world.broker.requests.resubmit(world.principal("carol"), asked.id)
    with pytest.raises(NotFound):
        world.broker.requests.resubmit(world.principal("dave"), asked.id)
    made = world.broker.requests.resubmit(world.principal("alice"), asked.id, key="k")
    assert world.broker.requests.resubmit(world.principal("alice"), asked.id, key="k").id == made.id
    with pytest.raises(WrongState, match=made.id):
        world.broker.requests.resubmit(world.principal("alice"), asked.id)


def test_a_counter_is_judged_like_any_request_when_it_is_taken_up(world: World) -> None:
    asked = world.ask(seconds=600)
    deny(world, asked, less(60))
    world.adopt(catalog={**CATALOG, "entitlement": [entitlement("orders-db-read", max_duration_s=3000)]})
    with pytest.raises(RuleChanged):
        world.broker.requests.resubmit(world.principal("alice"), asked.id)


def test_the_mark_of_an_emergency_stays_on_what_is_taken_up(world: World) -> None:
    world.adopt(catalog=GLASS_CATALOG, directory=with_groups())
    asked = world.ask(what=ROOT, seconds=600, emergency=Emergency(incident="INC-1", drill=True))
    deny(world, asked, less(60), who="hugo")
    made = world.broker.requests.resubmit(world.principal("alice"), asked.id)
    assert made.emergency == asked.emergency


def test_the_database_refuses_a_counter_without_its_denial_and_one_of_somebody_else(world: World) -> None:
    asked, other = world.ask(seconds=600), world.ask("dave", seconds=600)
    deny(world, asked, less(60))
    row = {"request_id": other.id, "person": "bob", "parameters": {}, "duration_s": 60, "at": world.clock()}
    attempts: list[sa.Executable] = [
        counter_proposals.insert().values(**row),
        counter_proposals.update().values(duration_s=600),
        counter_proposals.delete(),
        sa.insert(schema.requests).from_select(
            [c.name for c in schema.requests.columns],
            sa.select(*_as_taking_up(asked.id)).where(schema.requests.c.id == other.id),
        ),
    ]
    for attempt in attempts:
        with pytest.raises((Refused, sa.exc.DBAPIError)), world.store.begin() as tx:
            tx._connection.execute(attempt)


def _as_taking_up(request_id: str) -> list[sa.ColumnElement[Any]]:
    """Return another person's request as one that takes up this one's counter-proposal."""
    changed: Mapping[str, object] = {"id": "req_aaaaaaaaaaaaaaaa", "counters": request_id}
    return [sa.literal(changed[c.name]) if c.name in changed else c for c in schema.requests.columns]


def test_a_log_that_takes_up_what_nobody_proposed_is_called_a_lie(world: World) -> None:
    asked = world.ask(seconds=600)
    deny(world, asked, less(60))
    world.broker.requests.resubmit(world.principal("alice"), asked.id)
    facts = [json.loads(row["leaf"]) for row in world.facts()]

    def codes(told: list[dict[str, Any]]) -> set[str]:
        check = MeaningCheck()
        for index, fact in enumerate(told):
            check.feed(index, fact)
        return {finding.code for finding in check.finish()}

    assert "counter-mismatch" not in codes(facts)
    without = [fact for fact in facts if fact["type"] != "counter.proposed"]
    assert "counter-mismatch" in codes(without)
    longer = json.loads(json.dumps(facts))
    next(fact for fact in longer if fact["type"] == "counter.proposed")["data"]["duration_s"] = 700
    assert "counter-mismatch" in codes(longer)
    by_another = json.loads(json.dumps(facts))
    next(fact for fact in by_another if fact["type"] == "counter.proposed")["actor"] = "carol"
    assert "counter-mismatch" in codes(by_another)
