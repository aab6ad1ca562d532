"""The broker's side of witnesses: cosigned in time, kept, shown, demanded; and what a witness that lies comes to."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.logs import GrownLog
from tests.outside import Bend, Outside, outside
from tests.quick import quick_world
from tests.witnesses import WitnessProcess
from tests.world import CATALOG, World, entitlement

from countersign.auditlog.checkpoint import open_checkpoint
from countersign.auditlog.proof import LogProof, verify_proof
from countersign.auditlog.signer import Cosigner
from countersign.auditlog.witnessing import read_witness_key, witnesses_of
from countersign.config.catalog import parse_catalog
from countersign.config.problems import ConfigError
from countersign.domain.refusals import NotCosigned, NotPermitted
from countersign.providers.witness import WitnessAnswer, WitnessAway, WitnessWire
from countersign.service import cosigning


@pytest.fixture
def world() -> Iterator[World]:
    with quick_world() as made:
        yield made


@pytest.fixture
def one(world: World, tmp_path: Path) -> Iterator[Outside]:
    with outside(world, tmp_path, count=1, quorum=1) as made:
        yield made


@pytest.fixture
def three(world: World, tmp_path: Path) -> Iterator[Outside]:
    with outside(world, tmp_path, count=3, quorum=2) as made:
        yield made


def size_of(world: World) -> int:
    with world.store.read() as tx:
        return tx.head().size


def published(world: World) -> str:
    return world.broker.publication.checkpoint()


def behind(world: World) -> int:
    [found] = [each for each in world.broker.followers.look() if each.name == "witnesses"]
    return found.behind


def test_what_is_shown_to_the_world_bears_the_witness_s_name(world: World, one: Outside) -> None:
    world.ask()
    world.follow()
    note = published(world)
    assert list(witnesses_of(note, one.keys)) == [one.keys[0].name]
    opened = open_checkpoint(note.encode(), [world.signer.verifier(), *one.keys])
    assert opened.checkpoint.size == size_of(world)
    assert behind(world) == 0
    proof = LogProof.decode(world.broker.publication.proof(0))
    with world.store.read() as tx:
        leaf = tx.facts(limit=1)[0]["leaf"]
    verify_proof(proof, leaf, log=world.signer.verifier(), witnesses=one.keys, quorum=1)
    assert len(proof.encode()) <= 1500


def test_without_witnesses_nobody_is_asked_and_nothing_lags(world: World) -> None:
    world.ask()
    world.follow()
    assert behind(world) == 0
    world.issuing.checkpoints.sign()
    assert published(world) == world.broker.evidence.newest_checkpoint()


def test_a_quorum_is_enough_and_the_one_that_is_away_catches_up_by_itself(world: World, three: Outside) -> None:
    lost = three.urls()[2]
    three.away.add(lost)
    for _ in range(3):
        world.ask()
        world.review(world.ask("dave"))
        world.follow()
    assert behind(world) == 0
    assert len(witnesses_of(published(world), three.keys)) == 2
    quorum, standings = world.broker.witnesses.standings(world.principal("olga"))
    assert quorum == 2
    assert [each.behind for each in standings] == [0, 0, size_of(world)]
    assert standings[2].trouble == "no answer: ConnectionRefusedError"
    three.away.clear()
    world.ask("dave", "orders-db-thrice")
    world.follow()
    drained(world)
    assert [each.size for each in world.broker.witnesses.standings(world.principal("erin"))[1]] == [size_of(world)] * 3
    assert len(witnesses_of(published(world), three.keys)) == 3


def drained(world: World) -> None:
    """Wait for the hands that were not waited for because a quorum was there without them."""
    for hand in list(world.issuing.cosigning._asking.values()):
        hand.result(timeout=5)


def test_with_too_few_the_follower_waits_and_the_older_cosigned_checkpoint_is_shown(
    world: World, three: Outside
) -> None:
    world.ask()
    world.follow()
    drained(world)
    before = size_of(world)
    three.away.update(three.urls()[:2])
    world.ask("dave")
    world.follow()
    assert behind(world) == size_of(world) - before
    shown = open_checkpoint(published(world).encode(), [world.signer.verifier()]).checkpoint
    assert shown.size == before
    # Too long away: what is new is shown with as many names as there are, and who demands a quorum refuses it.
    world.clock.forward(seconds=61)
    note = published(world)
    assert open_checkpoint(note.encode(), [world.signer.verifier()]).checkpoint.size == size_of(world)
    assert len(witnesses_of(note, three.keys)) == 1
    three.away.clear()
    world.clock.forward(seconds=61)
    world.follow()
    assert behind(world) == 0
    assert len(witnesses_of(published(world), three.keys)) >= 2


def test_a_witness_that_hangs_holds_up_no_quorum(world: World, three: Outside) -> None:
    three.gate[three.urls()[0]] = threading.Event()
    world.ask()
    began = time.monotonic()
    world.follow()
    assert time.monotonic() - began < cosigning.ANSWER_WITHIN_S / 2
    assert behind(world) == 0


def test_an_answer_that_was_lost_on_the_way_is_caught_up_with(world: World, one: Outside) -> None:
    [url] = one.urls()
    world.follow()

    def lost(_: WitnessAnswer) -> WitnessAnswer:
        raise WitnessAway("no answer: TimeoutError")

    world.ask()
    one.bent[url] = lost
    world.follow()
    assert behind(world) > 0
    del one.bent[url]
    world.ask("dave")
    world.clock.forward(seconds=61)
    world.follow()
    assert behind(world) == 0
    assert world.facts("witness.disputed") == []


def test_an_intent_is_cosigned_before_anything_is_made(world: World, one: Outside) -> None:
    cosigned_before = []
    reserve = world.provider.reserve

    def watched(order: Any) -> Any:  # noqa: ANN401 - the provider's own types
        with world.store.read() as tx:
            prepared = [row["index"] for row in tx.facts(subject=order.lease_id, type_="lease.prepared")]
            cosigned_before.append(tx.cosigned_size([key.vkey() for key in one.keys], 1) > prepared[0])
        return reserve(order)

    world.provider.reserve = watched  # type: ignore[method-assign] # to look at the moment before
    drawn = world.draw(world.granted(what="orders-db-seen"))
    assert drawn.credential.fields
    assert cosigned_before == [True]


def test_without_a_witness_nothing_is_issued_where_it_is_demanded_and_the_draw_is_given_back(
    world: World, one: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("countersign.service.issuer.COSIGNED_WITHIN_S", 0.6)
    one.away.update(one.urls())
    grant = world.granted(what="orders-db-seen")
    began = time.monotonic()
    with pytest.raises(NotCosigned):
        world.draw(grant)
    assert 0.5 < time.monotonic() - began < 3
    world.sweep()
    assert not world.facts("lease.issued")
    # Elsewhere issuing goes on.
    world.draw(world.granted("dave"), "dave")
    one.away.clear()
    assert world.draw(grant).credential.fields


def test_demanding_cosignatures_is_part_of_what_people_sign_and_needs_witnesses() -> None:
    plain, seen = (parse_catalog(_with("x", **more)).entitlements["x"] for more in ({}, {"cosigned": True}))
    assert plain.rule_digest != seen.rule_digest
    assert "cosigned" not in plain.document()
    with pytest.raises(ConfigError, match="cosigned"):
        parse_catalog(_with("x", cosigned=True) | {"trust": {}})


def _with(name: str, **more: object) -> dict[str, Any]:
    key = Cosigner.generate("w.example").verifier().vkey()
    trust = {"witness": [{"name": "w.example", "vkey": key, "url": "https://w.example"}], "witness_quorum": 1}
    return {"schema": 1, "target": CATALOG["target"], "entitlement": [entitlement(name, **more)], "trust": trust}


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"witness_quorum": 0}, "trust"),
        ({"witness_quorum": 2}, "trust"),
        ({"witness": []}, "trust"),
        (
            {"witness": [{"name": "other", "vkey": Cosigner.generate("w").verifier().vkey(), "url": "https://w"}]},
            "witness",
        ),
        ({"witness": [{"name": "log", "vkey": GrownLog(size=1).signer.verifier().vkey(), "url": "https://w"}]}, "vkey"),
        (
            {"witness": [{"name": "w", "vkey": Cosigner.generate("w").verifier().vkey(), "url": "http://w.example"}]},
            "url",
        ),
    ],
)
def test_witnesses_that_cannot_be_meant_are_refused(change: dict[str, Any], where: str) -> None:
    source = _with("x")
    with pytest.raises(ConfigError, match=where):
        parse_catalog(source | {"trust": source["trust"] | change})


def test_a_database_that_was_rolled_back_is_told_of_by_the_witness(world: World, one: Outside) -> None:
    [url] = one.urls()
    world.ask()
    world.follow()
    real = one.witnesses[url].state
    seen = real.signed("test.example/log")
    assert seen is not None
    # The witness has seen a hundred entries more than this database holds.
    real.advance("test.example/log", seen, type(seen)(size=seen.size + 100, root=b"x" * 32, note=seen.note, at=seen.at))
    with capture_logs() as logged:
        for _ in range(3):
            world.ask("dave", "orders-db-thrice")
            world.clock.forward(seconds=61)
            world.follow()
    [fact] = [json.loads(row["leaf"]) for row in world.facts("witness.disputed")]
    assert (fact["subject"], fact["data"]["code"]) == (one.keys[0].name, "ahead")
    assert fact["data"]["theirs"] == seen.size + 100
    assert any(line["event"] == "a witness contradicts this log" and line["log_level"] == "error" for line in logged)
    assert behind(world) > 0


@pytest.mark.parametrize(
    ("bend", "code"),
    [
        (lambda _: WitnessAnswer(status=422, body=b""), "refuses-proof"),
        (lambda _: WitnessAnswer(status=409, body=b"1000000\n"), "ahead"),
        (lambda _: WitnessAnswer(status=200, body=b""), "bad-cosignature"),
        (lambda found: WitnessAnswer(status=200, body=_bent(found.body)), "bad-cosignature"),
    ],
)
def test_a_witness_that_lies_is_a_fact_once_and_counts_for_nothing(
    world: World, one: Outside, bend: Bend, code: str
) -> None:
    one.bent[one.urls()[0]] = bend
    for _ in range(3):
        world.ask("dave", "orders-db-thrice")
        world.clock.forward(seconds=61)
        world.follow()
    assert [json.loads(row["leaf"])["data"]["code"] for row in world.facts("witness.disputed")] == [code]
    assert behind(world) > 0
    assert witnesses_of(published(world), one.keys) == {}


def _bent(line: bytes) -> bytes:
    return line[:60] + (b"A" if line[60:61] != b"A" else b"B") + line[61:]


@pytest.mark.parametrize("status", [400, 403, 404, 408, 413, 500, 503])
def test_a_witness_that_is_not_set_up_is_in_trouble_and_accused_of_nothing(
    world: World, one: Outside, status: int
) -> None:
    one.bent[one.urls()[0]] = lambda _: WitnessAnswer(status=status, body=b"no")
    world.ask()
    world.follow()
    assert world.facts("witness.disputed") == []
    [found] = world.broker.witnesses.standings(world.principal("olga"))[1]
    assert found.trouble == f"answered {status}"


def test_only_operators_and_auditors_see_the_witnesses(world: World, one: Outside) -> None:
    assert one.urls()
    for who in ("alice", "bob", "frank"):
        with pytest.raises(NotPermitted):
            world.broker.witnesses.standings(world.principal(who))


def test_a_real_witness_cosigns_within_a_second_of_the_fact_and_again_after_it_was_killed(
    world: World, tmp_path: Path
) -> None:
    witness = WitnessProcess(folder=tmp_path / "w", keys=(world.signer.verifier().vkey(),))
    witness.start()
    trusted = {"name": witness.name, "vkey": witness.vkey, "url": witness.url}
    world.adopt(catalog=CATALOG | {"trust": {"witness": [trusted], "witness_quorum": 1}})
    keys = [read_witness_key(witness.vkey)]
    for _ in range(3):
        world.ask()
        began = time.monotonic()
        assert world.issuing.cosigning.is_cosigned(size_of(world), within_s=5)
        assert time.monotonic() - began < 1
    witness.kill()
    world.ask("dave")
    assert not world.issuing.cosigning.is_cosigned(size_of(world), within_s=0.3)
    witness.start()
    assert world.issuing.cosigning.is_cosigned(size_of(world), within_s=5)
    assert witnesses_of(published(world), keys)
    witness.kill()


def test_no_answer_of_a_witness_takes_longer_than_it_may() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                for _ in range(100):
                    try:
                        connection.sendall(b"H")
                    except OSError:
                        return
                    time.sleep(0.02)

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        began = time.monotonic()
        with pytest.raises(WitnessAway):
            WitnessWire().submit(f"http://127.0.0.1:{server.getsockname()[1]}", b"old 0\n\n", 0.4)
        assert time.monotonic() - began < 1
        thread.join()
