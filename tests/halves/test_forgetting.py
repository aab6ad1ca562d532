"""What an attacker who holds the first half and its database would have the issuing half forget, or not know again."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from joserfc.jwk import ECKey
from tests.api.signing import Device
from tests.halves.apart import Apart, SignedIn, running_apart
from tests.issuer import CLI_CLIENT

from countersign.domain.device import spelled
from countersign.domain.order_facts import OrderAccepted
from countersign.domain.signin_facts import SessionEnded
from countersign.domain.timestamps import spell
from countersign.service.recent import REMEMBERED_FOR, RecentPast
from countersign.store import Store

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.fixture
def apart(copied_postgres: str, tmp_path: Path) -> Iterator[Apart]:
    with running_apart(copied_postgres, tmp_path, terms={"algorithms": ["RS256", "ES256"]}) as made:
        yield made


def revoke(apart: Apart, who: SignedIn) -> None:
    """End a session elsewhere, as alice does whose machine was stolen; the issuing half sees the log grow."""
    apart.broker.sessions.revoke(replace(apart.principal("alice-corp"), session="ses_other"), who.session)
    apart.desk.tidy()
    apart.write("UPDATE sessions SET ended_at = NULL")


def test_a_token_under_another_signature_of_the_same_words_does_not_bring_an_ended_sign_in_back(apart: Apart) -> None:
    """Of one ECDSA signature (r, s), anybody makes another that verifies: (r, n - s)."""
    key = ECKey.generate_key("P-256", {"kid": "curve", "use": "sig"})
    apart.issuer.lies["/keys"] = (200, json.dumps({"keys": [key.as_dict(private=False)]}).encode())
    device = Device()
    claims = apart.issuer.claims("sub-alice", aud=CLI_CLIENT, nonce=device.nonce)
    words = ".".join(spelled(json.dumps(part).encode()) for part in ({"alg": "ES256", "kid": "curve"}, claims))
    private = key.private_key
    assert private is not None
    r, s = decode_dss_signature(private.sign(words.encode(), ec.ECDSA(hashes.SHA256())))
    one, other = (spelled(r.to_bytes(32) + each.to_bytes(32)) for each in (s, P256_ORDER - s))
    body = device.shows(f"{words}.{one}")
    answer = apart.client().post("/v1/sign-in/device", json=body)
    assert answer.status_code == 200, answer.text
    again = apart.client().post("/v1/sign-in/device", json=device.shows(f"{words}.{other}"))
    assert again.status_code == 401, "it was shown before"
    alice = SignedIn(device=device, session=answer.json()["session"], token=answer.json()["access_token"])
    request = apart.asked()
    grant = apart.approved(request)
    assert apart.draw(alice, apart.order(alice, grant, request.digest)).status_code == 200
    revoke(apart, alice)
    apart.write("UPDATE identity_proofs SET signature = :other", other=other)
    row = apart.post(apart.order(alice, grant, request.digest), session=alice.session)
    assert (row["code"], row["sealed"]) == ("order-void", None)
    assert len(apart.facts("lease.prepared")) == 1
    assert base64.urlsafe_b64decode(one + "==") != base64.urlsafe_b64decode(other + "==")


@pytest.mark.parametrize("leaves", [[("other", 24)], [("hers", -24), ("other", 0)]])
def test_a_leaf_of_another_time_does_not_make_it_forget_that_a_sign_in_ended(
    apart: Apart, leaves: list[tuple[str, int]]
) -> None:
    request = apart.asked()
    alice, grant = apart.signed_in("alice"), apart.approved(request)
    revoke(apart, alice)
    proof = json.loads(apart.facts("session.ended")[0]["leaf"])["data"]["proof"]
    for whose, hours in leaves:
        append(apart, apart.clock() + timedelta(hours=hours), "alice", proof if whose == "hers" else "0" * 64)
        apart.desk.tidy()
    row = apart.post(apart.order(alice, grant, request.digest), session=alice.session)
    assert (row["code"], row["sealed"]) == ("order-void", None)
    assert "has ended" in row["detail"]
    assert not apart.facts("lease.prepared")


def append(apart: Apart, at: datetime, person: str, name: str) -> None:
    """Append a leaf that names it, of any time, and set the head's own time back to what it was."""
    ended = SessionEnded(actor=person, subject=person, session="ses_x", cause="left", proof=name)
    apart.write("UPDATE log_head SET at = NULL")
    store = Store(apart.url, clock=lambda: at, own_clock=True)
    try:
        with store.begin() as tx:
            tx.record(ended)
    finally:
        store.close()
    apart.write("UPDATE log_head SET at = :now", now=spell(apart.clock()))


def test_what_is_remembered_is_forgotten_by_our_own_clock_alone() -> None:
    past, now = RecentPast(), datetime.fromisoformat("2026-11-23T08:00:00+00:00")

    def hear(name: str, at: datetime, heard: datetime) -> None:
        past.read({"type": OrderAccepted.type, "subject": name, "data": {}, "at": spell(at)}, now=heard)

    hear("one", now, now)
    hear("two", now + timedelta(days=400), now)
    hear("one", now - timedelta(days=400), now)
    hear("three", now - timedelta(days=400), now)
    assert ("one" in past, "two" in past) == (True, True)
    hear("four", now + REMEMBERED_FOR, now + REMEMBERED_FOR)
    assert ("one" in past, "two" in past, "three" in past, "four" in past) == (False, False, False, True)


def test_a_draw_that_waited_for_another_judges_by_the_log_as_it_is_then(apart: Apart) -> None:
    """At PostgreSQL the other commits meanwhile; a head from before would leave its draw out of the count."""
    with apart.issuing_store.begin() as tx:
        before = tx.head().size
        append(apart, apart.clock(), "alice", "0" * 64)
        assert tx.head().size == before + 1
