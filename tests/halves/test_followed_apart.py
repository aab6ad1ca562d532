"""What the half that faces people knows of the records that the other one follows."""

from __future__ import annotations

from pathlib import Path

from tests.world import World

from countersign.bootstrap.followed_apart import FollowedApart
from countersign.domain.records import SourceState
from countersign.providers.aws.trail import CloudTrail
from countersign.providers.records import RecordSource
from countersign.providers.target.activity import PostgresActivity
from countersign.providers.target.client import PostgresTarget
from countersign.providers.target.log import PostgresLog
from countersign.providers.vault.audit import OpenBaoAudit


def test_every_source_that_is_followed_is_known_by_its_name_with_what_it_tells_of(world: World) -> None:
    real: list[RecordSource] = [
        CloudTrail(None, provider="aws"),
        OpenBaoAudit(Path("audit.log"), provider="vault"),
        PostgresActivity("orders-db", PostgresTarget("host=127.0.0.1")),
        PostgresLog("orders-db", Path("log")),
    ]
    known = FollowedApart(world.store)
    assert list(known) == []
    with world.store.begin() as tx:
        for name in (*(source.name for source in real), "something else"):
            tx.add_source(SourceState(name=name, cursor={}, since=tx.now, read_at=tx.now))
    target = {"id": "orders-db", "kind": "postgresql", "provider": "vault", "settings": {}}
    assert [source.name for source in known] == [source.name for source in real]
    assert len(known) == len(real)
    for one, other in zip(known, real, strict=True):
        assert (one.delay, one.tells_acts, one.by_lease) == (other.delay, other.tells_acts, other.by_lease)
        assert one.concerns(target) == other.concerns(target)
    assert [source.concerns(target) for source in known] == [False, False, True, True]
