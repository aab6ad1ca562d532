"""What the log costs: verifying it, proving an entry, and the share of a state change's transaction that recording takes.

Floors: `hashlib` over the same entries in memory, one process; the audit path alone, out of the tree in memory; the same
transaction with nothing recorded, so without a leaf, without the tree's new head and without their pages.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import statistics
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import sqlalchemy as sa

from benchmarks.figures import Figure, Goal, quantile, shown, summary_ms
from benchmarks.herd import keep
from benchmarks.stage import Bench, broker, now
from countersign.auditlog.bulk import verify_directory
from countersign.auditlog.checkpoint import Checkpoint, sign_checkpoint
from countersign.auditlog.leaf import Leaf
from countersign.auditlog.merkle import leaf_hash
from countersign.auditlog.signer import Ed25519Signer
from countersign.auditlog.tiles import LogDirectory, write_directory
from countersign.auditlog.tree import Tree
from countersign.domain.ids import GRANT, LEASE, RANDOM_BYTES, REQUEST, make_id
from countersign.domain.lease import Lease
from countersign.domain.lease_facts import LeaseEndAsked
from countersign.providers.fake import FakeProvider
from countersign.store import schema
from countersign.store.log import read_head

VERIFY_GOAL = Goal(limit=600_000, at_least=True)
PROOF_GOAL, SHARE_GOAL = Goal(limit=50), Goal(limit=0.2)
PROCESSES = 2
_AT_ONCE = 20_000


def leaves(count: int) -> Iterator[bytes]:
    """Yield entries of about 400 bytes, spelled as those of the log are, all different."""
    at = datetime(2026, 11, 22, 9, tzinfo=UTC)
    data = {
        "cause": "expired",
        "draw_given_back": False,
        "note": "x" * 90,
        "not_after": "2026-11-22T09:00:00.000Z",
        "seen": {"role": "absent", "sessions": 0, "token": "gone", "valid_until": "2026-11-22T09:00:00.000Z"},
    }
    leaf = Leaf(type="lease.dead", at=at, actor="countersign/sweep", subject="lse_" + "a" * 16, data=data).encode()
    before, after = leaf.split(b"lse_" + b"a" * 16)
    assert json.loads(leaf)["type"] == "lease.dead"
    for index in range(count):
        yield before + b"lse_" + index.to_bytes(8, "big").hex().encode() + after


def verify(folder: Path, *, full: bool) -> Iterator[Figure]:
    """Yield how many entries a second a verifier gets through: bytes, tiles, tree and signed checkpoint."""
    count = 1_000_000 if full else 200_000
    signer = Ed25519Signer.generate("bench.example/log")
    tree = Tree(leaf_hash(leaf) for leaf in leaves(count))
    checkpoint = sign_checkpoint(Checkpoint(origin=signer.name, size=count, root=tree.root()), [signer])
    write_directory(folder / "tiles", leaves(count), checkpoint)
    rates: dict[int, list[float]] = {1: [], PROCESSES: []}
    floors = []
    for _ in range(3):
        floors.append(_hash_rate(count))
        for processes, measured in rates.items():
            measured.append(count / _verify_s(folder / "tiles", signer, processes))
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


def record(folder: Path, *, full: bool) -> Iterator[Figure]:
    """Yield what recording takes of a transaction, in a short log and a long one, and how long a proof takes in the long one."""
    sizes = (1_000, 1_000_000) if full else (1_000, 200_000)
    with broker(folder, FakeProvider(clock=now), target=_TARGET, name="record") as bench:
        lease = _lease(folder / "record.db")
        figures = []
        for size in sizes:
            _grow(folder / "record.db", size)
            figures.append(_share(bench, lease, size, rounds=400 if full else 150))
            lease = _read(bench, lease.id)
        yield from figures
        yield _proofs(bench, sizes[-1], count=2000 if full else 500)


_TARGET = {"id": "memory", "provider": "fake", "kind": "memory", "settings": {}}


def _lease(path: Path) -> Lease:
    """Keep one lease that can be moved to and fro."""
    end = now() + timedelta(days=1)
    lease = Lease(
        id=make_id(LEASE, secrets.token_bytes(RANDOM_BYTES)),
        grant_id=make_id(GRANT, secrets.token_bytes(RANDOM_BYTES)),
        request_id=make_id(REQUEST, secrets.token_bytes(RANDOM_BYTES)),
        person="alice",
        entitlement="direct",
        provider="fake",
        target=_TARGET,
        prepared_at=now(),
        not_after=end,
        backstop_at=end,
        due=end,
    )
    keep(path, [lease])
    return lease


def _read(bench: Bench, lease_id: str) -> Lease:
    with bench.store.read() as tx:
        lease = tx.lease(lease_id)
    assert lease is not None
    return lease


def _grow(path: Path, size: int) -> None:
    """Fill the log up to `size` entries, as if they had been recorded one by one."""
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        head = read_head(connection)
        frontier, at = head.frontier, now()
        source: Iterable[tuple[int, bytes]] = enumerate(leaves(size - head.size), start=head.size)
        while block := list(islice(source, _AT_ONCE)):
            rows = []
            for index, leaf in block:
                hashed = leaf_hash(leaf)
                frontier = frontier.append(hashed)
                about = {"at": at, "type": "lease.dead", "actor": "countersign/sweep", "subject": f"lse_{index:016d}"}
                rows.append({"index": index, "leaf": leaf, "leaf_hash": hashed, **about})
            connection.execute(sa.insert(schema.facts), rows)
        values = {"size": frontier.size, "root": frontier.root(), "frontier": frontier.encode(), "at": at}
        connection.execute(sa.update(schema.log_head).values(**values))
    engine.dispose()


def _share(bench: Bench, lease: Lease, size: int, *, rounds: int) -> Figure:
    """Move a lease to and fro, in turn with its fact and without."""
    fact = LeaseEndAsked(
        actor="alice", subject=lease.id, cause="returned", not_after=lease.not_after, draw_given_back=False
    )
    taken: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(2 * rounds):
        is_recorded = bool(turn % 2)
        moved = lease.claimed(now() + timedelta(days=1))
        began = time.perf_counter()
        with bench.store.begin() as tx:
            tx.move_lease(lease, moved)
            if is_recorded:
                tx.record(fact)
        taken[is_recorded].append(time.perf_counter() - began)
        lease = moved
    with_fact, without = statistics.median(taken[True]), statistics.median(taken[False])
    share = max(0.0, (with_fact - without) / with_fact)
    return Figure(
        name="record_share" if size <= 1_000 else f"record_share_{size}",  # noqa: PLR2004 -- the short log
        value=share,
        unit="share",
        floor=without * 1000,
        floor_unit="ms",
        ratio=with_fact / without,
        goal=SHARE_GOAL,
        details={"entries": size, "with_fact": summary_ms(taken[True]), "without": summary_ms(taken[False])},
    )


def _proofs(bench: Bench, size: int, *, count: int) -> Figure:
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
    return Figure(
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
            "proof_file_bytes": len(first),
        },
    )
