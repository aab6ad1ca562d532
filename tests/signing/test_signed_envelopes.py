"""Envelopes stand for approvals, so where approvals are signed with passkeys they are too: when signed, opened and drawn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from tests.emergencies import GLASS_CATALOG, ROOT, with_groups
from tests.quick import quick_world
from tests.signers import Signers
from tests.world import World

from countersign.domain.passkey import Assertion, Word, envelope_challenge, removal_challenge
from countersign.domain.refusals import ApprovalVoid, SignatureRefused, SignatureRequired
from countersign.domain.request import Request
from countersign.service.envelope_views import EnvelopeView
from countersign.service.verification import verify_store
from countersign.store.emergency_tables import envelope_signatures


@pytest.fixture
def signers() -> Signers:
    return Signers()


@pytest.fixture
def world(signers: Signers) -> Iterator[World]:
    entitlements = [
        item | {"signature": "required"} if item["id"] == ROOT else item for item in GLASS_CATALOG["entitlement"]
    ]
    catalog: dict[str, Any] = {**GLASS_CATALOG, "trust": signers.trust(), "entitlement": entitlements}
    with quick_world(catalog=catalog, directory=with_groups()) as made:
        yield made


def proposed(world: World) -> EnvelopeView:
    return world.broker.envelopes.propose(
        world.principal("bob"), entitlement_id=ROOT, not_before=None, valid_s=3600, uses=2, max_duration_s=300
    )


def signature(signers: Signers, view: EnvelopeView, who: str, **changes: str) -> Assertion:
    said = {"envelope": view.envelope.id, "digest": view.envelope.digest, "signer": who}
    return signers[who].sign(envelope_challenge(**{**said, **changes}))


def sign(world: World, view: EnvelopeView, who: str, assertion: Assertion | None) -> EnvelopeView:
    digest = view.envelope.digest
    return world.broker.envelopes.sign(world.principal(who), view.envelope.id, digest=digest, assertion=assertion)


def opened(world: World, view: EnvelopeView) -> Request:
    return world.broker.envelopes.open(
        world.principal("nina"),
        view.envelope.id,
        incident="INC-7",
        drill=False,
        duration_s=60,
        parameters={},
        reason="nobody answers",
    )


def test_a_signed_envelope_is_opened_drawn_and_verifies(world: World, signers: Signers) -> None:
    view = proposed(world)
    for who in ("bob", "carol"):
        view = sign(world, view, who, signature(signers, view, who))
    request = opened(world, view)
    with world.store.read() as tx:
        grant = tx.grant_of_request(request.id)
    assert grant is not None
    world.draw(grant.id, "nina")
    assert verify_store(world.store, verifiers=[]).ok


def test_an_envelope_is_signed_with_a_passkey_over_exactly_it(world: World, signers: Signers) -> None:
    view, other = proposed(world), proposed(world)
    with pytest.raises(SignatureRequired):
        sign(world, view, "carol", None)
    for wrong in (
        signature(signers, other, "carol"),
        signature(signers, view, "carol", signer="bob"),
        signature(signers, view, "bob"),
    ):
        with pytest.raises(SignatureRefused):
            sign(world, view, "carol", wrong)


def test_signatures_written_into_the_database_open_no_envelope(world: World, signers: Signers) -> None:
    view = proposed(world)
    sign(world, view, "bob", signature(signers, view, "bob"))
    with world.store.begin() as tx:
        row = {"envelope_id": view.envelope.id, "person": "carol", "principal": "carol", "at": world.clock()}
        tx._connection.execute(sa.insert(envelope_signatures).values(digest=view.envelope.digest, **row))
    with pytest.raises(ApprovalVoid):
        opened(world, view)


def test_a_key_removed_after_the_signing_takes_its_word_with_it(world: World, signers: Signers) -> None:
    view = proposed(world)
    for who in ("bob", "carol"):
        view = sign(world, view, who, signature(signers, view, who))
    passkey = signers["carol"].passkey().id
    word = Word(person="carol", assertion=signers["carol"].sign(removal_challenge(passkey=passkey, remover="carol")))
    world.broker.passkeys.remove(world.principal("carol"), passkey, word, reason="lost")
    with pytest.raises(ApprovalVoid):
        opened(world, view)
