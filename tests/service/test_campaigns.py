"""Campaigns: a membership is kept or removed by another's name, what nobody decides is removed, only rules put it back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from tests.auditlog.test_meaning import broken, meaning_of
from tests.world import DIRECTORY, World

from countersign.domain.broker_facts import BrokerStarted
from countersign.domain.campaign import Ruling
from countersign.domain.refusals import (
    AlreadyReviewed,
    ApprovalVoid,
    Conflict,
    Invalid,
    NotEligible,
    NotFound,
    NotPermitted,
    SelfReview,
    WindowOver,
)
from countersign.service.campaigns import CampaignView
from countersign.store import campaign_tables

WEEK = timedelta(days=7)


def started(world: World, *groups: str, who: str = "erin", entitlement: str | None = None) -> CampaignView:
    return world.broker.campaigns.start(world.principal(who), groups=groups, entitlement=entitlement, due=WEEK)


def decide(world: World, view: CampaignView, who: str, member: tuple[str, str], ruling: Ruling) -> CampaignView:
    person, group = member
    return world.broker.campaigns.decide(
        world.principal(who), view.campaign.id, person=person, group=group, ruling=ruling
    )


@pytest.fixture(autouse=True)
def the_log_adds_up(world: World, request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    codes = {finding.code for finding in broken(meaning_of(world.store))}
    assert codes == ({"not-eligible"} if "taken_back" in request.node.name else set())


def test_nobody_is_given_less_than_a_day_to_decide(world: World) -> None:
    hasty = timedelta(days=1) - timedelta(seconds=1)
    with pytest.raises(Invalid, match="due_s must lie between 86400 and"):
        world.broker.campaigns.start(world.principal("erin"), groups=["engineers"], entitlement=None, due=hasty)
    assert world.facts("campaign.started") == []


def test_a_campaign_asks_about_every_membership_of_its_groups(world: World) -> None:
    view = started(world, "engineers", "orders-owners")
    assert [(item.group, item.person) for item in view.items] == [
        ("engineers", "alice"),
        ("engineers", "dave"),
        ("orders-owners", "bob"),
        ("orders-owners", "carol"),
    ]
    assert world.facts("campaign.started")[0]["actor"] == "erin"
    whole = started(world, entitlement="orders-db-write")
    assert whole.campaign.groups == ("engineers", "orders-owners", "security")


def test_who_is_removed_asks_signs_and_draws_no_more_from_that_moment(world: World) -> None:
    view = started(world, "engineers", "orders-owners")
    grant, pending = world.granted(), world.ask("dave")
    world.review(pending, "carol")
    decide(world, view, "bob", ("alice", "engineers"), Ruling.REMOVE)
    with pytest.raises(NotEligible):
        world.draw(grant)
    with pytest.raises(NotPermitted):
        world.ask("alice")
    waiting = world.ask("dave", seconds=30)
    decide(world, view, "carol", ("bob", "orders-owners"), Ruling.REMOVE)
    with pytest.raises(NotFound):
        world.review(waiting, "bob")
    assert [(row["actor"], row["subject"]) for row in world.facts("membership.removed")] == [
        ("bob", "alice"),
        ("carol", "bob"),
    ]


def test_an_approval_of_who_is_removed_afterwards_does_not_count_at_the_draw(world: World) -> None:
    view, grant = started(world, "orders-owners"), world.granted("dave")
    decide(world, view, "erin", ("bob", "orders-owners"), Ruling.REMOVE)
    with pytest.raises(ApprovalVoid):
        world.draw(grant, "dave")


def test_what_nobody_decides_is_removed_when_the_time_is_over(world: World) -> None:
    view = started(world, "engineers")
    decide(world, view, "erin", ("dave", "engineers"), Ruling.KEEP)
    world.clock.forward(days=6)
    assert world.broker.campaigns.close_due() == 0
    world.ask("alice")
    world.clock.forward(days=1)
    world.sweep()
    assert world.broker.campaigns.close_due() == 1
    assert world.broker.campaigns.close_due() == 0
    with pytest.raises(NotPermitted):
        world.ask("alice")
    world.ask("dave")
    [removed] = world.facts("membership.removed")
    assert (removed["actor"], removed["subject"]) == ("countersign/campaigns", "alice")
    [closed] = world.facts("campaign.closed")
    assert {"kept": 1, "removed": 0, "undecided": 1}.items() <= json.loads(closed["leaf"])["data"].items()
    with pytest.raises(WindowOver):
        decide(world, view, "erin", ("alice", "engineers"), Ruling.KEEP)


def test_only_other_rules_put_a_membership_back_and_those_take_two_people(world: World) -> None:
    view = started(world, "engineers")
    decide(world, view, "erin", ("alice", "engineers"), Ruling.REMOVE)
    again = started(world, "engineers")
    assert [item.person for item in again.items] == ["dave"]
    catalog = world.catalog | {"entitlement": world.catalog["entitlement"][1:]}
    world.adopt(catalog=catalog)  # other rules, in which the directory still lists her
    with pytest.raises(NotPermitted):
        world.ask("alice", "orders-db-thrice")
    without = [each | ({"members": ["dave"]} if each["id"] == "engineers" else {}) for each in DIRECTORY["group"]]
    world.adopt(directory=DIRECTORY | {"group": without})
    with pytest.raises(NotPermitted):
        world.ask("alice", "orders-db-thrice")
    world.adopt(directory=DIRECTORY)
    world.clock.forward(seconds=6)
    world.ask("alice", "orders-db-thrice")


def test_nobody_decides_on_himself_nor_twice_nor_past_the_time(world: World) -> None:
    view = started(world, "orders-owners")
    with pytest.raises(SelfReview):
        decide(world, view, "bob", ("bob", "orders-owners"), Ruling.KEEP)
    decide(world, view, "bob", ("carol", "orders-owners"), Ruling.KEEP)
    with pytest.raises(AlreadyReviewed):
        decide(world, view, "erin", ("carol", "orders-owners"), Ruling.REMOVE)
    with pytest.raises(NotFound):
        decide(world, view, "erin", ("alice", "orders-owners"), Ruling.REMOVE)
    with pytest.raises(NotFound):
        world.broker.campaigns.campaign(world.principal("erin"), "cmp_aaaaaaaaaaaaaaaa")
    world.clock.forward(days=7)
    with pytest.raises(WindowOver):
        decide(world, view, "erin", ("bob", "orders-owners"), Ruling.KEEP)


@pytest.mark.parametrize("who", ["alice", "frank", "olga", "bob-bot"])
def test_only_auditors_and_owners_review(world: World, who: str) -> None:
    view = started(world, "engineers")
    with pytest.raises(NotEligible):
        started(world, "engineers", who=who)
    with pytest.raises(NotEligible):
        decide(world, view, who, ("dave", "engineers"), Ruling.REMOVE)
    assert started(world, "engineers", who="bob").campaign.started_by == "bob"
    with pytest.raises(NotEligible):
        started(world, "auditors", who="bob")


def test_authors_are_not_recertified_since_nobody_could_put_them_back(world: World) -> None:
    with pytest.raises(Invalid, match="catalog authors"):
        started(world, "authors")
    with pytest.raises(Invalid, match="no group nobodies"):
        started(world, "nobodies")
    with pytest.raises(Invalid, match="name a group"):
        started(world)


def test_the_database_refuses_a_ruling_on_oneself_and_one_that_is_changed(world: World) -> None:
    view, items = started(world, "engineers"), campaign_tables.campaign_items
    own = sa.update(items).where(items.c.person == "dave").values(ruling="keep", decided_by="dave")
    with pytest.raises(Conflict), world.store.begin() as tx:
        tx._connection.execute(own)
    decide(world, view, "erin", ("dave", "engineers"), Ruling.REMOVE)
    for statement in (own.values(decided_by="erin", ruling="keep"), sa.delete(items)):
        with pytest.raises((Conflict, sa.exc.DBAPIError)), world.store.begin() as tx:
            tx._connection.execute(statement)


def test_a_removal_that_was_taken_back_in_the_database_is_named_by_the_log(world: World) -> None:
    decide(world, started(world, "engineers"), "erin", ("alice", "engineers"), Ruling.REMOVE)
    with world.store.begin() as tx:
        tx._connection.execute(sa.delete(campaign_tables.removed_memberships))
    world.clock.forward(seconds=10)
    world.ask("alice")


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_removal_at_the_same_moment_is_no_loophole(world: World) -> None:
    # On SQLite a writing transaction is alone from its beginning, so nothing can happen at the same moment.
    view, grant = started(world, "engineers"), world.granted()
    with pytest.raises(Conflict):
        judge_while_somebody_removes(world)
    decide(world, view, "erin", ("alice", "engineers"), Ruling.REMOVE)
    with pytest.raises(NotEligible):
        world.draw(grant)


def judge_while_somebody_removes(world: World) -> None:
    """Judge by the rules, and write what was judged after another transaction removed a membership."""
    removed = {"person": "alice", "group": "engineers", "at": world.clock()}
    with world.store.begin() as tx:
        world.broker.office.rules.current(tx)
        with world.store.begin() as other:
            other._connection.execute(sa.insert(campaign_tables.removed_memberships), removed)
        tx.record(BrokerStarted(actor="countersign/test", subject="x", version="x", configuration="none"))


def test_an_auditor_says_what_he_reviewed_and_what_was_not_in_order(world: World) -> None:
    grant, erin = world.granted(), world.principal("erin")
    campaigns, now = world.broker.campaigns, world.clock()
    size = campaigns.reviewed(erin, since=now, until=now, sample=[grant], exceptions=1, findings="no ticket")
    row = world.facts("audit.reviewed")[0]
    data = json.loads(row["leaf"])["data"]
    assert (data["sample"], data["exceptions"], data["size"]) == ([grant], 1, size)
    assert row["openings"]["findings"]["text"] == "no ticket"
    assert "no ticket" not in str(data)
    for wrong in (
        {"sample": ["grt_aaaaaaaaaaaaaaaa"], "exceptions": 0, "findings": None},
        {"sample": [], "exceptions": 1, "findings": None},
        {"sample": [], "exceptions": 0, "findings": "but why"},
    ):
        with pytest.raises(Invalid):
            campaigns.reviewed(erin, since=now, until=now, **wrong)  # type: ignore[arg-type]  # each of its own type
    with pytest.raises(Invalid):
        campaigns.reviewed(erin, since=now, until=now - WEEK, sample=[], exceptions=0, findings=None)
    with pytest.raises(NotPermitted):
        campaigns.reviewed(world.principal("bob"), since=now, until=now, sample=[], exceptions=0, findings=None)


def test_a_proposal_shows_what_it_changes_without_whom_a_campaign_removed(world: World) -> None:
    decide(world, started(world, "security"), "erin", ("carol", "security"), Ruling.REMOVE)
    groups = [each | ({"members": ["alice"]} if each["id"] == "engineers" else {}) for each in DIRECTORY["group"]]
    listed, freed = (DIRECTORY | {"group": changed} for changed in (groups, _without(groups, "security")))
    for directory, least in ((listed, [None]), (freed, [None])):
        effects = _proposed(world, directory)
        assert [after for name, after in effects if name == "orders-db-write"] in ([], least)
    world.adopt(directory=freed)
    assert ("orders-db-write", 3) in _proposed(world, DIRECTORY)  # listed anew, by two people, she would sign again


def _without(groups: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [each | ({"members": []} if each["id"] == name else {}) for each in groups]


def _proposed(world: World, directory: dict[str, Any]) -> list[tuple[str, int | None]]:
    view = world.broker.rulemaking.propose(
        world.principal("frank"), catalog=world.catalog, directory=directory, reason="people came and went"
    )
    found = [(each.entitlement, each.after.least if each.after else None) for each in view.effects.found]
    world.broker.rulemaking.reject(world.principal("frank"), view.proposal.id)
    return found
