"""What checking the log costs: verifying it whole, and proving one entry of a long one.

Floors: `hashlib` over the same entries in memory, one process; the audit path alone, out of the tree in memory.
"""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from benchmarks.figures import Figure, Goal, quantile, shown, summary_ms
from benchmarks.growing import grow, leaves
from benchmarks.stage import Bench, broker, now
from countersign.auditlog.bulk import verify_directory
from countersign.auditlog.checkpoint import Checkpoint, sign_checkpoint
from countersign.auditlog.merkle import leaf_hash
from countersign.auditlog.signer import Ed25519Signer
from countersign.auditlog.tiles import LogDirectory, write_directory
from countersign.auditlog.tree import Tree
from countersign.providers.fake import FakeProvider

VERIFY_GOAL = Goal(limit=600_000, at_least=True)
PROOF_GOAL, PROOF_FILE_GOAL = Goal(limit=50), Goal(limit=1_500)
PROCESSES = 2
_AT_ONCE = 20_000
_TARGET = {"id": "memory", "provider": "fake", "kind": "memory", "settings": {}}


def verify(folder: Path, *, full: bool) -> Iterator[Figure]:
    """Yield how many entries a second a verifier gets through: bytes, tiles, tree and signed checkpoint."""
    count = 1_000_000 if full else 300_000
    signer = Ed25519Signer.generate("bench.example/log")
    tree = Tree(leaf_hash(leaf) for leaf in leaves(count))
    checkpoint = sign_checkpoint(Checkpoint(origin=signer.name, size=count, root=tree.root()), [signer])
    write_directory(folder / "tiles", leaves(count), checkpoint)
    rates: dict[int, list[float]] = {1: [], PROCESSES: []}
    floors, cpu = [], []
    for _ in range(3):
        floors.append(_hash_rate(count))
        began = time.process_time()
        for processes, measured in rates.items():
            measured.append(count / _verify_s(folder / "tiles", signer, processes))
            if processes == 1:
                cpu.append(count / (time.process_time() - began))
    value, floor = statistics.median(rates[PROCESSES]), statistics.median(floors)
    yield Figure(
        name="verify_entries_per_s",
        value=value,
        unit="entries/s",
        floor=floor,
        ratio=value / floor,
        goal=VERIFY_GOAL,
        details={
            "entries": count,
            "bytes_each": len(next(leaves(1))),
            "processes": PROCESSES,
            "one_process": shown(statistics.median(rates[1])),
            "by_a_second_of_one_processor": shown(statistics.median(cpu)),
        },
    )


def _hash_rate(count: int) -> float:
    taken, source = 0.0, leaves(count)
    while block := list(islice(source, _AT_ONCE)):
        began = time.perf_counter()
        for leaf in block:
            hashlib.sha256(b"\x00" + leaf).digest()
        taken += time.perf_counter() - began
    return count / taken


def _verify_s(folder: Path, signer: Ed25519Signer, processes: int) -> float:
    began = time.perf_counter()
    report = verify_directory(LogDirectory(folder), checkpoints=[], verifiers=[signer.verifier()], processes=processes)
    assert report.ok, report.failures[:3]
    return time.perf_counter() - began


def proof(folder: Path, *, full: bool) -> Iterator[Figure]:
    """Yield how long a proof takes in a long log, and how large it is."""
    size = 1_000_000 if full else 200_000
    with broker(folder, FakeProvider(clock=now), target=_TARGET, name="proof") as bench:
        grow(f"sqlite:///{folder / 'proof.db'}", size)
        yield from _proofs(bench, size, count=2000 if full else 500)


def _proofs(bench: Bench, size: int, *, count: int) -> Iterator[Figure]:
    publication = bench.running.broker.publication
    bench.running.issuing.checkpoints.sign()
    began = time.perf_counter()
    first = publication.proof(0)
    built_s = time.perf_counter() - began
    tree = Tree(leaf_hash(leaf) for leaf in leaves(size))
    ours, floors = [], []
    for turn in range(count):
        index = turn * 7919 % size
        began = time.perf_counter()
        publication.proof(index)
        ours.append(time.perf_counter() - began)
        began = time.perf_counter()
        tree.inclusion(index, size)
        floors.append(time.perf_counter() - began)
    value, floor = quantile(ours, 0.99) * 1000, quantile(floors, 0.99) * 1000
    yield Figure(
        name="proof_p99_ms",
        value=value,
        unit="ms",
        floor=floor,
        ratio=value / floor,
        goal=PROOF_GOAL,
        details={
            "entries": size,
            "proof": summary_ms(ours),
            "first_proof_after_a_start_s": shown(built_s),
        },
    )
    yield Figure(
        name="proof_file_bytes", value=len(first), unit="bytes", goal=PROOF_FILE_GOAL, details={"entries": size}
    )
