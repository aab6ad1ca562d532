"""The rules obey the rules: two authors, one digest, and nobody profits from what he wrote."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa
from tests.quick import quick_world
from tests.world import CATALOG, DIRECTORY, World, entitlement

from countersign.domain.refusals import (
    Conflict,
    Invalid,
    NotEligible,
    NotFound,
    NotPermitted,
    Refused,
    RuleChanged,
    SelfReview,
    WrongDigest,
    WrongState,
)
from countersign.service.rule_changes import ProposalView
from countersign.service.rules import found
from countersign.store import schema

LONGER = {
    **CATALOG,
    "entitlement": [e | {"max_duration_s": 7200} if e["id"] == "orders-db-read" else e for e in CATALOG["entitlement"]],
}


def propose(
    world: World, who: str = "frank", *, catalog: dict[str, Any] = LONGER, directory: dict[str, Any] | None = None
) -> ProposalView:
    return world.broker.rulemaking.propose(
        world.principal(who), catalog=catalog, directory=directory, reason="longer repairs"
    )


def approve(world: World, who: str, view: ProposalView, digest: str | None = None) -> ProposalView:
    proposal = view.proposal
    return world.broker.rulemaking.approve(world.principal(who), proposal.id, digest=digest or proposal.digest)


def longest(world: World) -> int:
    with world.store.read() as tx:
        found = world.broker.office.rules.current(tx).entitlement("orders-db-read")
    return int(found.max_duration.total_seconds())


def test_a_change_needs_another_author_and_says_what_it_changes(world: World) -> None:
    view = propose(world)
    [change] = view.changes
    assert (change.kind, change.id, change.what) == ("entitlement", "orders-db-read", "changed")
    assert change.keys == {"max_duration_s": (3600, 7200)}
    assert longest(world) == 3600
    with pytest.raises(SelfReview):
        approve(world, "frank", view)
    approve(world, "grace", view)
    assert longest(world) == 7200
    [adopted] = [json.loads(row["leaf"])["data"] for row in world.facts("rulebook.adopted")][1:]
    assert (adopted["proposed_by"], adopted["approved_by"]) == ("frank", "grace")


@pytest.mark.parametrize("who", ["alice", "bob", "olga", "erin"])
def test_nobody_but_an_author_proposes_or_approves(world: World, who: str) -> None:
    with pytest.raises(NotPermitted):
        propose(world, who)
    view = propose(world)
    with pytest.raises(NotPermitted):
        approve(world, who, view)
    assert longest(world) == 3600


def test_what_was_shown_is_what_is_approved(world: World) -> None:
    view = propose(world)
    with pytest.raises(WrongDigest):
        approve(world, "grace", view, digest="0" * 64)
    with pytest.raises(NotFound):
        world.broker.rulemaking.approve(world.principal("grace"), "prp_aaaaaaaaaaaaaaaa", digest=view.proposal.digest)


def test_a_proposal_built_on_rules_that_have_changed_since_is_void(world: World) -> None:
    first = propose(world)
    second = propose(world, catalog={**CATALOG, "entitlement": [*CATALOG["entitlement"], entitlement("more")]})
    approve(world, "grace", second)
    with pytest.raises(RuleChanged):
        approve(world, "grace", first)


def test_a_decided_proposal_is_not_decided_again(world: World) -> None:
    view = propose(world)
    world.broker.rulemaking.reject(world.principal("grace"), view.proposal.id)
    with pytest.raises(WrongState):
        approve(world, "grace", view)
    again = propose(world)
    world.broker.rulemaking.reject(world.principal("frank"), again.proposal.id)
    states = {proposal.state.value for proposal in world.broker.rulemaking.proposals(world.principal("erin"), limit=9)}
    assert states == {"rejected", "withdrawn"}


@pytest.mark.parametrize(
    ("files", "field"),
    [
        ({"catalog": CATALOG}, "catalog"),
        ({"catalog": {"schema": 1, "entitlement": "all"}}, "catalog"),
        ({"catalog": {**CATALOG, "entitlement": [entitlement("x", owner="nobody-knows")]}}, "catalog"),
        ({"directory": {"schema": 1, "person": [{"id": "Alice"}]}}, "directory"),
        ({"directory": {**DIRECTORY, "admin": True}}, "directory"),
    ],
)
def test_rules_that_do_not_make_sense_are_refused_when_proposed(
    world: World, files: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid) as refusal:
        propose(world, **files)
    assert refusal.value.field == field


def test_who_wrote_or_approved_a_rule_neither_asks_nor_signs_under_it() -> None:
    groups = [g | {"members": [*g["members"], "frank"]} if g["id"] == "engineers" else g for g in DIRECTORY["group"]]
    with quick_world(directory={**DIRECTORY, "group": groups}) as world:
        approve(world, "grace", propose(world))
        with pytest.raises(NotEligible, match="wrote or approved"):
            world.ask("frank")
        assert world.ask("frank", "orders-db-thrice").person == "frank"


def test_an_author_who_is_made_approver_later_does_not_count_under_his_own_rule(world: World) -> None:
    approve(world, "grace", propose(world))
    groups = [g | {"members": ["grace"]} if g["id"] == "authors" else g for g in DIRECTORY["group"]]
    groups = [g | {"members": [*g["members"], "frank"]} if g["id"] == "orders-owners" else g for g in groups]
    groups = [g | {"members": ["grace", "erika"]} if g["id"] == "authors" else g for g in groups]
    directory = {**DIRECTORY, "group": groups, "person": [*DIRECTORY["person"], {"id": "erika", "name": "Erika"}]}
    approve(world, "grace", propose(world, catalog=LONGER, directory=directory))
    with pytest.raises(NotEligible, match="wrote or approved"):
        world.review(world.ask(), "frank")


def test_rules_on_record_cannot_be_changed_nor_added_by_one_person_even_past_the_service(world: World) -> None:
    with world.store.read() as tx:
        [row] = tx._connection.execute(sa.select(schema.rulebooks)).mappings()
    alone = dict(row) | {"seq": 2, "proposed_by": "frank", "approved_by": "frank"}
    with pytest.raises(Conflict), world.store.begin() as tx:
        tx._connection.execute(sa.insert(schema.rulebooks).values(**alone))
    with pytest.raises((Refused, sa.exc.DBAPIError)), world.store.begin() as tx:
        tx._connection.execute(sa.update(schema.rulebooks).values(catalog=LONGER))


def test_files_do_not_change_rules_that_are_in_force(world: World) -> None:
    assert not found(world.store, catalog=LONGER, directory=DIRECTORY)
    assert longest(world) == 3600
