"""Signed approvals over HTTP: what counts, and everything near it that does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from tests.api.calling import Api
from tests.quick import quick_world
from tests.signers import SIGNED, Signers, authenticator

from countersign.domain.passkey import (
    Assertion,
    Passkey,
    enrolment_digest,
    fingerprint,
    proof_challenge,
    registration_challenge,
    removal_challenge,
    vouch_challenge,
)
from countersign.embedded.authenticator import PRESENT, SoftwareAuthenticator

MOMENT = "2026-11-22T09:00:00.000Z"


@pytest.fixture
def signers() -> Signers:
    return Signers()


@pytest.fixture
def api(signers: Signers) -> Iterator[Api]:
    with quick_world(catalog=signers.catalog()) as world:
        yield Api(world=world)


def review(api: Api, who: str, request: dict[str, Any], signature: Assertion | None, **changes: Any) -> httpx2.Response:  # noqa: ANN401 - fields of the body
    body = {"decision": "approve", "digest": request["digest"]} | changes
    signed = {} if signature is None else {"signature": signature.document()}
    return api.post(who, f"/v1/requests/{request['id']}/reviews", json=body | signed)


def refusal(answer: httpx2.Response) -> tuple[str, str | None]:
    assert answer.is_client_error, answer.text
    return str(answer.json()["code"]), answer.json().get("rule")


def test_a_signed_approval_opens_a_grant_that_can_be_drawn(api: Api, signers: Signers) -> None:
    request = api.asked(entitlement=SIGNED)
    assert request["signature"] == "required"
    assert request["statement"]["signature"] == "required"
    assert request["fingerprint"] == fingerprint(request["digest"])
    answer = review(api, "bob", request, signers.approval("bob", request))
    assert answer.status_code == 200, answer.text
    assert answer.json()["reviews"][0]["passkey"] == signers["bob"].passkey().id
    assert api.draw(answer.json()["grant_id"]).status_code == 200
    recorded = api.world.facts("review.recorded")
    assert b'"authenticator_data"' in recorded[0]["leaf"]


def test_a_token_alone_never_approves_where_a_signature_is_required(api: Api) -> None:
    request = api.asked(entitlement=SIGNED)
    assert refusal(review(api, "bob", request, None)) == (
        "signature-required",
        f"entitlement {SIGNED}: signature = required",
    )


def test_a_denial_needs_no_signature(api: Api) -> None:
    request = api.asked(entitlement=SIGNED)
    assert review(api, "bob", request, None, decision="deny").json()["state"] == "denied"


def test_a_signature_over_another_request_decision_or_approver_does_not_count(api: Api, signers: Signers) -> None:
    request, other = api.asked(entitlement=SIGNED), api.asked(entitlement=SIGNED)
    for signature in (
        signers.approval("bob", other),
        signers.approval("bob", request, request=other["id"]),
        signers.approval("bob", request, digest=other["digest"]),
        signers.approval("bob", request, decision="deny"),
        signers.approval("bob", request, approver="carol"),
    ):
        assert refusal(review(api, "bob", request, signature)) == ("bad-signature", "signatures: bad-signature")


def test_another_persons_signature_does_not_count(api: Api, signers: Signers) -> None:
    request = api.asked(entitlement=SIGNED)
    borrowed = signers.approval("carol", request)
    assert refusal(review(api, "bob", request, borrowed)) == ("bad-signature", "signatures: wrong-person")
    relabelled = {**borrowed.document(), "passkey": signers["bob"].passkey().id}
    assert refusal(review(api, "bob", request, Assertion.read(relabelled)))[1] == "signatures: bad-signature"


def test_a_key_that_nobody_enrolled_does_not_count(api: Api, signers: Signers) -> None:
    request = api.asked(entitlement=SIGNED)
    signers.keys["bob"] = authenticator("bob")
    assert refusal(review(api, "bob", request, signers.approval("bob", request)))[1] == "signatures: unknown-key"


def test_a_signature_under_an_older_catalog_does_not_count(api: Api, signers: Signers) -> None:
    request = api.asked(entitlement=SIGNED)
    answer = review(api, "bob", request, signers.approval("bob", request))
    changed = signers.catalog()
    changed["entitlement"][-1] = {**changed["entitlement"][-1], "max_duration_s": 1800}
    api.world.adopt(catalog=changed)
    assert refusal(api.draw(answer.json()["grant_id"]))[0] == "rule-changed"


def test_a_cloned_authenticator_is_refused_and_told(api: Api, signers: Signers) -> None:
    first, second = api.asked(entitlement=SIGNED), api.asked(entitlement=SIGNED)
    assert review(api, "bob", first, signers.approval("bob", first)).status_code == 200
    signers["bob"].counter = 0
    assert refusal(review(api, "bob", second, signers.approval("bob", second)))[0] == "cloned-authenticator"
    assert b"cloned-authenticator" in api.world.facts("act.refused")[-1]["leaf"]


def test_a_replayed_signature_is_worth_nothing(api: Api, signers: Signers) -> None:
    request = api.asked(entitlement=SIGNED)
    signature = signers.approval("bob", request)
    assert review(api, "bob", request, signature).status_code == 200
    assert refusal(review(api, "bob", request, signature))[0] == "already-reviewed"
    again = api.asked(entitlement=SIGNED)
    assert refusal(review(api, "bob", again, signature))[0] == "bad-signature"


def test_a_person_who_was_present_but_not_verified_does_not_count(api: Api, signers: Signers) -> None:
    request = api.asked(entitlement=SIGNED)
    signers["bob"].flags = PRESENT
    answer = review(api, "bob", request, signers.approval("bob", request))
    assert refusal(answer) == ("bad-signature", "signatures: not-verified-person")


@pytest.mark.parametrize("origin", ["http://localhost:9999", "https://broker.evil", "http://localhost:8440.evil"])
def test_a_signature_made_at_another_page_does_not_count(api: Api, signers: Signers, origin: str) -> None:
    request = api.asked(entitlement=SIGNED)
    signers["bob"].origin = origin
    answer = review(api, "bob", request, signers.approval("bob", request))
    assert refusal(answer) == ("bad-signature", "signatures: wrong-origin")


def test_a_signature_for_another_site_does_not_count(api: Api, signers: Signers) -> None:
    request = api.asked(entitlement=SIGNED)
    signers["bob"].rp_id = "broker.evil"
    assert refusal(review(api, "bob", request, signers.approval("bob", request)))[1] == "signatures: bad-signature"


@pytest.mark.parametrize("part", ["client_data", "authenticator_data", "signature"])
def test_no_part_of_a_signature_can_be_changed(api: Api, signers: Signers, part: str) -> None:
    request = api.asked(entitlement=SIGNED)
    document = signers.approval("bob", request).document()
    flipped = document[part][:40] + ("A" if document[part][40] != "A" else "B") + document[part][41:]
    answer = review(api, "bob", request, Assertion.read(document | {part: flipped}))
    assert refusal(answer)[0] == "bad-signature"


@pytest.mark.parametrize("value", ["", "=", "a", "AAA=", "é", "A" * 5000])
def test_a_signature_that_is_none_is_bad_input(api: Api, signers: Signers, value: str) -> None:
    request = api.asked(entitlement=SIGNED)
    document = signers.approval("bob", request).document() | {"signature": value}
    body = {"decision": "approve", "digest": request["digest"], "signature": document}
    answer = api.post("bob", f"/v1/requests/{request['id']}/reviews", json=body)
    assert answer.status_code == 422


# --- enrolment ---------------------------------------------------------------------------------------------------------


def shown(api: Api, key: SoftwareAuthenticator, **changes: Any) -> httpx2.Response:  # noqa: ANN401 - fields of the key
    """Show a new key, as its person's page does it."""
    ceremony = api.get(key.person, "/v1/passkeys/ceremony").json()
    challenge = registration_challenge(person=key.person, said_at=ceremony["said_at"])
    made = key.make(challenge) | {"said_at": ceremony["said_at"]}
    prepared = api.post(key.person, "/v1/passkeys/prepare", json=made)
    assert prepared.status_code == 200, prepared.text
    document = prepared.json()["passkey"] | changes
    proof = key.sign(proof_challenge(enrolment_digest(Passkey.read(document), ceremony["said_at"])))
    body = {"passkey": document, "said_at": ceremony["said_at"], "proof": proof.document()}
    return api.post(key.person, "/v1/passkeys", json=body)


