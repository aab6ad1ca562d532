"""The clock's standing in the log: one entry for each checkpoint that covers something, and none that feeds on itself."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.outside import outside
from tests.world import World

from countersign.auditlog.checkpoint import open_checkpoint
from countersign.auditlog.meaning import MeaningCheck
from countersign.bootstrap.outlets import state_clock
from countersign.providers.kernel_clock import kernel_clock
from countersign.service.checkpoints import Checkpoints
from countersign.store import Store


def telling(world: World) -> Checkpoints:
    """Let the world's checkpoints tell of the clock, as those of a broker that serves do."""
    checkpoints = replace(world.issuing.checkpoints, clock=lambda: state_clock(world.store))
    world.issuing.cosigning.checkpoints = checkpoints
    return checkpoints


def test_each_checkpoint_covers_what_is_known_of_the_clock_and_idling_adds_nothing(
    world: World, tmp_path: Path
) -> None:
    checkpoints = telling(world)
    for number in range(1, 4):
        world.ask("dave", "orders-db-thrice")
        for _ in range(3):
            note = checkpoints.sign()
        told = world.facts("checkpoint.clock")
        assert len(told) == number
        assert note is not None
        covered = open_checkpoint(note.encode(), [world.signer.verifier()]).checkpoint.size
        with world.store.read() as tx:
            assert covered == tx.head().size == told[-1]["index"] + 1
    # Witnesses that follow are content with that, too.
    with outside(world, tmp_path, count=1, quorum=1) as one:
        for _ in range(5):
            world.follow()
            world.clock.forward(seconds=1)
        assert one.keys
        assert len(world.facts("checkpoint.clock")) == 4
    data = json.loads(world.facts("checkpoint.clock")[-1]["leaf"])["data"]
    assert data["source"] == "system"
    assert data["offset_ms"] is None


def test_a_database_whose_clock_is_far_from_ours_is_a_finding() -> None:
    for offset, found in ((None, []), (1500, []), (-2500, ["clock-step"])):
        check = MeaningCheck()
        data = {"source": "database", "offset_ms": offset, "synchronised": True, "error_ms": 5}
        fact = {"v": 1, "type": "checkpoint.clock", "at": "2026-11-22T09:00:00.000Z", "actor": "countersign/checkpoint"}
        check.feed(0, {**fact, "subject": "clock", "data": data})
        assert [each.code for each in check.finish()] == found


def test_the_kernel_is_only_asked() -> None:
    found = kernel_clock()
    assert found is None or (found.error_ms >= 0 and isinstance(found.synchronised, bool))


def test_a_database_s_own_clock_is_compared_with_ours(database_url: str) -> None:
    store = Store(database_url, clock=lambda: datetime.now(UTC) - timedelta(seconds=60))
    fact = state_clock(store)
    store.close()
    if database_url.startswith("sqlite"):
        assert (fact.source, fact.offset_ms) == ("system", None)
    else:
        assert fact.source == "database"
        assert fact.offset_ms is not None
        assert 59_000 < fact.offset_ms < 61_000
