"""Witnesses in this process, for a world whose rules trust them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from starlette.testclient import TestClient
from tests.world import CATALOG, World, entitlement

from countersign.api.witness import make_witness_app
from countersign.auditlog.signer import Cosigner
from countersign.auditlog.witnessing import ADD_CHECKPOINT
from countersign.providers.witness import WitnessAnswer, WitnessAway
from countersign.service.witnessing import WatchedLog, Witness
from countersign.store.witness_state import WitnessState

Bend = Callable[[WitnessAnswer], WitnessAnswer]


class Outside:
    """Witnesses that run in this process, by address; each can be away, hang or answer something else."""

    def __init__(self, world: World, folder: Path, *, count: int, quorum: int) -> None:
        self.world, self.away, self.bent, self.asked = world, set[str](), dict[str, Bend](), list[str]()
        self.gate: dict[str, threading.Event] = {}
        self.clients, self.witnesses, trusted = {}, {}, []
        for number in range(count):
            cosigner = Cosigner.generate(f"witness.example/{number}")
            log = WatchedLog(keys=[world.signer.verifier()])
            state = WitnessState(folder / f"witness-{number}.db")
            witness = Witness(cosigner=cosigner, logs={log.origin: log}, state=state, clock=world.clock)
            url = f"https://{number}.witness.example"
            self.witnesses[url] = witness
            self.clients[url] = TestClient(make_witness_app(witness, allowed_hosts=["testserver"]))
            trusted.append({"name": cosigner.name, "vkey": cosigner.verifier().vkey(), "url": url})
        self.keys = [witness.cosigner.verifier() for witness in self.witnesses.values()]
        self.trust = {"witness": trusted, "witness_quorum": quorum}
        items = [*CATALOG["entitlement"], entitlement("orders-db-seen", cosigned=True)]
        world.adopt(catalog=CATALOG | {"entitlement": items, "trust": self.trust})
        self.attach()

    def attach(self) -> None:
        self.world.issuing.cosigning.submit = self.submit

    def submit(self, url: str, body: bytes, within_s: float) -> WitnessAnswer:
        self.asked.append(url)
        if url in self.gate:
            self.gate[url].wait(within_s)
        if url in self.away:
            raise WitnessAway("no answer: ConnectionRefusedError")
        answer = self.clients[url].post(ADD_CHECKPOINT, content=body)
        found = WitnessAnswer(status=answer.status_code, body=answer.content)
        return self.bent[url](found) if url in self.bent else found

    def urls(self) -> list[str]:
        return list(self.clients)


@contextmanager
def outside(world: World, folder: Path, *, count: int, quorum: int) -> Iterator[Outside]:
    made = Outside(world, folder, count=count, quorum=quorum)
    yield made
    for gate in made.gate.values():
        gate.set()
    for witness in made.witnesses.values():
        witness.state.close()