def vouch(api: Api, key: SoftwareAuthenticator, waiting: dict[str, Any]) -> httpx2.Response:
    signed = key.sign(vouch_challenge(enrolment=waiting["digest"], voucher=key.person)).document()
    return api.post(key.person, f"/v1/passkeys/{waiting['id']}/vouch", json={"signature": signed})


def remove(api: Api, key: SoftwareAuthenticator, passkey_id: str) -> httpx2.Response:
    signed = key.sign(removal_challenge(passkey=passkey_id, remover=key.person)).document()
    return api.post(key.person, f"/v1/passkeys/{passkey_id}/remove", json={"signature": signed, "reason": "lost"})


def test_a_key_counts_once_two_persons_have_vouched_for_it(api: Api, signers: Signers) -> None:
    signers.keys["bob2"] = new = authenticator("bob")
    waiting = shown(api, new)
    assert waiting.status_code == 201, waiting.text
    assert waiting.json()["state"] == "waiting"
    request = api.asked(entitlement=SIGNED)
    early = new.sign(bytes(32))
    assert refusal(review(api, "bob", request, early))[1] == "signatures: unknown-key"
    assert vouch(api, signers["bob"], waiting.json()).json()["state"] == "waiting"
    assert refusal(vouch(api, signers["bob"], waiting.json()))[0] == "already-reviewed"
    assert vouch(api, signers["frank"], waiting.json()).json()["state"] == "enrolled"
    signers.keys["bob"] = new
    answer = review(api, "bob", request, signers.approval("bob", request))
    assert answer.json()["state"] == "approved"
    assert api.draw(answer.json()["grant_id"]).status_code == 200


