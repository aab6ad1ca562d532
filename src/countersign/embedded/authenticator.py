"""A software authenticator, for the embedded stack and for tests: it makes real passkeys and signs with them, and asks nobody.

Whoever holds its file is the person. That is fit for trying things out and for nothing else; in earnest the key lies in a
device that asks for a finger or a PIN.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from webauthn.helpers import encode_cbor

from countersign.domain.passkey import Assertion, Passkey, base64url, unbase64url

PRESENT, VERIFIED, HOLDS_KEY = 0x01, 0x04, 0x40
_CREDENTIAL_ID_BYTES = 32


@dataclass(kw_only=True)
class SoftwareAuthenticator:
    """One key of one person, at one site.

    Attributes:
        counts: whether it tells how often it has signed; one that is kept in a file does not, as synced passkeys do not.
        counter: how often it has signed; an authenticator never counts down.
        flags: what it says of the person; verified and present unless a test says otherwise.
    """

    person: str
    rp_id: str
    origin: str
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()), repr=False)
    credential_id: bytes = field(default_factory=lambda: os.urandom(_CREDENTIAL_ID_BYTES))
    counts: bool = True
    counter: int = 0
    flags: int = PRESENT | VERIFIED

    def passkey(self, *, vouches: bool = True, origins: tuple[str, ...] | None = None) -> Passkey:
        """Return the key as others know it."""
        return Passkey(
            person=self.person,
            credential_id=base64url(self.credential_id),
            public_key=base64url(self.cose()),
            rp_id=self.rp_id,
            origins=origins or (self.origin,),
            vouches=vouches,
        )

    def cose(self) -> bytes:
        """Return the public key as a COSE key (ES256)."""
        numbers = self.key.public_key().public_numbers()
        x, y = (number.to_bytes(32, "big") for number in (numbers.x, numbers.y))
        return encode_cbor({1: 2, 3: -7, -1: 1, -2: x, -3: y})

    def sign(self, challenge: bytes) -> Assertion:
        """Sign a challenge as an authenticator does, counting on where it counts."""
        self.counter += self.counts
        client_data = self._client_data("webauthn.get", challenge)
        said = self._authenticator_data(self.flags)
        signature = self.key.sign(said + hashlib.sha256(client_data).digest(), ec.ECDSA(hashes.SHA256()))
        return Assertion(
            passkey=self.passkey().id,
            client_data=base64url(client_data),
            authenticator_data=base64url(said),
            signature=base64url(signature),
        )

    def make(self, challenge: bytes) -> dict[str, str]:
        """Answer the making of the key: `client_data` and `attestation_object`, without any maker's attestation."""
        length = len(self.credential_id).to_bytes(2, "big")
        said = self._authenticator_data(self.flags | HOLDS_KEY) + bytes(16) + length + self.credential_id + self.cose()
        attestation = encode_cbor({"fmt": "none", "attStmt": {}, "authData": said})
        client_data = self._client_data("webauthn.create", challenge)
        return {"client_data": base64url(client_data), "attestation_object": base64url(attestation)}

    def write(self, path: Path) -> None:
        """Keep the key in a new file of mode 0600."""
        pem = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        kept = {
            "person": self.person,
            "rp_id": self.rp_id,
            "origin": self.origin,
            "credential_id": base64url(self.credential_id),
            "key": pem.decode("ascii"),
        }
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            json.dump(kept, file)

    @classmethod
    def load(cls, path: Path) -> SoftwareAuthenticator:
        """Return the authenticator that `write` kept.

        Raises:
            OSError: the file cannot be read.
            ValueError: it holds no such key.
        """
        try:
            kept = json.loads(path.read_text(encoding="ascii"))
            key = serialization.load_pem_private_key(kept["key"].encode("ascii"), password=None)
            credential_id = unbase64url(kept["credential_id"])
            where = {name: str(kept[name]) for name in ("person", "rp_id", "origin")}
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"{path} holds no software passkey") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError(f"{path} holds no key of this kind")  # noqa: TRY004 - the file's content, not a caller's type
        return cls(
            person=where["person"],
            rp_id=where["rp_id"],
            origin=where["origin"],
            key=key,
            credential_id=credential_id,
            counts=False,
        )

    def _client_data(self, type_: str, challenge: bytes) -> bytes:
        said = {"type": type_, "challenge": base64url(challenge), "origin": self.origin, "crossOrigin": False}
        return json.dumps(said, separators=(",", ":")).encode("ascii")

    def _authenticator_data(self, flags: int) -> bytes:
        return hashlib.sha256(self.rp_id.encode("ascii")).digest() + bytes([flags]) + self.counter.to_bytes(4, "big")
