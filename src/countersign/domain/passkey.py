"""Passkeys and what they sign: one challenge for each kind of word, so that a signature is never good for another.

A signature here is a WebAuthn assertion. Its challenge is a digest of exactly what is said and by whom; what it takes to
check it years later (the passkey, its site and origins) is part of the enrolment that others signed. Checking is not done
here but in `auditlog.passkeys`, which knows cryptography.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from countersign.domain.canonical import digest
from countersign.domain.ids import PASSKEY, RANDOM_BYTES, make_id

VOUCHERS = 2
"""So many persons stand behind a key, and behind the removal of another's."""
LONGEST_PART = 4096
"""Characters of one part of a signature; authenticators need a few hundred."""
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")
_GROUP = 4


class NotASignature(ValueError):
    """A value that has not even the shape of a signature or of a passkey."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Signing:
    """Where passkeys are used, and what they must sign.

    Attributes:
        rp_id: the site (a host name) that passkeys are bound to.
        origins: addresses of the pages at which they may be used.
        signed_rules: catalog and directory come into force only on signatures of their author and their approver.
    """

    rp_id: str
    origins: tuple[str, ...]
    signed_rules: bool = False

    def document(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {"rp_id": self.rp_id, "origins": list(self.origins), "signed_rules": self.signed_rules}


@dataclass(frozen=True, kw_only=True, slots=True)
class Passkey:
    """One person's key, and where it may be used.

    Attributes:
        credential_id: the authenticator's name for it, base64url.
        public_key: a COSE key, base64url; it says its own algorithm.
        rp_id: the site that it is bound to.
        origins: addresses of the pages at which it may be used.
        vouches: whether it may speak for the enrolment or removal of others' keys.
    """

    person: str
    credential_id: str
    public_key: str
    rp_id: str
    origins: tuple[str, ...]
    vouches: bool = False

    @property
    def id(self) -> str:
        """The name of the key, which follows from the authenticator's name for it: no key can bear another's."""
        hashed = hashlib.sha256(b"countersign/passkey-id/v1\n" + unbase64url(self.credential_id)).digest()
        return make_id(PASSKEY, hashed[:RANDOM_BYTES])

    def document(self) -> dict[str, Any]:
        """Return it as plain JSON; what those who vouch for it sign."""
        return {
            "person": self.person,
            "credential_id": self.credential_id,
            "public_key": self.public_key,
            "rp_id": self.rp_id,
            "origins": list(self.origins),
            "vouches": self.vouches,
        }

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """Return the passkey that a document describes.

        Raises:
            NotASignature: it describes none.
        """
        texts = ("person", "credential_id", "public_key", "rp_id")
        if document.keys() != {*texts, "origins", "vouches"} or not all(isinstance(document[n], str) for n in texts):
            raise NotASignature("a passkey has other parts")
        origins, vouches = document["origins"], document["vouches"]
        if not isinstance(vouches, bool) or not all(isinstance(each, str) for each in origins):
            raise NotASignature("a passkey has parts of other kinds")
        unbase64url(document["credential_id"])
        unbase64url(document["public_key"])
        return cls(**{name: document[name] for name in texts}, origins=tuple(origins), vouches=vouches)


@dataclass(frozen=True, kw_only=True, slots=True)
class Assertion:
    """A signature as an authenticator makes it, each part base64url: everything but the key that checks it.

    Attributes:
        passkey: the id of the key.
        client_data: what the browser said was signed, and where.
        authenticator_data: what the authenticator said of itself and of the person's presence.
        signature: over both.
    """

    passkey: str
    client_data: str
    authenticator_data: str
    signature: str

    def document(self) -> dict[str, str]:
        """Return it as plain JSON, as it stands in the log."""
        return {
            "passkey": self.passkey,
            "client_data": self.client_data,
            "authenticator_data": self.authenticator_data,
            "signature": self.signature,
        }

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """Return the signature that a document holds.

        Raises:
            NotASignature: it holds none.
        """
        parts = ("passkey", "client_data", "authenticator_data", "signature")
        if not isinstance(document, Mapping) or document.keys() != set(parts):
            raise NotASignature("a signature has other parts")
        if not all(isinstance(document[name], str) and len(document[name]) <= LONGEST_PART for name in parts):
            raise NotASignature("a signature has parts of other kinds or lengths")
        for name in parts[1:]:
            unbase64url(document[name])
        return cls(**{name: document[name] for name in parts})


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """Somebody's signature under a key's enrolment or removal."""

    person: str
    assertion: Assertion

    def document(self) -> dict[str, Any]:
        """Return it as plain JSON, as it stands in the log."""
        return {"person": self.person, "signature": self.assertion.document()}

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """Return the word that a document holds.

        Raises:
            NotASignature: it holds none.
        """
        if document.keys() != {"person", "signature"} or not isinstance(document["person"], str):
            raise NotASignature("a word has other parts")
        return cls(person=document["person"], assertion=Assertion.read(document["signature"]))


@dataclass(frozen=True, kw_only=True, slots=True)
class Enrolment:
    """This key is this person's: a statement that the key itself and two persons sign.

    Attributes:
        said_at: when it was said, spelled as everywhere.
        proof: by the key that is enrolled, so that nobody enrols a key that he does not hold.
    """

    passkey: Passkey
    said_at: str
    proof: Assertion

    @property
    def digest(self) -> str:
        """The hex digest that is signed."""
        return enrolment_digest(self.passkey, self.said_at)


def enrolment_digest(passkey: Passkey, said_at: str) -> str:
    """Return the hex digest of an enrolment's statement."""
    return digest("countersign/enrolment/v1", {"passkey": passkey.document(), "at": said_at})


