"""People at work while everything around them is killed: they ask, sign, draw, keep sessions open, and now and then hand back."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import psycopg

from countersign.embedded.demo.caller import Caller
from countersign.embedded.demo.outside import log_in
from countersign.embedded.stack import EmbeddedStack

SHORTEST_S, LONGEST_S = 2, 6
RETURNED = 0.3


@dataclass(kw_only=True)
class Tally:
    """What the load saw. `secrets` are looked for everywhere afterwards."""

    drawn: int = 0
    troubles: int = 0
    secrets: list[str] = field(default_factory=list, repr=False)
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)


@dataclass(kw_only=True)
class Worker:
    """One engineer and one approver, over and over, until told to stop."""

    stack: EmbeddedStack
    tally: Tally
    chance: random.Random
    stopping: threading.Event
    requester: str

    def run(self) -> None:
        """Work; whatever is away is tried again."""
        while not self.stopping.is_set():
            try:
                self._one_life()
            except (OSError, ValueError, KeyError, psycopg.Error):
                with self.tally.lock:
                    self.tally.troubles += 1
                time.sleep(0.1)

    def _one_life(self) -> None:
        alice, bob = self._caller(self.requester), self._caller("bob")
        body = {
            "entitlement": "orders-db-read",
            "parameters": {},
            "duration_s": self.chance.randint(SHORTEST_S, LONGEST_S),
            "reason": "a campaign",
        }
        request = alice.post("/requests", body).body
        review = {"decision": "approve", "digest": request["digest"]}
        grant = bob.post(f"/requests/{request['id']}/reviews", review).body["grant_id"]
        drawn = alice.post(f"/grants/{grant}/draw").body
        credential: dict[str, Any] = drawn["credential"]
        with self.tally.lock:
            self.tally.drawn += 1
            self.tally.secrets.append(credential["password"])
        with log_in(credential) as session:
            session.execute("SET ROLE orders_ro")
            for _ in range(self.chance.randint(1, 20)):
                session.execute("SELECT count(*) FROM orders")
                time.sleep(0.05)
        if self.chance.random() < RETURNED:
            alice.post(f"/grants/{grant}/return")

    def _caller(self, name: str) -> Caller:
        return Caller(name=name, url=self.stack.url, token=self.stack.tokens[name])
