"""Cosignatures on both databases: kept for good, counted rightly, and gathered by two brokers at once."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError
from tests.outside import outside
from tests.world import World

from countersign.auditlog.witnessing import witnesses_of
from countersign.service.issuing import Issuing
from countersign.store.witness_tables import cosignatures


def size_of(world: World) -> int:
    with world.store.read() as tx:
        return tx.head().size


def test_two_brokers_on_one_database_do_not_dispute_with_their_witness(world: World, tmp_path: Path) -> None:
    first = world.issuing
    world.restart()
    failures: list[BaseException] = []

    def go(issuing: Issuing) -> None:
        try:
            for _ in range(6):
                assert issuing.cosigning.is_cosigned(size_of(world), within_s=5)
        except BaseException as error:  # noqa: BLE001 - told to the test below
            failures.append(error)

    with outside(world, tmp_path, count=1, quorum=1) as one:
        first.cosigning.submit = one.submit
        threads = [threading.Thread(target=go, args=[issuing]) for issuing in (first, world.issuing) for _ in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(4):
            world.ask("dave", "orders-db-thrice")
            world.issuing.checkpoints.sign()
        for thread in threads:
            thread.join()
    assert failures == []
    assert world.facts("witness.disputed") == []


def test_cosignatures_are_counted_by_quorum_shown_and_never_changed(world: World, tmp_path: Path) -> None:
    with outside(world, tmp_path, count=2, quorum=2) as two:
        world.ask()
        world.follow()
        assert len(witnesses_of(world.broker.publication.checkpoint(), two.keys)) == 2
        vkeys = [key.vkey() for key in two.keys]
        with world.store.read() as tx:
            assert tx.cosigned_size(vkeys, 2) == size_of(world)
            assert tx.cosigned_size(vkeys, 3) == tx.cosigned_size(["another"], 1) == 0
    for statement in (sa.delete(cosignatures), sa.update(cosignatures).values(size=1)):
        with pytest.raises(DatabaseError), world.store._engine.begin() as connection:
            connection.execute(statement)
