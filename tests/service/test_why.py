"""Why: the answers name what the judgement does, in each of the cases in which somebody does not count."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tests.emergencies import GLASS_CATALOG, ROOT, with_groups
from tests.world import CATALOG, DIRECTORY, World, entitlement

from countersign.domain.emergency import Emergency
from countersign.domain.refusals import Invalid, NotFound, NotPermitted, Refused
from countersign.service.explaining import Explanation


def why(world: World, request_id: str, who: str = "alice") -> Explanation:
    return world.broker.explanations.request(world.principal(who), request_id)


def codes(found: Explanation) -> set[str]:
    return {each.code for each in found.obstacles}


def hindrances(found: Explanation) -> dict[str, str]:
    return {each.person: each.hindrance.value for each in found.words if each.hindrance is not None}


def changed(*, out: dict[str, str] | None = None, **accounts: dict[str, Any]) -> dict[str, Any]:
    """Return the directory with some out of a group, and some accounts changed."""
    directory = copy.deepcopy(DIRECTORY)
    for person, group in (out or {}).items():
        next(g for g in directory["group"] if g["id"] == group)["members"].remove(person)
    directory["principal"] = [a | accounts.pop(a["id"], {}) for a in directory["principal"]]
    return directory


def test_a_pending_request_says_who_counted_and_whose_signature_is_wanting(world: World) -> None:
    request = world.ask(what="orders-db-write", parameters={"table": "orders"})
    world.review(request, "bob")
    found = why(world, request.id)
    assert (found.rule, found.state, found.obstacles) == ("review", "pending", ())
    assert [(f.group, f.have, f.by) for f in found.factors] == [("orders-owners", 1, ("bob",)), ("security", 0, ())]
    assert found.could_sign == ("carol",)
    assert found.changes == ("1 more of security to sign: carol",)


def test_what_nobody_can_fill_any_more_says_so(world: World) -> None:
    request = world.ask(what="orders-db-write", parameters={"table": "orders"})
    world.adopt(directory=changed(out={"carol": "security"}))
    assert "1 more of security to sign: nobody who could is left" in why(world, request.id).changes


@pytest.mark.parametrize(
    ("directory", "hindrance"),
    [
        (changed(out={"bob": "orders-owners"}), "not-an-approver"),
        (changed(bob={"human": False}), "machine"),
        (changed(bob={"person": "dave", "id": "bob-x"}), "unresolved"),
        (changed(bob={"environments": ["staging"]}), "other-environment"),
    ],
)
def test_who_no_longer_counts_is_named_with_why(world: World, directory: dict[str, Any], hindrance: str) -> None:
    grant_id = world.granted()
    world.adopt(directory=directory)
    found = world.broker.explanations.grant(world.principal("alice"), grant_id)
    assert hindrances(found) == {"bob": hindrance}
    assert "approval-void" in codes(found)
    with pytest.raises(Refused) as refused:
        world.draw(grant_id)
    assert refused.value.code in codes(found)


def test_a_disabled_approver_an_author_and_a_changed_rule_are_named(world: World) -> None:
    grant_id = world.granted()
    world.broker.control.disable(world.principal("olga"), "bob", reason="left")
    found = world.broker.explanations.grant(world.principal("alice"), grant_id)
    assert hindrances(found) == {"bob": "disabled"}
    request = world.ask("dave")
    world.review(request, "carol")
    with world.store.begin() as tx:
        tx.set_rule_authors("orders-db-read", {"carol", "frank"})
    world.restart()
    assert hindrances(why(world, request.id, "dave")) == {"carol": "author-of-the-rule"}
    assert why(world, request.id, "dave").authors == ("carol", "frank")
    longer = [entitlement("orders-db-read", max_duration_s=1800), *CATALOG["entitlement"][1:]]
    world.adopt(catalog={**CATALOG, "entitlement": longer})
    found = why(world, request.id, "dave")
    assert ("rule-changed" in codes(found), found.factors) == (True, ())


def test_a_stop_a_lost_role_and_the_clock_stand_in_the_way(world: World) -> None:
    grant_id = world.granted()
    world.adopt(directory=changed(out={"alice": "engineers"}))
    found = world.broker.explanations.grant(world.principal("bob"), grant_id)
    assert "not-eligible" in codes(found)
    world.adopt(directory=DIRECTORY)
    world.clock.forward(seconds=301)
    assert "window-over" in codes(world.broker.explanations.grant(world.principal("alice"), grant_id))
    pending = world.ask("dave", "orders-db-wrapped")
    world.clock.forward(seconds=601)
    assert "window-over" in codes(why(world, pending.id, "dave"))
    world.broker.control.stop(world.principal("olga"), scope="entitlement", target="orders-db-read", reason="fire")
    assert "stopped" in codes(_supposed(world, "alice"))


def test_an_emergency_names_its_own_rule(world: World) -> None:
    world.adopt(catalog=GLASS_CATALOG, directory=with_groups())
    request = world.ask(what=ROOT, emergency=Emergency(incident="INC-1"))
    found = why(world, request.id)
    assert (found.rule, found.could_sign) == ("break_glass.review", ("bob", "carol", "hugo"))


def _supposed(world: World, person: str, who: str | None = None, what: str = "orders-db-read") -> Explanation:
    return world.broker.explanations.supposed(world.principal(who or person), what, person=person)


def test_what_would_come_of_asking_is_what_comes_of_it(world: World) -> None:
    found = _supposed(world, "alice")
    assert (found.obstacles, found.could_sign) == ((), ("bob", "carol"))
    for person in ("alice", "dave", "bob", "carol", "frank", "erin"):
        told = codes(_supposed(world, person, "erin"))
        came: set[str] = set()
        try:
            world.ask(person)
        except Refused as refused:
            came = {refused.code}
        assert bool(came) == bool(told), person
        assert came <= told, person
    assert "not-eligible" in codes(_supposed(world, "alice", what="orders-db-nobody"))
    assert dict(_supposed(world, "bob", "erin").could_not)["bob"].value == "own-request"


def test_strangers_are_told_nothing(world: World) -> None:
    request = world.ask()
    grant_id = world.granted()
    for who in ("dave", "frank"):
        with pytest.raises(NotFound):
            why(world, request.id, who)
        with pytest.raises(NotFound):
            world.broker.explanations.grant(world.principal(who), grant_id)
    with pytest.raises(NotPermitted):
        _supposed(world, "alice", "dave")
    for who in ("bob", "erin", "olga", "grace", "carol"):
        assert _supposed(world, "alice", who).could_sign
    with pytest.raises(NotFound):
        _supposed(world, "nobody", "erin")
    with pytest.raises(Invalid):
        _supposed(world, "alice", what="nothing")
