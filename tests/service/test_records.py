"""Other people's records: draws are counted, thefts of deliveries alarm, and nothing that was missed is passed over."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from tests.world import CATALOG, World

from countersign.domain.lease import Lease, LeaseState
from countersign.domain.records import Act, Outcome, Record
from countersign.domain.refusals import LogUnavailable
from countersign.providers.base import Away, LeaseRef
from countersign.providers.records import Batch
from countersign.service.records import Records
from countersign.store.unit import records_part

DATABASE = {"id": "orders-db", "provider": "fake", "kind": "postgresql", "settings": {"mount": "database"}}


@dataclass(kw_only=True)
class Told:
    """A source that tells what a test puts into it, from wherever it is asked to go on."""

    name: str = "openbao-audit fake"
    delay: timedelta = timedelta(seconds=2)
    every: timedelta = timedelta(0)
    by_lease: bool = False
    tells_acts: bool = True
    blind: str | None = None
    records: list[Record] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    away: bool = False

    def begin(self) -> Mapping[str, Any]:
        self._demand_here()
        return {"next": len(self.records)}

    def read(self, cursor: Mapping[str, Any], leases: Sequence[LeaseRef]) -> Batch:
        del leases
        self._demand_here()
        gaps, self.gaps = tuple(self.gaps), []
        new = tuple(self.records[cursor["next"] :])
        return Batch(records=new, cursor={"next": len(self.records)}, gaps=gaps)

    def blind_to(self, grants: Mapping[str, Any]) -> str | None:
        del grants
        return self.blind

    def concerns(self, target: Mapping[str, Any]) -> bool:
        return bool(target["provider"] == "fake")

    def _demand_here(self) -> None:
        if self.away:
            raise Away("not there")


@pytest.fixture
def told(world: World) -> Told:
    """A source that is followed, at a world whose targets are databases behind OpenBao."""
    source = Told()
    other = {"id": "other-db", "provider": "fake", "kind": "openbao", "settings": {}}
    world.adopt(catalog=CATALOG | {"target": [DATABASE, other]})
    world.sources = [source]
    world.restart()
    world.issuing.records.follow()
    return source


def lease_of(world: World, lease_id: str) -> Lease:
    with world.store.read() as tx:
        lease = tx.lease(lease_id)
    assert lease is not None
    return lease


def anomalies(world: World) -> list[tuple[str, str]]:
    rows = world.facts("provider.anomaly")
    return [(str(json.loads(row["leaf"])["data"]["kind"]), str(row["subject"])) for row in rows]


def read_of(world: World, lease_id: str | None, mark: str, **more: Any) -> Record:  # noqa: ANN401 - fields of Record
    values: dict[str, Any] = {
        "at": world.clock(),
        "act": Act.READ,
        "outcome": Outcome.DONE,
        "what": "read database/creds/orders-ro",
        "lease_id": lease_id,
        "mark": mark,
        "place": "database",
    }
    return Record(**values | more)


def test_one_read_is_a_draw_and_a_second_one_ends_the_lease_at_once(world: World, told: Told) -> None:
    lease = world.draw(world.granted()).lease
    told.records += [read_of(world, lease.id, "1")] * 2
    assert world.issuing.records.follow() == 0
    assert not anomalies(world)
    told.records.append(read_of(world, lease.id, "2", outcome=Outcome.FAILED))
    assert world.issuing.records.follow() == 1
    assert anomalies(world) == [("read-again", lease.id)]
    assert world.sweep() == 1
    assert not world.provider.works(lease.id)
    dead = lease_of(world, lease.id)
    assert (dead.state, dead.cause) == (LeaseState.REVOKED, "anomaly")


def test_the_count_outlives_a_restart_and_no_record_is_judged_twice(world: World, told: Told) -> None:
    lease = world.draw(world.granted()).lease
    told.records.append(read_of(world, lease.id, "1"))
    world.issuing.records.follow()
    world.restart()
    told.records.append(read_of(world, lease.id, "2"))
    world.issuing.records.follow()
    world.restart()
    world.issuing.records.follow()
    assert anomalies(world) == [("read-again", lease.id)]


def test_two_brokers_at_one_source_judge_each_record_once(world: World, told: Told) -> None:
    lease = world.draw(world.granted()).lease
    peer = Records(office=world.broker.office, sources=[told])
    with world.store.read() as tx:
        state = tx.source(told.name)
    assert state is not None
    told.records += [read_of(world, lease.id, "1"), read_of(world, lease.id, "2")]
    batch = told.read(state.cursor, [])
    world.issuing.records.follow()
    with pytest.raises(Exception, match="at the same moment"):
        peer._keep(told, state, batch)
    assert peer.follow() == 0
    assert len(anomalies(world)) == 1


def test_when_the_log_cannot_be_written_the_record_is_judged_later(
    world: World, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = world.draw(world.granted()).lease
    told.records += [read_of(world, lease.id, "1"), read_of(world, lease.id, "2")]

    def broken(*_: object, **__: object) -> None:
        raise LogUnavailable("full")

    with monkeypatch.context() as patch:
        patch.setattr("countersign.store.log.append", broken)
        with pytest.raises(LogUnavailable):
            world.issuing.records.follow()
    assert lease_of(world, lease.id).state is LeaseState.ACTIVE
    world.issuing.records.follow()
    assert anomalies(world) == [("read-again", lease.id)]


def test_a_credential_that_no_lease_explains_was_issued_outside(world: World, told: Told) -> None:
    told.records += [
        read_of(world, None, "1"),
        read_of(world, "lse_zzzzzzzzzzzzzzzz", "2", place="elsewhere"),
        read_of(world, None, "3", place="elsewhere"),
        read_of(world, None, "4", outcome=Outcome.REFUSED),
    ]
    world.issuing.records.follow()
    assert anomalies(world) == [("issued-outside", "database"), ("issued-outside", "lse_zzzzzzzzzzzzzzzz")]


def test_the_token_behind_a_login_is_used_for_nothing_else(world: World, told: Told) -> None:
    lease = world.draw(world.granted()).lease
    told.records.append(read_of(world, lease.id, "1", act=Act.USE, what="update auth/token/create", place="auth/token"))
    assert world.issuing.records.follow() == 1
    assert anomalies(world) == [("child-token-used", lease.id)]


def delivery(world: World, outcome: Outcome, lease_id: str | None = None) -> Record:
    return read_of(world, lease_id, "9", act=Act.DELIVERY, outcome=outcome, wrapping="hmac-sha256:1", place="")


def wrapped(world: World, told: Told) -> Lease:
    """Return a lease whose delivery was wrapped for a minute and opened once."""
    lease = world.draw(world.granted()).lease
    until = world.clock() + timedelta(seconds=60)
    told.records += [
        read_of(world, lease.id, "1", wrapping="hmac-sha256:1", wrapping_until=until),
        delivery(world, Outcome.DONE, lease.id),
    ]
    world.issuing.records.follow()
    assert not anomalies(world)
    return lease


def test_an_unwrap_that_fails_within_its_time_is_an_alarm_and_kills_the_lease(world: World, told: Told) -> None:
    lease = wrapped(world, told)
    world.clock.forward(seconds=5)
    told.records.append(delivery(world, Outcome.FAILED))
    assert world.issuing.records.follow() == 1
    assert anomalies(world) == [("opened-by-another", lease.id)]
    assert lease_of(world, lease.id).cause == "anomaly"


def test_an_unwrap_that_comes_too_late_or_after_the_end_is_none(world: World, told: Told) -> None:
    lease = wrapped(world, told)
    late = delivery(world, Outcome.FAILED)
    world.broker.control.give_back(world.principal("alice"), lease.grant_id)
    world.clock.forward(seconds=1)
    told.records += [delivery(world, Outcome.FAILED), replace(late, at=late.at + timedelta(seconds=61))]
    assert world.issuing.records.follow() == 0
    assert not anomalies(world)


def test_whoever_gives_back_what_he_could_not_open_still_raises_the_alarm(world: World, told: Told) -> None:
    lease = wrapped(world, told)
    failed = delivery(world, Outcome.FAILED)
    world.clock.forward(seconds=1)
    world.broker.control.give_back(world.principal("alice"), lease.grant_id)
    told.records.append(failed)
    world.issuing.records.follow()
    assert anomalies(world) == [("opened-by-another", lease.id)]


def test_what_was_lost_of_a_source_is_a_fact(world: World, told: Told) -> None:
    assert [row["subject"] for row in world.facts("records.began")] == [told.name]
    told.gaps = ["the file that was read last is gone"]
    world.issuing.records.follow()
    world.issuing.records.follow()
    [gap] = world.facts("records.gap")
    assert json.loads(gap["leaf"])["data"]["why"] == "the file that was read last is gone"


@pytest.mark.parametrize("before", ["ever read", "never read"])
def test_a_source_that_falls_silent_says_so_once_and_again_when_it_is_heard(
    world: World, told: Told, before: str
) -> None:
    ever_read = before == "ever read"
    source = told if ever_read else Told(name="another", away=True)
    seconds = iter(range(0, 100_000, 40))
    following = Records(office=world.broker.office, sources=[source], monotonic=lambda: next(seconds))
    source.away = True
    for _ in range(3):
        following.follow()
    assert [row["subject"] for row in world.facts("records.silent")] == [source.name]
    source.away = False
    following.follow()
    assert len(world.facts("records.heard")) == int(ever_read)
    assert len(world.facts("records.began")) == (1 if ever_read else 2)


def test_kinds_of_use_are_counted_and_what_is_too_many_is_counted_together(
    world: World, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records_part, "MOST_KINDS_OF_USE", 2)
    lease = world.draw(world.granted(what="orders-db-wrapped")).lease
    told.records += [
        read_of(world, lease.id, str(n), act=Act.USE, what=f"read kv/data/{n % 4}", place="kv") for n in range(12)
    ]
    world.issuing.records.follow()
    with world.store.read() as tx:
        uses = {use.what: use.count for use in tx.uses([lease.id])}
        assert lease_of(world, lease.id).last_used_at == world.clock()
    assert uses == {"read kv/data/0": 3, "read kv/data/1": 3, records_part.REST: 6}


def test_a_use_outside_of_a_lease_s_life_is_an_alarm(world: World, told: Told) -> None:
    lease = world.draw(world.granted(what="orders-db-wrapped", seconds=60)).lease
    world.clock.forward(seconds=70)
    world.sweep()
    told.records += [
        read_of(world, lease.id, "1", act=Act.USE, what="read kv/data/1", place="kv", outcome=Outcome.REFUSED),
        read_of(world, lease.id, "2", act=Act.USE, what="read kv/data/1", place="kv"),
    ]
    world.issuing.records.follow()
    assert anomalies(world) == [("used-outside-its-life", lease.id)]
    with world.store.read() as tx:
        assert [use.outside for use in tx.uses([lease.id])] == [True, True]
