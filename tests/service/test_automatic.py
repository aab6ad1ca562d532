"""Approval in advance, tried as who asks, as the two authors, as who administers the database, and as who rewrites the log."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from tests.quick import quick_world
from tests.service.test_sealing import DEV, both_catalogs, two_worlds
from tests.world import CATALOG, World

from countersign.auditlog.meaning import MeaningCheck, Severity
from countersign.config.catalog import parse_catalog
from countersign.config.directory import parse_directory
from countersign.domain.proving import prove, sheet
from countersign.domain.refusals import (
    ApprovalVoid,
    NobodyCanApprove,
    NotEligible,
    NotPermitted,
    RuleChanged,
    Stopped,
    WrongState,
)
from countersign.domain.request import Request, RequestState
from countersign.service.verification import verify_store
from countersign.store import schema
from countersign.store.automatic_tables import automatic_approvals

Facts = list[dict[str, Any]]


def automatic(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - keys of the entitlement
    """Return the catalog in which the sandbox approves itself, and `orders-db-read` is as new and does not."""
    catalog = both_catalogs()
    changed: dict[str, dict[str, Any]] = {
        "sandbox": {"automatic": True, **changes},
        "orders-db-read": {"max_duration_s": 1800},
    }
    return {**catalog, "entitlement": [e | changed.get(e["id"], {}) for e in catalog["entitlement"]]}


def people(**members: list[str]) -> dict[str, Any]:
    """Return the directory with frank among those who may ask, with an account for it, and some groups filled otherwise."""
    directory = copy.deepcopy(two_worlds())
    directory["person"] += [{"id": "heidi", "name": "Heidi"}, {"id": "ivan", "name": "Ivan"}]
    directory["principal"] += [
        {"id": "frank", "person": "frank"},
        {"id": "frank-dev", "person": "frank", "environments": DEV},
    ]
    next(g for g in directory["group"] if g["id"] == "engineers")["members"].append("frank")
    next(g for g in directory["group"] if g["id"] == "authors")["members"] = ["frank", "grace", "heidi", "ivan"]
    for group in directory["group"]:
        group["members"] = members.get(group["id"], group["members"])
    return directory


def adopt(world: World, by: tuple[str, str], *, catalog: dict[str, Any]) -> None:
    made = world.broker.rulemaking.propose(
        world.principal(by[0]), catalog=catalog, directory=people(), reason="another way"
    ).proposal
    world.broker.rulemaking.approve(world.principal(by[1]), made.id, digest=made.digest)


@pytest.fixture
def sandbox() -> Iterator[World]:
    """A world in which frank proposed and grace approved that the sandbox approves itself."""
    with quick_world(catalog=CATALOG, directory=people()) as world:
        world.adopt(catalog=automatic())
        yield world


def grant_of(world: World, request: Request) -> str:
    with world.store.read() as tx:
        grant = tx.grant_of_request(request.id)
    assert grant is not None
    return grant.id


def asked(world: World) -> str:
    return grant_of(world, world.ask("alice-dev", "sandbox"))


def facts_of(world: World) -> Facts:
    return [json.loads(row["leaf"]) for row in world.facts()]


def broken(facts: Facts) -> set[str]:
    check = MeaningCheck()
    for index, fact in enumerate(facts):
        check.feed(index, fact)
    return {finding.code for finding in check.finish() if finding.severity is Severity.BROKEN}


def test_what_two_authors_countersigned_is_approved_at_once_and_drawn(sandbox: World) -> None:
    request = sandbox.ask("alice-dev", "sandbox")
    assert request.state is RequestState.APPROVED
    lease = sandbox.draw(grant_of(sandbox, request), "alice-dev").lease
    assert lease.person == "alice"
    told = [f for f in facts_of(sandbox) if f["subject"] == request.id or f["data"].get("request") == request.id]
    assert [fact["type"] for fact in told][:4] == [
        "request.submitted",
        "request.approved-automatically",
        "request.decided",
        "grant.opened",
    ]
    assert told[1]["data"] == {"digest": request.digest, "rule": request.rule_digest, "approvers": ["frank", "grace"]}
    assert told[3]["data"]["approvers"] == ["frank", "grace"]
    with sandbox.store.read() as tx:
        assert tx.reviews(request.id) == []
    assert broken(facts_of(sandbox)) == set()
    assert verify_store(sandbox.store, verifiers=[]).ok


def test_a_rule_that_stood_from_the_start_has_no_two_authors_and_waits_for_its_review() -> None:
    with quick_world(catalog=automatic(), directory=people()) as world:
        request = world.ask("alice-dev", "sandbox")
        assert request.state is RequestState.PENDING
        assert world.review(request, "bob-dev").state is RequestState.APPROVED
        world.draw(grant_of(world, request), "alice-dev")
        assert broken(facts_of(world)) == set()
        world.adopt(directory=people(**{"orders-owners": ["carol"]}))
        with pytest.raises(NobodyCanApprove):
            world.ask("alice-dev", "sandbox")


def test_a_rule_that_the_same_two_countersigned_without_saying_so_waits_for_its_review(sandbox: World) -> None:
    with sandbox.store.read() as tx:
        rules = sandbox.broker.office.rules.current(tx)
    assert rules.authors["orders-db-read"] == rules.authors["sandbox"] == {"frank", "grace"}
    assert sandbox.ask("alice", "orders-db-read").state is RequestState.PENDING


def test_an_author_of_it_has_nothing_of_it_by_whatever_account(sandbox: World) -> None:
    with pytest.raises(NotEligible, match="wrote or approved"):
        sandbox.ask("frank-dev", "sandbox")
    assert sandbox.facts("request.approved-automatically") == []


def test_whoever_may_not_ask_is_not_approved(sandbox: World) -> None:
    with pytest.raises(NotPermitted):
        sandbox.ask("bob-dev", "sandbox")
    with pytest.raises(NotEligible, match="account for"):
        sandbox.ask("alice", "sandbox")


def test_stops_of_the_entitlement_or_of_an_author_hold(sandbox: World) -> None:
    control = sandbox.broker.control
    stop = control.stop(sandbox.principal("olga"), scope="person", target="grace", reason="looks wrong").stop
    assert stop is not None
    with pytest.raises(Stopped):
        sandbox.ask("alice-dev", "sandbox")
    control.lift(sandbox.principal("oscar"), stop.id)
    grant_id = asked(sandbox)
    control.stop(sandbox.principal("olga"), scope="entitlement", target="sandbox", reason="looks wrong")
    with pytest.raises(WrongState, match="revoked"):
        sandbox.draw(grant_id, "alice-dev")


def test_once_an_author_is_disabled_it_approves_nothing_and_what_was_not_drawn_is_void(sandbox: World) -> None:
    grant_id = asked(sandbox)
    sandbox.broker.control.disable(sandbox.principal("olga"), "grace", reason="left")
    with pytest.raises(ApprovalVoid, match="frank and grace"):
        sandbox.draw(grant_id, "alice-dev")
    assert sandbox.ask("dave-dev", "sandbox").state is RequestState.PENDING
    assert broken(facts_of(sandbox)) == set()


def test_once_an_author_lost_his_role_what_was_not_drawn_is_void(sandbox: World) -> None:
    grant_id = asked(sandbox)
    sandbox.adopt(directory=people(authors=["frank", "heidi", "ivan"]))
    with pytest.raises(ApprovalVoid):
        sandbox.draw(grant_id, "alice-dev")
    assert sandbox.ask("dave-dev", "sandbox").state is RequestState.PENDING


def test_another_rule_voids_it_and_so_do_others_who_bring_the_same_one_back(sandbox: World) -> None:
    grant_id = asked(sandbox)
    adopt(sandbox, ("heidi", "ivan"), catalog=automatic(max_duration_s=600))
    with pytest.raises(RuleChanged):
        sandbox.draw(grant_id, "alice-dev")
    adopt(sandbox, ("heidi", "ivan"), catalog=automatic())
    with pytest.raises(ApprovalVoid, match="frank and grace"):
        sandbox.draw(grant_id, "alice-dev")
    again = grant_of(sandbox, sandbox.ask("alice-dev", "sandbox"))
    sandbox.draw(again, "alice-dev")
    assert broken(facts_of(sandbox)) == set()


def row(request: Request, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - columns
    return {
        "request_id": request.id,
        "requester_person": request.person,
        "digest": request.digest,
        "rule_digest": request.rule_digest,
        "one": "frank",
        "other": "grace",
        "at": request.submitted_at,
    } | changes


def write(world: World, statement: sa.Executable) -> None:
    with world.store._engine.begin() as connection:
        connection.execute(statement)


def test_no_row_in_the_database_makes_another_rule_automatic(sandbox: World) -> None:
    request = sandbox.ask("alice", "orders-db-read")
    grant_id = grant_of(sandbox, sandbox.review(request, "bob"))
    pending = sandbox.ask("dave", "orders-db-read")
    write(sandbox, sa.insert(automatic_approvals).values(**row(request)))
    write(sandbox, sa.insert(automatic_approvals).values(**row(pending)))
    with pytest.raises(ApprovalVoid):
        sandbox.draw(grant_id)
    # As approved, with the grant that a real one has.
    write(sandbox, sa.update(schema.requests).where(schema.requests.c.id == pending.id).values(state="approved"))
    write(
        sandbox,
        sa.insert(schema.grants).from_select(
            [c.name for c in schema.grants.columns],
            sa.select(*_as_grant_of(pending)).where(schema.grants.c.id == grant_id),
        ),
    )
    with pytest.raises(ApprovalVoid):
        sandbox.draw("grt_aaaaaaaaaaaaaaaa", "dave")


def _as_grant_of(request: Request) -> list[sa.ColumnElement[Any]]:
    changed = {
        "id": "grt_aaaaaaaaaaaaaaaa",
        "request_id": request.id,
        "request_digest": request.digest,
        "person": request.person,
    }
    return [sa.literal(changed[c.name]) if c.name in changed else c for c in schema.grants.columns]


@pytest.mark.parametrize("changes", [{"one": "grace"}, {"one": "alice"}, {"requester_person": "dave"}])
def test_a_row_of_the_same_author_twice_of_the_requester_or_of_another_s_request_is_refused(
    changes: dict[str, Any],
) -> None:
    with quick_world(catalog=automatic(), directory=people()) as world:
        pending = world.ask("alice-dev", "sandbox")
        with pytest.raises(sa.exc.IntegrityError):
            write(world, sa.insert(automatic_approvals).values(**row(pending, **changes)))


def test_what_was_kept_is_neither_changed_nor_removed(sandbox: World) -> None:
    asked(sandbox)
    for statement in (sa.update(automatic_approvals).values(one="erin"), sa.delete(automatic_approvals)):
        with pytest.raises(sa.exc.IntegrityError, match="append-only"):
            write(sandbox, statement)


def _named(facts: Facts, *names: str) -> Facts:
    for fact in facts:
        if "approvers" in fact["data"]:
            fact["data"]["approvers"] = list(names)
    return facts


def _without(facts: Facts, kind: str) -> Facts:
    return [fact for fact in facts if fact["type"] != kind]


def _of_another_rule(facts: Facts) -> Facts:
    """Return it as if the words in the log had never said `automatic`."""
    for fact in facts:
        for each in fact["data"].get("rows", ()):
            if each["section"] == "catalog/entitlements" and each["id"] == "sandbox":
                del each["value"]["automatic"]
    return facts


@pytest.mark.parametrize(
    ("forge", "code"),
    [
        (lambda facts: _without(facts, "request.approved-automatically"), "approved-without-approval"),
        (lambda facts: _named(facts, "frank", "heidi"), "automatic-unfounded"),
        (lambda facts: _named(facts, "frank"), "automatic-unfounded"),
        (lambda facts: _named(facts, "frank", "frank"), "automatic-unfounded"),
        (lambda facts: _named(facts, "alice", "grace"), "automatic-unfounded"),
        (_named, "automatic-unfounded"),
        (_of_another_rule, "rules-mismatch"),
        (lambda facts: _without(_without(facts, "rulebook.written"), "rulebook.proposed"), "automatic-unfounded"),
    ],
)
def test_a_log_that_claims_it_without_ground_is_called_a_lie(
    sandbox: World, forge: Callable[[Facts], Facts], code: str
) -> None:
    sandbox.draw(asked(sandbox), "alice-dev")
    assert broken(facts_of(sandbox)) == set()
    assert code in broken(forge(facts_of(sandbox)))


def test_a_log_that_claims_it_of_a_rule_of_the_same_two_that_is_not_automatic_is_called_a_lie(sandbox: World) -> None:
    request = sandbox.ask("alice", "orders-db-read")
    sandbox.review(request, "bob")
    facts = facts_of(sandbox)
    where = next(i for i, fact in enumerate(facts) if fact["type"] == "review.recorded")
    facts[where] |= {
        "type": "request.approved-automatically",
        "actor": "broker/automatic",
        "data": {"digest": request.digest, "rule": request.rule_digest, "approvers": ["frank", "grace"]},
    }
    assert {"automatic-unfounded", "approved-without-approval"} <= broken(_named(facts, "frank", "grace"))


def test_a_log_in_which_it_was_drawn_after_an_author_left_is_called_a_lie(sandbox: World) -> None:
    grant_id = asked(sandbox)
    sandbox.clock.forward(seconds=30)
    sandbox.broker.control.disable(sandbox.principal("olga"), "ivan", reason="left")
    sandbox.clock.forward(seconds=30)
    sandbox.draw(grant_id, "alice-dev")
    facts = facts_of(sandbox)
    assert broken(facts) == set()
    next(fact for fact in facts if fact["type"] == "person.disabled")["subject"] = "grace"
    assert "quorum-not-reached" in broken(facts)


def test_why_names_the_rule_and_the_two_who_countersigned_it(sandbox: World) -> None:
    request = sandbox.ask("alice-dev", "sandbox")
    explain = sandbox.broker.explanations
    said = "automatic: approved in advance by frank and grace, who countersigned this rule"
    found = explain.request(sandbox.principal("alice-dev"), request.id)
    assert (found.rule, found.factors, found.words, found.obstacles) == (said, (), (), ())
    supposed = explain.supposed(sandbox.principal("dave-dev"), "sandbox", person="dave")
    assert (supposed.rule, supposed.obstacles, supposed.changes) == (said, (), ())
    sandbox.broker.control.disable(sandbox.principal("olga"), "grace", reason="left")
    void = explain.request(sandbox.principal("alice-dev"), request.id)
    assert [each.code for each in void.obstacles] == ["approval-void"]
    assert explain.supposed(sandbox.principal("dave-dev"), "sandbox", person="dave").rule == "review"


def test_the_prover_says_that_one_person_draws_it_and_that_two_approved_in_advance() -> None:
    plain, open_ = (prove(parse_catalog(each), parse_directory(people())) for each in (both_catalogs(), automatic()))
    before, after = (next(a for a in proof.answers if a.entitlement == "sandbox") for proof in (plain, open_))
    assert (before.least, before.alone.count) == (2, 0)
    assert (after.least, after.review.least, set(after.alone.named)) == (1, 2, {"alice", "dave", "frank"})
    assert [(f.code, f.severity) for f in open_.findings if f.about == "sandbox" and f.code == "automatic"] == [
        ("automatic", "warning")
    ]
    assert "1 (automatic)" in sheet(open_)
    assert "1 of engineers, approved in advance by the rule's two authors" in sheet(open_)
    assert all(a.automatic is None for a in open_.answers if a.environment == "production")
