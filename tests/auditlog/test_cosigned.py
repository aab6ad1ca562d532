"""Demanding witnesses of a log that is verified: what they do not vouch for is named, and nothing else is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.cli.desk import run_here

from countersign.auditlog.checkpoint import Checkpoint, sign_checkpoint
from countersign.auditlog.cosigned import CosignCheck
from countersign.auditlog.leaf import Entry, Leaf
from countersign.auditlog.merkle import leaf_hash
from countersign.auditlog.note import parse_note
from countersign.auditlog.signer import Cosigner, Ed25519Signer
from countersign.auditlog.tiles import write_directory
from countersign.auditlog.tree import Tree
from countersign.auditlog.verify import verify_entries
from countersign.auditlog.witnessing import with_cosignatures

LOG = Ed25519Signer.generate("log.example/audit")
WITNESSES = [Cosigner.generate(f"witness.example/{number}") for number in range(3)]
STRANGER = Cosigner.generate("stranger.example")
BEGINNING = datetime(2026, 11, 22, 9, tzinfo=UTC)


def leaf(index: int, history: str = "true") -> bytes:
    at = BEGINNING + timedelta(seconds=index)
    return Leaf(type="t", at=at, actor="a", subject=f"{history}-{index}", data={}).encode()


def log(size: int, *, forked_at: int | None = None) -> list[bytes]:
    return [leaf(index, "true" if forked_at is None or index < forked_at else "false") for index in range(size)]


def cosigned(leaves: list[bytes], size: int, *who: Cosigner, late: int = 0) -> str:
    root = Tree(map(leaf_hash, leaves[:size])).root()
    note = sign_checkpoint(Checkpoint(origin=LOG.name, size=size, root=root), [LOG])
    at = int(BEGINNING.timestamp()) + size + late
    return with_cosignatures(note, [one.cosign(parse_note(note.encode()).text.encode(), at) for one in who])


def codes(leaves: list[bytes], *notes: str, quorum: int = 2) -> list[tuple[int | None, str]]:
    check = CosignCheck(witnesses=[one.verifier() for one in WITNESSES], quorum=quorum)
    entries = [Entry(index, raw, leaf_hash(raw)) for index, raw in enumerate(leaves)]
    keys = [LOG.verifier()]
    report = verify_entries(check.watch(entries), head=None, checkpoints=notes, verifiers=keys)
    report = check.judged(report, checkpoints=notes, verifiers=keys)
    return [(failure.index, failure.code) for failure in report.failures]


def test_a_log_that_enough_witnesses_have_seen_verifies() -> None:
    leaves = log(300)
    assert codes(leaves, cosigned(leaves, 300, *WITNESSES[:2])) == []
    # What came in the last minute may not have reached them yet.
    assert codes(leaves, cosigned(leaves, 245, *WITNESSES[:2])) == []


@pytest.mark.parametrize(
    "who", [(), WITNESSES[:1], (WITNESSES[0], STRANGER), (WITNESSES[0], WITNESSES[0]), (STRANGER, STRANGER)]
)
def test_too_few_strangers_and_the_same_twice_are_no_quorum(who: tuple[Cosigner, ...]) -> None:
    leaves = log(20)
    assert codes(leaves, cosigned(leaves, 20, *who)) == [(None, "not-cosigned")]


def test_a_stale_witness_vouches_for_no_more_than_it_saw() -> None:
    leaves = log(300)
    stale = cosigned(leaves, 100, *WITNESSES[:2])
    assert codes(leaves, stale, cosigned(leaves, 300)) == [(100, "not-cosigned")]


def test_who_holds_database_and_key_is_convicted_by_what_a_witness_signed_before() -> None:
    honest, rewritten = log(300), log(300, forked_at=150)
    kept = cosigned(honest, 300, *WITNESSES[:2])
    found = codes(rewritten, kept, cosigned(rewritten, 300))
    assert (0, "root-mismatch") in found
    # And what he has of the witnesses ends before the fork.
    before = cosigned(honest, 150, *WITNESSES[:2])
    assert codes(rewritten, before, cosigned(rewritten, 300)) == [(150, "not-cosigned")]


def test_a_bent_cosignature_condemns_its_checkpoint() -> None:
    leaves = log(20)
    note = cosigned(leaves, 20, *WITNESSES[:2])
    lines = note.splitlines(keepends=True)
    bent = "".join([*lines[:-1], lines[-1][:-10] + ("A" if lines[-1][-10] != "A" else "B") + lines[-1][-9:]])
    assert (None, "not-cosigned") in codes(leaves, bent)


def test_a_folder_is_demanded_to_be_cosigned_to_its_end(tmp_path: Path) -> None:
    leaves = log(300)
    write_directory(tmp_path / "good", leaves, cosigned(leaves, 300, *WITNESSES[:2]))
    write_directory(tmp_path / "bare", leaves, cosigned(leaves, 300))
    keys = ["--key", LOG.verifier().vkey()]
    for one in WITNESSES:
        keys += ["--witness-key", one.verifier().vkey()]
    run = ["--bytes-only", *keys, "--witness-quorum"]
    assert run_here(["verify", str(tmp_path / "good"), *run, "2"], {}).code == 0
    for folder, quorum in (("good", "3"), ("bare", "1")):
        ran = run_here(["verify", str(tmp_path / folder), *run, quorum, "--json"], {})
        assert (ran.code, [each["code"] for each in ran.json()["failures"]]) == (1, ["not-cosigned"])
    # A checkpoint from the witness itself serves as well, as far as it goes.
    (tmp_path / "from-witness").write_text(cosigned(leaves, 300, *WITNESSES))
    kept = ["--checkpoint", str(tmp_path / "from-witness")]
    assert run_here(["verify", str(tmp_path / "bare"), *run, "3", *kept], {}).code == 0


@pytest.mark.parametrize(
    "options",
    [
        ["--witness-key", WITNESSES[0].verifier().vkey()],
        ["--key", LOG.verifier().vkey(), "--witness-key", LOG.verifier().vkey()],
        ["--key", LOG.verifier().vkey(), "--witness-quorum", "1"],
        ["--key", LOG.verifier().vkey(), "--witness-key", WITNESSES[0].verifier().vkey(), "--witness-quorum", "2"],
    ],
)
def test_demands_that_cannot_be_meant_are_usage(tmp_path: Path, options: list[str]) -> None:
    assert run_here(["verify", str(tmp_path), *options], {}).code == 2
