"""Signatures in a replay: a log with right hashes and a wrong signature does not verify, offline and without the broker."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.quick import quick_world
from tests.signers import SIGNED, Signers

from countersign.auditlog.meaning import Genesis, MeaningCheck
from countersign.config.catalog import parse_catalog
from countersign.domain.passkey import review_challenge
from countersign.domain.review import Decision

Facts = list[dict[str, Any]]
CODES = {
    "signature-missing",
    "signature-invalid",
    "signature-counter",
    "passkey-chain",
    "genesis-mismatch",
}


@pytest.fixture(scope="module")
def signers() -> Signers:
    return Signers()


@pytest.fixture(scope="module")
def lived(signers: Signers) -> Facts:
    """Return the facts of two requests, each approved with a signature and drawn."""
    with quick_world(catalog=signers.catalog()) as world:
        for _ in range(2):
            request = world.ask(what=SIGNED)
            said = {"request": request.id, "digest": request.digest, "decision": "approve", "approver": "bob"}
            world.broker.requests.review(
                world.principal("bob"),
                request.id,
                decision=Decision.APPROVE,
                digest=request.digest,
                signature=signers["bob"].sign(review_challenge(**said)),
            )
            with world.store.read() as tx:
                grant = tx.grant_of_request(request.id)
            assert grant is not None
            world.draw(grant.id)
        return [json.loads(bytes(row["leaf"])) for row in world.facts()]


def codes(facts: Facts, genesis: Genesis | None = None) -> set[str]:
    check = MeaningCheck(genesis=genesis)
    for index, fact in enumerate(facts):
        check.feed(index, fact)
    return {finding.code for finding in check.finish()} & CODES


def reviews(facts: Facts) -> Facts:
    return [fact for fact in facts if fact["type"] == "review.recorded"]


def unsigned(facts: Facts) -> None:
    reviews(facts)[0]["data"]["signature"] = None


def exchanged(facts: Facts) -> None:
    one, other = reviews(facts)
    one["data"]["signature"] = other["data"]["signature"]


def anothers(facts: Facts) -> None:
    reviews(facts)[0]["actor"] = "carol"


def swapped_in_order(facts: Facts) -> None:
    one, other = reviews(facts)
    first, second = facts.index(one), facts.index(other)
    for fact in (one, other):
        assert fact["data"]["signature"]
    facts[first], facts[second] = other, one


def without_its_first_key(facts: Facts) -> None:
    founded = next(fact for fact in facts if fact["type"] == "passkey.founded")
    founded["data"]["passkeys"] = founded["data"]["passkeys"][1:]


def founded_again(facts: Facts) -> None:
    facts.append(next(fact for fact in facts if fact["type"] == "passkey.founded"))


def test_a_log_of_signed_approvals_verifies(lived: Facts) -> None:
    assert codes(lived) == set()
    assert len(reviews(lived)) == 2


@pytest.mark.parametrize(
    ("lie", "code"),
    [
        (unsigned, "signature-missing"),
        (exchanged, "signature-invalid"),
        (anothers, "signature-invalid"),
        (swapped_in_order, "signature-counter"),
        (without_its_first_key, "signature-invalid"),
        (founded_again, "passkey-chain"),
    ],
)
def test_a_lie_about_signatures_is_named(lived: Facts, lie: Callable[[Facts], None], code: str) -> None:
    told = copy.deepcopy(lived)
    lie(told)
    assert code in codes(told)


def test_a_log_that_begins_with_other_keys_than_the_catalog_in_hand_is_named(lived: Facts, signers: Signers) -> None:
    catalog = parse_catalog(signers.catalog())
    assert codes(lived, Genesis(catalog=catalog.digest, passkeys=catalog.trust.passkeys)) == set()
    other = parse_catalog(Signers().catalog())
    assert codes(lived, Genesis(catalog=other.digest, passkeys=other.trust.passkeys)) == {"genesis-mismatch"}
