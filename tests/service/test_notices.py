"""Notices of emergencies: told at once to whom the rules name, on record, and alarmed when nobody takes them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.emergencies import GLASS_CATALOG, ROOT, with_groups
from tests.receivers import SECRET, SPELLED_SECRET, Inbox, receiving
from tests.world import Clock, World

from countersign.bootstrap.outlets import make_outlets
from countersign.config.settings import load_settings
from countersign.domain.emergency import Emergency, Verdict
from countersign.domain.refusals import NotPermitted
from countersign.service.followers import LAST_RETRY, Follower
from countersign.service.notices import Notices, UnaddressedNotices
from countersign.service.rules import RuleReader
from countersign.service.streams.destination import Destination
from countersign.service.streams.webhook import Receiver
from countersign.store import Store

NOTICES = {"orders-owners": ["owners"], "security": ["security"]}


@pytest.fixture
def world(store: Store, clock: Clock) -> World:
    catalog = {**GLASS_CATALOG, "trust": {"notices": NOTICES}}
    return World(store=store, clock=clock, catalog=catalog, directory=with_groups())


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with receiving() as inbox:
        yield inbox


def followers(world: World, inbox: Inbox, *names: str) -> list[Follower]:
    return [
        *(
            Notices(
                store=world.store,
                rules=RuleReader(),
                receiver=Receiver(
                    name=name, destination=Destination(url=f"{inbox.url}/{name}"), secret=SECRET, clock=world.clock
                ),
            )
            for name in names
        ),
        UnaddressedNotices(store=world.store, rules=RuleReader(), known=frozenset(names)),
    ]


def break_glass(world: World) -> str:
    request = world.ask("alice", ROOT, emergency=Emergency(incident="INC-7", drill=False), reason="the heron landed")
    world.review(request, "hugo")
    with world.store.read() as tx:
        grant = tx.grant_of_request(request.id)
    assert grant is not None
    return grant.id


def data(world: World, kind: str) -> list[dict[str, Any]]:
    return [json.loads(row["leaf"])["data"] for row in world.facts(kind)]


def test_the_owners_who_were_skipped_are_told_each_by_their_receiver_and_it_is_on_record(
    world: World, inbox: Inbox
) -> None:
    world.follow(*followers(world, inbox, "owners", "security"))
    grant = break_glass(world)
    world.follow()
    assert sorted(post.path for post in inbox.posts) == ["/hook/owners", "/hook/security"]
    for post in inbox.posts:
        assert post.verifies()
        said = post.said
        assert said["type"] == "break-glass.opened"
        assert (said["data"]["grant"], said["data"]["person"], said["data"]["incident"]) == (grant, "alice", "INC-7")
        assert said["data"]["skipped"] == ["bob", "carol"]
        assert b"heron" not in post.body
    delivered = data(world, "notice.delivered")
    assert sorted(each["receiver"] for each in delivered) == ["owners", "security"]
    assert all(each["skipped"] == ["bob", "carol"] for each in delivered)
    assert data(world, "notice.unaddressed") == []


def test_an_everyday_grant_is_no_news(world: World, inbox: Inbox) -> None:
    world.follow(*followers(world, inbox, "owners", "security"))
    world.granted()
    world.follow()
    assert inbox.posts == []


def test_what_nobody_takes_is_alarmed_once_and_tried_until_it_is_taken(world: World, inbox: Inbox) -> None:
    world.follow(*followers(world, inbox, "owners", "security"))
    inbox.answer = lambda post: 503 if post.path.endswith("owners") else 204
    break_glass(world)
    for _ in range(4):
        world.follow()
        world.clock.forward(seconds=LAST_RETRY.total_seconds())
    assert [each["receiver"] for each in data(world, "notice.delivered")] == ["security"], "one delays no other"
    [failed] = data(world, "notice.failed")
    assert (failed["receiver"], failed["trouble"]) == ("owners", "127.0.0.1 answered 503")
    assert any(lag.alarming for lag in world.broker.followers.look() if lag.name == "notice:owners")
    inbox.answer = lambda _: 204
    world.follow()
    assert sorted(each["receiver"] for each in data(world, "notice.delivered")) == ["owners", "security"]
    assert data(world, "notice.delivered")[-1]["after_ms"] >= 4 * LAST_RETRY.total_seconds() * 1000
    assert len(data(world, "notice.failed")) == 1


def test_after_a_crash_what_is_on_record_as_taken_is_not_sent_again(world: World, inbox: Inbox) -> None:
    follower = followers(world, inbox, "owners")[0]
    break_glass(world)
    entries = list(world.store.entries())
    follower.handle(entries)
    follower.handle(entries)
    assert len(inbox.posts) == len(data(world, "notice.delivered")) == 1


def test_groups_whom_nobody_can_tell_are_told_of_in_the_log(world: World, inbox: Inbox) -> None:
    world.follow(*followers(world, inbox, "owners"))
    break_glass(world)
    world.follow()
    [said] = data(world, "notice.unaddressed")
    assert (said["groups"], said["receivers"]) == ([], ["security"]), "the settings do not know that receiver"
    world.adopt(catalog={**GLASS_CATALOG, "trust": {"notices": {"security": ["security"]}}})
    second = world.ask("dave", ROOT, emergency=Emergency(incident="INC-8", drill=True))
    world.review(second, "hugo")
    world.follow()
    assert data(world, "notice.unaddressed")[-1]["groups"] == ["orders-owners"]


def test_that_nobody_looked_at_an_emergency_afterwards_is_told_as_well(world: World, inbox: Inbox) -> None:
    world.follow(*followers(world, inbox, "owners"))
    break_glass(world)
    world.clock.forward(seconds=3601)
    world.sweep()
    world.follow()
    assert [post.said["type"] for post in inbox.posts] == ["break-glass.opened", "break-glass.unreviewed"]


def test_the_notice_of_a_running_broker_arrives_within_a_second_and_verifies(
    world: World, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("countersign.bootstrap.outlets.now", world.clock)
    settings = load_settings(mode="embedded", webhooks={"owners": {"url": inbox.url, "secret": SPELLED_SECRET}})
    world.followers = make_outlets(world.store, settings)
    world.restart()
    world.running.metronome.start()
    try:
        lived = break_glass(world)
        begun = time.monotonic()
        post = inbox.wait_for(lambda _: True, within=10)
        assert post.at - begun < 1
        assert post.verifies()
        assert post.said["data"]["grant"] == lived
    finally:
        world.running.metronome.stop()
        world.broker.followers.stop()


def test_the_question_after_all_break_glass_tells_who_was_told_and_what_was_said_afterwards(
    world: World, inbox: Inbox
) -> None:
    world.follow(*followers(world, inbox, "owners", "security"))
    first = break_glass(world)
    world.follow()
    world.broker.afterwards.review(world.principal("carol"), first, verdict=Verdict.JUSTIFIED, comment="I looked")
    world.clock.forward(seconds=700)
    world.sweep()
    second = break_glass(world)
    world.clock.forward(seconds=3601)
    world.sweep()
    one, other = world.broker.inquiries.break_glass(world.principal("erin"))
    assert (one.grant, one.verdict, one.reviewer, sorted(one.told)) == (
        first,
        "justified",
        "carol",
        ["owners", "security"],
    )
    assert (one.incident, one.approvers, one.skipped, one.late) == ("INC-7", ("hugo",), ("bob", "carol"), False)
    assert (other.grant, other.verdict, other.escalated, other.told) == (second, None, True, [])
    kinds = {row["index"]: row["type"] for row in world.facts()}
    assert [kinds[index] for index in one.entries] == [
        "break-glass.opened",
        "notice.delivered",
        "notice.delivered",
        "break-glass.reviewed",
    ]
    with pytest.raises(NotPermitted):
        world.broker.inquiries.break_glass(world.principal("alice"))
