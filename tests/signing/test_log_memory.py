"""What the issuing half remembers of the log: a database that was set back, or a grant that was widened, gives nothing."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.world import World

from countersign.auditlog.merkle import Frontier, leaf_hash
from countersign.domain.refusals import ApprovalVoid, LogRewound
from countersign.service.memory import LogMemory
from countersign.store import Tx, schema


def unguarded(tx: Tx, world: World, *verbs: str) -> None:
    for verb in verbs if world.store.is_embedded else ("",):
        drop = f"DROP TRIGGER facts_{verb}_refused" if verb else "DROP TRIGGER facts_refused ON facts"
        tx._connection.exec_driver_sql(drop)


def set_head(tx: Tx, leaves: list[bytes]) -> None:
    grown = Frontier().extend([leaf_hash(leaf) for leaf in leaves])
    moved = {"size": grown.size, "root": grown.root(), "frontier": grown.encode()}
    tx._connection.execute(sa.update(schema.log_head).values(**moved))


def leaves(world: World) -> list[bytes]:
    return [bytes(entry.leaf) for entry in world.store.entries()]


def cut(world: World, size: int) -> None:
    """Take entries off the end of the log, and set its head back to fit."""
    kept = leaves(world)[:size]
    with world.store.begin() as tx:
        unguarded(tx, world, "DELETE")
        tx._connection.execute(sa.delete(schema.openings).where(schema.openings.c.index >= size))
        tx._connection.execute(sa.delete(schema.facts).where(schema.facts.c.index >= size))
        set_head(tx, kept)


def rewrite(world: World, index: int) -> None:
    """Change one entry, and every hash that follows from it."""
    changed = leaves(world)
    changed[index] = changed[index].replace(b"alice", b"alicf", 1)
    with world.store.begin() as tx:
        unguarded(tx, world, "UPDATE")
        values = {"leaf": changed[index], "leaf_hash": leaf_hash(changed[index])}
        tx._connection.execute(sa.update(schema.facts).where(schema.facts.c.index == index).values(**values))
        set_head(tx, changed)


def test_a_log_that_was_cut_stops_issuing_and_not_ending(world: World) -> None:
    drawn = world.draw(world.granted())
    grant = world.granted("dave")
    world.issuing.issuer.memory.demand_growth(world.store)
    cut(world, len(leaves(world)) - 1)
    with pytest.raises(LogRewound, match="entries, and had"):
        world.draw(grant, "dave")
    world.clock.forward(seconds=90)
    world.sweep()
    assert not world.provider.works(drawn.lease.id)


def test_a_log_with_another_past_stops_issuing_also_after_a_restart(world: World, tmp_path: Path) -> None:
    memory = LogMemory(path=tmp_path / "memory.json")
    world.draw(world.granted())
    memory.demand_growth(world.store)
    rewrite(world, next(row["index"] for row in world.facts("request.submitted")))
    world.ask("dave")
    with pytest.raises(LogRewound, match="not the one that was seen growing"):
        LogMemory(path=tmp_path / "memory.json").demand_growth(world.store)
    assert (tmp_path / "memory.json").stat().st_mode & 0o077 == 0


def test_a_log_that_only_grew_goes_on(world: World, tmp_path: Path) -> None:
    for _ in range(3):
        LogMemory(path=tmp_path / "memory.json").demand_growth(world.store)
        world.draw(world.granted())
        world.clock.forward(hours=4)


@pytest.mark.parametrize("change", [{"draws": 50}, {"duration_s": 86_400}, {"draw_by": timedelta(days=300)}])
def test_a_grant_widened_in_the_database_gives_nothing(world: World, change: dict[str, Any]) -> None:
    grant = world.granted()
    values = {name: world.clock() + value if isinstance(value, timedelta) else value for name, value in change.items()}
    with world.store.begin() as tx:
        tx._connection.execute(sa.update(schema.grants).where(schema.grants.c.id == grant).values(**values))
    with pytest.raises(ApprovalVoid, match="something else"):
        world.draw(grant)
    assert not world.provider.target.reserved


def test_a_disablement_that_is_hidden_in_the_database_still_holds(world: World) -> None:
    grant = world.granted()
    world.issuing.issuer.memory.demand_growth(world.store)
    world.broker.control.disable(world.principal("olga"), "bob", reason="left")
    world.issuing.issuer.memory.demand_growth(world.store)
    with world.store.begin() as tx:
        tx._connection.execute(sa.delete(schema.disabled))
    with pytest.raises(ApprovalVoid):
        world.draw(grant)
