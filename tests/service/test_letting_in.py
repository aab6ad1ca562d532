"""Who changes the directory profits from it no more than who changes a rule: whom he let in, he let in for others."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tests.emergencies import GLASS_CATALOG, with_groups
from tests.world import CATALOG, DIRECTORY, World

from countersign.config.catalog import parse_catalog
from countersign.config.directory import parse_directory
from countersign.domain.gains import Reach, brings_somebody_in
from countersign.domain.refusals import NotEligible
from countersign.domain.request import RequestState


def with_member(group: str, person: str, directory: dict[str, Any] = DIRECTORY) -> dict[str, Any]:
    changed = copy.deepcopy(directory)
    next(g for g in changed["group"] if g["id"] == group)["members"].append(person)
    return changed


def test_who_let_himself_in_does_not_ask(world: World) -> None:
    world.adopt(directory=with_member("engineers", "frank"))
    with pytest.raises(NotEligible, match="let somebody in"):
        world.ask("frank")
    assert world.ask("alice").state is RequestState.PENDING


def test_who_let_an_approver_in_is_not_approved_by_him_nor_signs_with_him(world: World) -> None:
    asking = with_member("engineers", "frank")
    world.adopt(directory=asking)
    others = copy.deepcopy(asking)
    others["person"] += [{"id": "heidi", "name": "Heidi"}, {"id": "ivan", "name": "Ivan"}]
    next(g for g in others["group"] if g["id"] == "authors")["members"] += ["heidi", "ivan"]
    world.adopt(directory=others)
    # Others let somebody in since: what frank did is theirs now, and he may ask.
    theirs = with_member("engineers", "oscar", others)
    theirs["group"] = [g | {"members": ["olga"]} if g["id"] == "operators" else g for g in theirs["group"]]
    made = world.broker.rulemaking.propose(
        world.principal("heidi"), catalog=CATALOG, directory=theirs, reason="oscar helps out"
    ).proposal
    world.broker.rulemaking.approve(world.principal("ivan"), made.id, digest=made.digest)
    assert world.ask("frank").state is RequestState.PENDING
    # Then he brings a friend in as approver, with grace: from then on he asks for nothing there.
    friend = with_member("orders-owners", "dave", theirs)
    world.adopt(directory=friend)
    with pytest.raises(NotEligible):
        world.ask("frank")


def test_a_grant_is_void_for_who_changes_the_directory_after_it(world: World) -> None:
    theirs = with_member("engineers", "frank")
    theirs["person"] += [{"id": "heidi", "name": "Heidi"}, {"id": "ivan", "name": "Ivan"}]
    next(g for g in theirs["group"] if g["id"] == "authors")["members"] += ["heidi", "ivan"]
    world.adopt(
        directory={
            **theirs,
            "group": [g | {"members": ["alice", "dave"]} if g["id"] == "engineers" else g for g in theirs["group"]],
        }
    )
    made = world.broker.rulemaking.propose(
        world.principal("heidi"), catalog=CATALOG, directory=theirs, reason="frank helps out"
    ).proposal
    world.broker.rulemaking.approve(world.principal("ivan"), made.id, digest=made.digest)
    grant_id = world.granted("frank")
    world.adopt(directory=with_member("orders-owners", "dave", theirs))
    with pytest.raises(NotEligible):
        world.draw(grant_id, "frank")


def test_who_only_takes_people_out_is_no_author(world: World) -> None:
    fewer = copy.deepcopy(DIRECTORY)
    next(g for g in fewer["group"] if g["id"] == "engineers")["members"] = ["alice"]
    world.adopt(directory=fewer)
    with world.store.read() as tx:
        rules = world.broker.office.rules.current(tx)
    assert rules.authors_of("orders-db-read") == frozenset()


def moved(**account: Any) -> dict[str, Any]:  # noqa: ANN401 - keys of an account
    changed = copy.deepcopy(DIRECTORY)
    changed["principal"].append(account)
    return changed


@pytest.mark.parametrize(
    ("directory", "touched"),
    [
        (
            with_member("engineers", "frank"),
            {"orders-db-read", "orders-db-thrice", "orders-db-write", "orders-db-wrapped"},
        ),
        (with_member("security", "dave"), {"orders-db-write"}),
        (with_member("interns", "dave"), {"orders-db-nobody"}),
        (with_member("authors", "alice"), set()),
        (moved(id="carol-2", person="carol", human=False), set()),
        (
            moved(id="bob-2", person="bob"),
            {"orders-db-read", "orders-db-thrice", "orders-db-write", "orders-db-wrapped", "orders-db-nobody"},
        ),
        (moved(id="bob-2", person="bob", environments=["staging"]), set()),
    ],
)
def test_only_where_somebody_comes_within_reach_by_whatever_account(
    directory: dict[str, Any], touched: set[str]
) -> None:
    if any(a["id"] == "carol-2" for a in directory["principal"]):
        directory["principal"].append({"id": "carol", "person": "carol"})
    before, after = Reach(directory=parse_directory(DIRECTORY)), Reach(directory=parse_directory(directory))
    items = parse_catalog(CATALOG).entitlements
    assert {name for name, item in items.items() if brings_somebody_in(item, before, after)} == touched


def test_who_is_put_on_call_comes_within_reach_of_what_breaks_glass() -> None:
    before = Reach(directory=parse_directory(with_groups()))
    after = Reach(directory=parse_directory(with_groups(security=["carol", "bob"])))
    items = parse_catalog(GLASS_CATALOG).entitlements
    assert brings_somebody_in(items["orders-db-root"], before, after)
    assert not brings_somebody_in(items["orders-db-read"], before, after)
