"""What a passkey's signature costs where it is judged: at the review that takes it, at the draw, and offline.

Candidate: the keyring's check of an approval, which all three share. Floor: the bare ECDSA verification that is within it.
"""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from tests.signers import Signers

from benchmarks.figures import Figure, Goal, summary_ms
from countersign.auditlog.keyring import Keyring
from countersign.domain.passkey import review_challenge, unbase64url

GOAL = Goal(limit=5)


def signature(folder: Path, *, full: bool) -> Iterator[Figure]:
    """Yield what checking one signature takes, at the median."""
    del folder
    signers = Signers()
    keyring = Keyring().founded([key.passkey() for key in signers.keys.values()])
    said = {"request": "req_aaaaaaaaaaaaaaaa", "digest": "0" * 64, "decision": "approve", "approver": "bob"}
    challenge = review_challenge(**said)
    assertion = signers["bob"].sign(challenge)
    public = signers["bob"].key.public_key()
    over = unbase64url(assertion.authenticator_data) + hashlib.sha256(unbase64url(assertion.client_data)).digest()
    raw = unbase64url(assertion.signature)
    keyring.check(assertion, person="bob", challenge=challenge)  # the library is loaded once
    checks, floors = [], []
    for _ in range(5000 if full else 1000):
        began = time.perf_counter()
        keyring.check(assertion, person="bob", challenge=challenge)
        between = time.perf_counter()
        public.verify(raw, over, ec.ECDSA(hashes.SHA256()))
        checks.append(between - began)
        floors.append(time.perf_counter() - between)
    yield Figure(
        name="signature_check_p50_ms",
        value=statistics.median(checks) * 1000,
        unit="ms",
        floor=statistics.median(floors) * 1000,
        floor_unit="ms",
        ratio=statistics.median(checks) / statistics.median(floors),
        goal=GOAL,
        details={"check": summary_ms(checks), "floor": summary_ms(floors)},
    )