def fingerprint(hex_digest: str) -> str:
    """Return the short form of a digest that every channel shows: four groups of four characters, eighty bits."""
    text = base64.b32encode(bytes.fromhex(hex_digest)[:RANDOM_BYTES]).decode("ascii")
    return "-".join(text[start : start + _GROUP] for start in range(0, len(text), _GROUP))


# --- what is signed ----------------------------------------------------------------------------------------------------


def review_challenge(*, request: str, digest: str, decision: str, approver: str) -> bytes:
    """Return what an approver signs: this decision on this digest of this request, said by this person."""
    said = {"request": request, "digest": digest, "decision": decision, "approver": approver}
    return _challenge("countersign/review/v1", said)


def envelope_challenge(*, envelope: str, digest: str, signer: str) -> bytes:
    """Return what is signed under an envelope, before the emergency."""
    return _challenge("countersign/envelope-signature/v1", {"envelope": envelope, "digest": digest, "signer": signer})


def rules_challenge(*, proposal: str, digest: str, act: str, author: str) -> bytes:
    """Return what an author signs of a proposal; `act` is `propose` or `approve`."""
    said = {"proposal": proposal, "digest": digest, "act": act, "author": author}
    return _challenge("countersign/rules-signature/v1", said)


def registration_challenge(*, person: str, said_at: str) -> bytes:
    """Return the challenge under which an authenticator makes a new key; the proof follows under `proof_challenge`."""
    return _challenge("countersign/registration/v1", {"person": person, "at": said_at})


def proof_challenge(enrolment: str) -> bytes:
    """Return what a new key signs to show that it is held: the digest of its own enrolment."""
    return _challenge("countersign/enrolment-proof/v1", {"enrolment": enrolment})


def vouch_challenge(*, enrolment: str, voucher: str) -> bytes:
    """Return what a person signs to vouch for an enrolment."""
    return _challenge("countersign/enrolment-vouch/v1", {"enrolment": enrolment, "voucher": voucher})


def removal_challenge(*, passkey: str, remover: str) -> bytes:
    """Return what a person signs to have a key removed."""
    return _challenge("countersign/passkey-removal/v1", {"passkey": passkey, "remover": remover})


def _challenge(label: str, said: Mapping[str, object]) -> bytes:
    return bytes.fromhex(digest(label, said))


def base64url(raw: bytes) -> str:
    """Spell bytes in base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def unbase64url(text: str) -> bytes:
    """Read what `base64url` spells, and nothing near it.

    Raises:
        NotASignature: another spelling.
    """
    if not isinstance(text, str) or _BASE64URL.fullmatch(text) is None:
        raise NotASignature("not base64url without padding")
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise NotASignature("not base64url without padding") from error
    if base64url(raw) != text:
        raise NotASignature("base64url with loose bits at its end")
    return raw
