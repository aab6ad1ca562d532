"""How soon after a fact a receipt for it can be had: a proof in a checkpoint that a witness in a process of its own cosigned.

The broker's own followers and metronome run, as in service; nobody asks for the checkpoint. Floor: the time for which a fact
waits until followers look, at most and on average half of it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from tests.witnesses import WitnessProcess

from benchmarks.figures import Figure, Goal, quantile, summary_ms
from benchmarks.stage import Bench, broker, now
from countersign.auditlog.note import Verifier
from countersign.auditlog.proof import LogProof, verify_proof
from countersign.auditlog.signer import Ed25519Signer
from countersign.auditlog.witnessing import read_witness_key
from countersign.bootstrap.assembly import FOLLOW_EVERY
from countersign.domain.refusals import NotFound
from countersign.providers.fake import FakeProvider
from countersign.service.submission import Ask

RECEIPT_GOAL = Goal(limit=1)
_TARGET = {"id": "memory", "provider": "fake", "kind": "memory", "settings": {}}
_WITHIN_S, _LOOK_EVERY_S, _APART_S = 30.0, 0.002, 0.037


def receipt(folder: Path, *, full: bool) -> Iterator[Figure]:
    """Yield the time from a fact's commit to a verified proof with the witness's signature."""
    signer = Ed25519Signer.generate("bench.example/log")
    witness = WitnessProcess(folder=folder / "witness", keys=(signer.verifier().vkey(),))
    witness.start()
    trust = {"witness": [{"name": witness.name, "vkey": witness.vkey, "url": witness.url}], "witness_quorum": 1}
    count = 200 if full else 40
    try:
        with broker(
            folder, FakeProvider(clock=now), target=_TARGET, name="receipt", trust=trust, signer=signer
        ) as bench:
            asked = [_asked_s(bench) for _ in range(count)]
            bench.running.issuing.followers.start()
            bench.running.metronome.start()
            try:
                taken = [_receipt_s(bench, signer.verifier(), read_witness_key(witness.vkey)) for _ in range(count)]
            finally:
                bench.running.metronome.stop()
    finally:
        witness.kill()
    floor = FOLLOW_EVERY.total_seconds() / 2
    details = {"receipt": summary_ms(taken), "asked_for_at_once": summary_ms(asked), "witnesses": 1}
    for name, value in (
        ("cosigned_receipt_p99_s", quantile(taken, 0.99)),
        ("cosigned_receipt_p50_s", quantile(taken, 0.5)),
    ):
        yield Figure(
            name=name, value=value, unit="s", floor=floor, ratio=value / floor, goal=RECEIPT_GOAL, details=details
        )


def _write(bench: Bench) -> int:
    """Write one fact and return its place."""
    ask = Ask(entitlement="direct", parameters={}, duration_s=60, reason="a benchmark", ticket=None)
    bench.running.broker.requests.submit(bench.principal("alice"), ask)
    with bench.store.read() as tx:
        return tx.head().size - 1


def _asked_s(bench: Bench) -> float:
    index = _write(bench)
    began = time.perf_counter()
    assert bench.running.issuing.cosigning.is_cosigned(index + 1, within_s=_WITHIN_S)
    return time.perf_counter() - began


def _receipt_s(bench: Bench, log: Verifier, witness: Verifier) -> float:
    index = _write(bench)
    with bench.store.read() as tx:
        leaf = bytes(tx.facts(after=index - 1, limit=1)[0]["leaf"])
    began = time.perf_counter()
    while not _is_receipt(bench, index, leaf, log, witness):
        assert time.perf_counter() - began < _WITHIN_S, "no receipt came"
        time.sleep(_LOOK_EVERY_S)
    taken = time.perf_counter() - began
    time.sleep(_APART_S)  # so that facts fall at every place between two looks of the followers
    return taken


def _is_receipt(bench: Bench, index: int, leaf: bytes, log: Verifier, witness: Verifier) -> bool:
    try:
        proof = LogProof.decode(bench.running.broker.publication.proof(index))
    except NotFound:
        return False
    verify_proof(proof, leaf, log=log, witnesses=[witness], quorum=1)
    return True
