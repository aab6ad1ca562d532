"""Checking a passkey's signature: pure, offline, and the same code at the review, at the draw and years later.

What WebAuthn leaves to whoever checks is strict here: the person was verified and not only present, the page was one of the
key's own, and was not shown inside another.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from countersign.domain.passkey import (
    Assertion,
    Passkey,
    Signing,
    base64url,
    registration_challenge,
    unbase64url,
)


class BadSignature(ValueError):
    """A signature that does not count; `code` is stable and says why."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def check_signature(passkey: Passkey, assertion: Assertion, *, challenge: bytes) -> int:
    """Return the authenticator's counter as it stood at the signature (0 where it keeps none).

    Raises:
        BadSignature: `wrong-key`, `not-verified-person`, `wrong-origin` or `bad-signature`.
    """
    # Loading the library takes 0.1 s, which only those pay who meet a signature.
    from webauthn import verify_authentication_response  # noqa: PLC0415 - as above
    from webauthn.helpers import parse_authenticator_data, structs  # noqa: PLC0415 - as above
    from webauthn.helpers.exceptions import WebAuthnException  # noqa: PLC0415 - as above

    if assertion.passkey != passkey.id:
        raise BadSignature("wrong-key", f"the signature is by {assertion.passkey[:20]}, not by {passkey.id}")
    client_data = unbase64url(assertion.client_data)
    authenticator_data = unbase64url(assertion.authenticator_data)
    _demand_own_page(client_data, passkey)
    raw_id = unbase64url(passkey.credential_id)
    try:
        if not parse_authenticator_data(authenticator_data).flags.uv:
            raise BadSignature("not-verified-person", "the authenticator did not verify the person")
        checked = verify_authentication_response(
            credential=structs.AuthenticationCredential(
                id=passkey.credential_id,
                raw_id=raw_id,
                response=structs.AuthenticatorAssertionResponse(
                    client_data_json=client_data,
                    authenticator_data=authenticator_data,
                    signature=unbase64url(assertion.signature),
                ),
            ),
            expected_challenge=challenge,
            expected_rp_id=passkey.rp_id,
            expected_origin=list(passkey.origins),
            credential_public_key=unbase64url(passkey.public_key),
            credential_current_sign_count=0,  # who keeps counters compares them; here there may be none to compare with
            require_user_verification=True,
        )
    except WebAuthnException as error:
        raise BadSignature("bad-signature", f"the signature does not verify: {error}") from error
    except (ValueError, TypeError, KeyError, LookupError, AttributeError) as error:
        if isinstance(error, BadSignature):
            raise
        raise BadSignature("bad-signature", f"the signature cannot be read: {type(error).__name__}") from error
    return checked.new_sign_count


def check_public_key(public_key: str) -> None:
    """Demand a COSE key of a kind whose signatures can be checked.

    Raises:
        BadSignature: it is none.
    """
    from webauthn.helpers import (  # noqa: PLC0415 - as above
        decode_credential_public_key,
        decoded_public_key_to_cryptography,
    )
    from webauthn.helpers.exceptions import WebAuthnException  # noqa: PLC0415 - as above

    try:
        decoded_public_key_to_cryptography(decode_credential_public_key(unbase64url(public_key)))
    except (WebAuthnException, ValueError, TypeError, KeyError, LookupError, AttributeError) as error:
        raise BadSignature("wrong-key", "not a COSE public key of a known kind") from error


@dataclass(frozen=True, kw_only=True)
class Registration:
    """What an authenticator answers when it makes a key, each part base64url.

    Attributes:
        said_at: when the making began, as the challenge says it.
        vouches: whether the key is to speak for others' keys.
    """

    client_data: str
    attestation_object: str
    said_at: str
    vouches: bool


def registered(made: Registration, *, person: str, signing: Signing) -> Passkey:
    """Return the key that was made. No maker of authenticators vouches for it: persons do, who see it being made.

    Raises:
        BadSignature: not made for this person and moment, not at our pages, or of a kind that cannot be checked.
    """
    from webauthn import verify_registration_response  # noqa: PLC0415 - as above
    from webauthn.helpers import structs  # noqa: PLC0415 - as above
    from webauthn.helpers.exceptions import WebAuthnException  # noqa: PLC0415 - as above

    try:
        client_data = unbase64url(made.client_data)
        attestation = unbase64url(made.attestation_object)
        raw_id = _raw_id(attestation)
        checked = verify_registration_response(
            credential=structs.RegistrationCredential(
                id=base64url(raw_id),
                raw_id=raw_id,
                response=structs.AuthenticatorAttestationResponse(
                    client_data_json=client_data, attestation_object=attestation
                ),
            ),
            expected_challenge=registration_challenge(person=person, said_at=made.said_at),
            expected_rp_id=signing.rp_id,
            expected_origin=list(signing.origins),
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, TypeError, KeyError, LookupError, AttributeError) as error:
        raise BadSignature("bad-registration", f"no key of yours was made here: {error}") from error
    return Passkey(
        person=person,
        credential_id=base64url(checked.credential_id),
        public_key=base64url(checked.credential_public_key),
        rp_id=signing.rp_id,
        origins=signing.origins,
        vouches=made.vouches,
    )


def _raw_id(attestation: bytes) -> bytes:
    from webauthn.helpers import parse_attestation_object  # noqa: PLC0415 - as above

    made = parse_attestation_object(attestation).auth_data.attested_credential_data
    if made is None:
        raise ValueError("no key in it")
    return made.credential_id


def _demand_own_page(client_data: bytes, passkey: Passkey) -> None:
    try:
        said = json.loads(client_data)
        origin, framed = said["origin"], said.get("crossOrigin", False)
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise BadSignature("bad-signature", "what the browser said cannot be read") from error
    if origin not in passkey.origins or framed is not False or "topOrigin" in said:
        raise BadSignature("wrong-origin", "signed at a page that is not one of the key's own, or within another page")
