"""The log's files over HTTP: a stranger who holds only the public key fetches them, and verifies all of it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from tests.world import Clock, World

from countersign.api.app import Readiness, make_app
from countersign.auditlog.bulk import verify_directory
from countersign.auditlog.checkpoint import open_checkpoint
from countersign.auditlog.merkle import ProofRefused, verify_consistency
from countersign.auditlog.proof import LogProof, verify_proof
from countersign.auditlog.signer import Ed25519Signer
from countersign.auditlog.tiles import LogDirectory, tiles_of
from countersign.domain.broker_facts import BrokerStarted
from countersign.service.publication import Publication
from countersign.store import Store

FOUNDING = 2
"""Entries that bring the first rules into force."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    store = Store(f"sqlite:///{tmp_path / 'countersign.db'}", clock=(clock := Clock()))
    store.migrate()
    yield World(store=store, clock=clock)
    store.close()


def served(world: World, *, public: bool = True) -> TestClient:
    broker = world.broker
    object.__setattr__(
        broker, "publication", Publication(office=broker.office, evidence=broker.evidence, public=public)
    )
    return TestClient(make_app(broker, readiness=lambda: Readiness(ok=True, checks={}, sweep_age_s=0.0)))


def fill(world: World, entries: int) -> None:
    with world.store.begin() as tx:
        for number in range(entries):
            tx.record(
                BrokerStarted(actor="countersign/test", subject="broker", version=str(number), configuration="none")
            )
    world.issuing.checkpoints.sign()


def key(world: World) -> Ed25519Signer:
    signer = world.issuing.checkpoints.signer
    assert isinstance(signer, Ed25519Signer)
    return signer


@pytest.mark.parametrize("entries", [1, 253, 254, 255, 700])
def test_a_stranger_fetches_the_files_and_verifies_the_whole_log(world: World, tmp_path: Path, entries: int) -> None:
    client = served(world)
    fill(world, entries)
    note = client.get("/log/checkpoint").content
    size = open_checkpoint(note, [key(world).verifier()]).checkpoint.size
    assert size == entries + FOUNDING
    copy = tmp_path / "copy"
    for tile in tiles_of(size):
        answer = client.get(f"/log/{tile.path()}")
        assert answer.status_code == 200, tile.path()
        place = copy / tile.path()
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(answer.content)
    (copy / "checkpoint").write_bytes(note)
    report = verify_directory(LogDirectory(copy), checkpoints=[], verifiers=[key(world).verifier()])
    assert report.ok, report.as_json()
    assert report.size == size


def test_a_proof_file_shows_that_an_entry_is_in_the_log(world: World) -> None:
    client = served(world)
    fill(world, 300)
    leaf = next(iter(world.store.entries(start=270, end=271))).leaf
    proof = LogProof.decode(client.get("/log/proof/270").content)
    verify_proof(proof, leaf, log=key(world).verifier())
    with pytest.raises(ProofRefused):
        verify_proof(proof, leaf + b" ", log=key(world).verifier())
    assert client.get(f"/log/proof/{300 + FOUNDING}").status_code == 404


def test_an_older_log_is_shown_to_be_the_beginning_of_the_newer(world: World) -> None:
    client = served(world)
    fill(world, 100)
    old = open_checkpoint(client.get("/log/checkpoint").content, [key(world).verifier()]).checkpoint
    fill(world, 200)
    new = open_checkpoint(client.get("/log/checkpoint").content, [key(world).verifier()]).checkpoint
    lines = client.get(f"/log/consistency?old={old.size}&new={new.size}").text.splitlines()
    verify_consistency(
        old_size=old.size,
        new_size=new.size,
        old_root=old.root,
        new_root=new.root,
        proof=[base64.b64decode(line) for line in lines],
    )
    assert client.get(f"/log/consistency?old={new.size}&new={old.size}").status_code == 422


@pytest.mark.parametrize(
    "path",
    [
        "0/0",
        "0/1",
        "00/000",
        "0/x000/000",
        "entries/000.p/0",
        "0/000.p/257",
        "64/000",
        "0/999",
        "%2e%2e%2fcheckpoint",
        "0/000x",
    ],
)
def test_paths_that_name_no_tile_are_not_found(world: World, path: str) -> None:
    client = served(world)
    fill(world, 300)
    assert client.get(f"/log/tile/{path}").status_code == 404


def test_nothing_beyond_the_newest_checkpoint_is_served(world: World) -> None:
    client = served(world)
    fill(world, 10)
    with world.store.begin() as tx:
        tx.record(BrokerStarted(actor="countersign/test", subject="broker", version="x", configuration="none"))
    assert client.get(f"/log/tile/entries/000.p/{10 + FOUNDING}").status_code == 200
    assert client.get(f"/log/tile/entries/000.p/{11 + FOUNDING}").status_code == 404


def test_the_key_is_told_so_that_it_can_be_compared(world: World) -> None:
    assert served(world).get("/log/key").text.strip() == key(world).verifier().vkey()


def test_a_log_that_is_not_public_is_read_by_auditors_alone(world: World) -> None:
    client = served(world, public=False)
    fill(world, 10)
    assert client.get("/log/checkpoint").status_code == 401
    for who, status in (("erin", 200), ("alice", 404)):
        token = world.broker.gate.issue(who)
        answer = client.get("/log/checkpoint", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == status
