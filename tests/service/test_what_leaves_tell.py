"""What the log discloses to whoever may read it: ids, parameters and rules, and never what people are called or wrote."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
from tests.quick import quick_world
from tests.world import DIRECTORY, World

from countersign.service.submission import Ask


@pytest.fixture
def world() -> Iterator[World]:
    directory = copy.deepcopy(DIRECTORY)
    for person in directory["person"]:
        person["name"] = f"Nomen-{person['id'].title()}"
    with quick_world(directory=directory) as made:
        yield made


def test_only_what_may_be_public_stands_in_leaves(world: World) -> None:
    broker, canary = world.broker, "canary text"
    ask = Ask(entitlement="orders-db-thrice", parameters={}, duration_s=60, reason=canary, ticket=canary)
    denied = broker.requests.submit(world.principal("dave"), ask)
    world.review(denied, deny=True)
    world.draw(world.granted())
    broker.control.stop(world.principal("olga"), scope="all", target=None, reason=canary)
    changed = copy.deepcopy(world.directory)
    changed["person"].append({"id": "newcomer", "name": "Nomen-Newcomer"})
    broker.rulemaking.propose(world.principal("frank"), catalog=world.catalog, directory=changed, reason=canary)
    world.adopt(directory=changed)
    broker.control.disable(world.principal("olga"), "newcomer", reason=canary)
    world.issuing.checkpoints.sign()
    leaves = b"\n".join(bytes(entry.leaf) for entry in world.store.entries())
    assert b'"newcomer"' in leaves
    assert b'"engineers"' in leaves
    for secret in (canary, "Nomen", "invoice", "OPS-1"):
        assert secret.encode() not in leaves
