"""An honest log that holds one of everything, and the means to rewrite it with right hashes."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from tests.quick import quick_world
from tests.world import CATALOG, World, entitlement

from countersign.auditlog.anchors import Head
from countersign.auditlog.leaf import Entry
from countersign.auditlog.meaning import MeaningCheck
from countersign.auditlog.merkle import Frontier, leaf_hash
from countersign.auditlog.report import Report
from countersign.auditlog.verify import verify_entries
from countersign.domain.canonical import canonical, digest
from countersign.domain.request import DIGEST_LABEL

Row = dict[str, Any]
Log = list[Row]


def rows_of(world: World) -> Log:
    """Return a world's log as plain JSON."""
    return [json.loads(entry.leaf) for entry in world.store.entries()]


@cache
def _honest() -> tuple[Row, ...]:
    with quick_world() as world:
        control, clock = world.broker.control, world.clock
        two = world.ask(what="orders-db-write", parameters={"table": "orders"}, seconds=600)
        world.review(two, "bob")
        world.review(two, "carol")
        world.review(world.ask("dave"), deny=True)
        three = world.granted(what="orders-db-thrice", seconds=600)
        world.draw(three)
        clock.forward(seconds=100)
        world.draw(three)
        with world.store.read() as tx:
            grant = tx.grant_of_request(two.id)
        assert grant is not None
        world.draw(grant.id)
        clock.forward(seconds=700)
        world.sweep()
        stop = control.stop(world.principal("olga"), scope="person", target="dave", reason="it looks wrong").stop
        assert stop is not None
        clock.forward(seconds=1)
        world.draw(world.granted())
        control.lift(world.principal("oscar"), stop.id)
        world.draw(world.granted("dave"), "dave")
        control.disable(world.principal("olga"), "dave", reason="left")
        world.adopt(catalog=CATALOG | {"entitlement": [*CATALOG["entitlement"], entitlement("another")]})
        clock.forward(seconds=10)
        lost = world.draw(world.granted(what="orders-db-thrice"))
        world.issuing.issuer.undelivered(lost.lease.id)
        clock.forward(seconds=400)
        world.sweep()
        clock.forward(seconds=400)
        world.ask()
        return tuple(rows_of(world))


def honest() -> Log:
    """Return a fresh copy of the honest log."""
    return copy.deepcopy(list(_honest()))


def place(log: Log, kind: str, which: int = 0, **data: object) -> int:
    """Return the index of the so-manieth entry of a type whose data says this."""
    found = [i for i, row in enumerate(log) if row["type"] == kind and data.items() <= row["data"].items()]
    return found[which]


def about(log: Log, subject: str, kind: str) -> int:
    """Return the index of the first entry of a type about a thing."""
    return next(i for i, row in enumerate(log) if (row["subject"], row["type"]) == (subject, kind))


def reseal(log: Log, index: int) -> None:
    """Give a request's entry the digest of what it now says."""
    data = log[index]["data"]
    data["digest"] = digest(DIGEST_LABEL, data["statement"])


def rebuilt(log: Sequence[Row]) -> tuple[list[Entry], Head]:
    """Return entries and head as a forger makes them who can hash."""
    leaves = [canonical(row) for row in log]
    hashes = [leaf_hash(leaf) for leaf in leaves]
    entries = [
        Entry(index=i, leaf=leaf, leaf_hash=hashed) for i, (leaf, hashed) in enumerate(zip(leaves, hashes, strict=True))
    ]
    return entries, Head(size=len(entries), root=Frontier.of(hashes).root())


def verified(log: Sequence[Row]) -> Report:
    """Verify bytes and meaning of a rebuilt log."""
    entries, head = rebuilt(log)
    check = MeaningCheck()
    bytes_only = verify_entries(entries, head=head, checkpoints=[], verifiers=[], reader=check)
    assert bytes_only.ok, bytes_only.failures
    return check.joined(bytes_only)


Forgery = Callable[[Log], int]
"""Forges a log in place, and returns the index at which that must be named."""