def test_a_key_that_may_not_vouch_enrols_nobody_elses(api: Api, signers: Signers) -> None:
    engineers = [authenticator("alice"), authenticator("dave")]
    for key in engineers:
        waiting = shown(api, key).json()
        vouch(api, signers["bob"], waiting)
        assert vouch(api, signers["carol"], waiting).json()["state"] == "enrolled"
    stolen = shown(api, authenticator("erin"), vouches=True).json()
    for key in engineers:
        assert refusal(vouch(api, key, stolen)) == ("bad-signature", "signatures: may-not-vouch")


def test_nobody_shows_a_key_that_he_does_not_hold_or_that_is_anothers(api: Api) -> None:
    other = authenticator("alice").passkey()
    thief = authenticator("alice")
    proof = thief.sign(proof_challenge(enrolment_digest(other, MOMENT))).document() | {"passkey": other.id}
    body = {"passkey": other.document(), "said_at": MOMENT, "proof": proof}
    assert refusal(api.post("alice", "/v1/passkeys", json=body))[0] == "bad-signature"
    assert refusal(api.post("dave", "/v1/passkeys", json=body))[0] == "not-eligible"


@pytest.mark.parametrize("change", [{"rp_id": "broker.evil"}, {"origins": ["https://broker.evil"]}])
def test_a_key_of_another_site_is_not_taken(api: Api, change: dict[str, Any]) -> None:
    assert shown(api, authenticator("alice"), **change).status_code == 422


def test_a_key_made_for_somebody_else_or_without_verification_is_not_taken(api: Api) -> None:
    key = authenticator("alice")
    for made in (
        key.make(registration_challenge(person="bob", said_at=MOMENT)),
        key.make(registration_challenge(person="alice", said_at="2026-11-22T08:00:00.000Z")),
    ):
        answer = api.post("alice", "/v1/passkeys/prepare", json=made | {"said_at": MOMENT})
        assert refusal(answer) == ("bad-signature", "signatures: bad-registration")
    key.flags = PRESENT
    made = key.make(registration_challenge(person="alice", said_at=MOMENT))
    assert refusal(api.post("alice", "/v1/passkeys/prepare", json=made | {"said_at": MOMENT}))[0] == "bad-signature"


def test_a_removed_key_counts_no_longer_not_even_for_what_it_signed_before(api: Api, signers: Signers) -> None:
    request = api.asked(entitlement=SIGNED)
    answer = review(api, "bob", request, signers.approval("bob", request))
    assert remove(api, signers["bob"], signers["bob"].passkey().id).json()["state"] == "removed"
    refused = api.draw(answer.json()["grant_id"])
    assert refusal(refused)[0] == "approval-void"
    assert "was removed" in refused.json()["detail"]
    again = shown(api, signers["bob"])
    assert again.is_client_error, "a removed key never comes back"


def test_a_lost_key_is_removed_by_two_others_and_not_by_one(api: Api, signers: Signers) -> None:
    lost = signers["bob"].passkey().id
    assert remove(api, signers["carol"], lost).json()["state"] == "enrolled"
    request = api.asked(entitlement=SIGNED)
    assert remove(api, signers["frank"], lost).json()["state"] == "removed"
    answer = review(api, "bob", request, signers.approval("bob", request))
    assert refusal(answer) == ("bad-signature", "signatures: removed-key")
