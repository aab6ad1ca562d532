"""Calls about passkeys: making one, showing it, vouching for another's, having one removed."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Path
from pydantic import Field

from countersign.api.answers import Answer, Moment
from countersign.api.bodies import AssertionBody, Base64Url, Body, Name, Text
from countersign.api.problems import documented
from countersign.api.route import Caller, TheBroker, guarded_router
from countersign.auditlog.passkeys import Registration
from countersign.domain.passkey import (
    Enrolment,
    NotASignature,
    Passkey,
    Word,
    base64url,
    enrolment_digest,
    fingerprint,
    proof_challenge,
    registration_challenge,
)
from countersign.domain.refusals import Invalid
from countersign.service.passkey_views import PasskeyView

router = guarded_router("passkeys")

PasskeyId = Annotated[str, Path(pattern="^psk_[a-z2-7]{16}$", description="a passkey's id")]


class PasskeyDocument(Body):
    """A key, and where it may be used; `vouches` lets it speak for others' keys."""

    person: Name
    credential_id: Base64Url
    public_key: Base64Url
    rp_id: Annotated[str, Field(max_length=253)]
    origins: Annotated[list[Annotated[str, Field(max_length=300)]], Field(min_length=1, max_length=8)]
    vouches: bool


class RegistrationBody(Body):
    """What the authenticator answered when it made a key, in base64url, and when the making began."""

    client_data: Base64Url
    attestation_object: Annotated[str, Field(pattern="^[A-Za-z0-9_-]+$", max_length=16384)]
    said_at: Moment
    vouches: bool = False


class EnrolmentBody(Body):
    """A key, and its own signature of this very statement."""

    passkey: PasskeyDocument
    said_at: Moment
    proof: AssertionBody


class WordBody(Body):
    """One person's signature of an enrolment."""

    signature: AssertionBody


class RemovalBody(Body):
    """One person's signature that a key be removed, and why."""

    signature: AssertionBody
    reason: Text


class CeremonyAnswer(Answer):
    """What a browser needs to make a key."""

    rp_id: str
    origins: list[str]
    person: str
    said_at: Moment
    challenge: str
    known: list[str] = Field(description="credential ids that the person has, not to be made twice")


class PreparedAnswer(Answer):
    """The key that was made, and what it has to sign to show that it is held."""

    passkey: PasskeyDocument
    said_at: Moment
    digest: str
    fingerprint: str
    challenge: str


class PasskeyAnswer(Answer):
    """A key. `digest` is what those sign who vouch for it."""

    id: str
    passkey: PasskeyDocument
    state: Literal["enrolled", "waiting", "lapsed", "removed"]
    said_at: Moment | None
    digest: str | None
    fingerprint: str | None
    vouched_by: list[str]


class PasskeyList(Answer):
    """All keys."""

    items: list[PasskeyAnswer]


@router.get("/passkeys", responses=documented(403), summary="Whose passkeys there are")
def list_passkeys(broker: TheBroker, caller: Caller) -> PasskeyList:
    """Return every key that counts, waits or counted."""
    return PasskeyList(items=[_answer(view) for view in broker.passkeys.passkeys(caller)])


@router.get("/passkeys/ceremony", responses=documented(403), summary="What is needed to make a passkey")
def ceremony(broker: TheBroker, caller: Caller) -> CeremonyAnswer:
    """Return the challenge under which a key is made, good for ten minutes."""
    found = broker.passkeys.ceremony(caller)
    challenge = registration_challenge(person=found.person, said_at=found.said_at)
    return CeremonyAnswer(
        rp_id=found.signing.rp_id,
        origins=list(found.signing.origins),
        person=found.person,
        said_at=found.said_at,
        challenge=base64url(challenge),
        known=list(found.known),
    )


@router.post("/passkeys/prepare", responses=documented(403, 408, 410, 413, 415), summary="Read a key that was made")
def prepare(broker: TheBroker, caller: Caller, body: RegistrationBody) -> PreparedAnswer:
    """Return the key that the authenticator made and what it has to sign; nothing is kept."""
    passkey = broker.passkeys.prepare(caller, Registration(**body.model_dump()))
    digest = enrolment_digest(passkey, body.said_at)
    return PreparedAnswer(
        passkey=PasskeyDocument.model_validate(passkey.document()),
        said_at=body.said_at,
        digest=digest,
        fingerprint=fingerprint(digest),
        challenge=base64url(proof_challenge(digest)),
    )


@router.post(
    "/passkeys", status_code=201, responses=documented(403, 408, 409, 410, 413, 415), summary="Show a new passkey"
)
def propose(broker: TheBroker, caller: Caller, body: EnrolmentBody) -> PasskeyAnswer:
    """Show a new key of one's own; it counts once two persons have vouched for it."""
    try:
        passkey = Passkey.read(body.passkey.model_dump())
    except NotASignature as error:
        raise Invalid(str(error), field="passkey") from error
    enrolment = Enrolment(passkey=passkey, said_at=body.said_at, proof=body.proof.meaning())
    return _answer(broker.passkeys.propose(caller, enrolment))


@router.get("/passkeys/{passkey_id}", responses=documented(403, 404), summary="One passkey")
def read_passkey(broker: TheBroker, caller: Caller, passkey_id: PasskeyId) -> PasskeyAnswer:
    """Return a key."""
    return _answer(broker.passkeys.passkey(caller, passkey_id))


@router.post(
    "/passkeys/{passkey_id}/vouch", responses=documented(403, 404, 408, 409, 410, 413, 415), summary="Vouch for a key"
)
def vouch(broker: TheBroker, caller: Caller, passkey_id: PasskeyId, body: WordBody) -> PasskeyAnswer:
    """Vouch for a key with one's own; the second person's word enrols it."""
    word = Word(person=caller.person, assertion=body.signature.meaning())
    return _answer(broker.passkeys.vouch(caller, passkey_id, word))


@router.post(
    "/passkeys/{passkey_id}/remove", responses=documented(403, 404, 408, 409, 413, 415), summary="Have a key removed"
)
def remove(broker: TheBroker, caller: Caller, passkey_id: PasskeyId, body: RemovalBody) -> PasskeyAnswer:
    """Have a key removed: its person does so alone, others by two."""
    word = Word(person=caller.person, assertion=body.signature.meaning())
    return _answer(broker.passkeys.remove(caller, passkey_id, word, reason=body.reason))


def _answer(view: PasskeyView) -> PasskeyAnswer:
    return PasskeyAnswer(
        id=view.passkey.id,
        passkey=PasskeyDocument.model_validate(view.passkey.document()),
        state=view.state,
        said_at=view.said_at,
        digest=view.digest,
        fingerprint=None if view.digest is None else fingerprint(view.digest),
        vouched_by=list(view.vouched_by),
    )
