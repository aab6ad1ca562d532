"""The log's key in OpenBao's transit engine: the broker asks for signatures and never sees the key.

What comes back is verified against the public key that was pinned before it is believed: another key's signature, by mistake or
by intent, is no signature of this log.
"""

from __future__ import annotations

import base64
import binascii
import re

from countersign.auditlog.note import Ed25519Verifier
from countersign.auditlog.signer import CannotSign
from countersign.providers.base import ProviderTrouble
from countersign.providers.vault.login import Broker

SIGN_WITHIN_S = 2.0
_SIGNATURE = re.compile(r"vault:v([1-9][0-9]{0,8}):([A-Za-z0-9+/=]{1,200})")


class TransitSigner:
    """An Ed25519 note key (type 0x01) that OpenBao keeps.

    Args:
        broker: calls OpenBao with a login that may sign with this key, and nothing else.
        mount: of the transit engine.
        key: its name there.
        version: the version whose public half is pinned.
        pinned: that public half, under the log's name.
    """

    def __init__(self, broker: Broker, *, mount: str, key: str, version: int, pinned: Ed25519Verifier) -> None:
        self._broker = broker
        self._path = f"{mount}/sign/{key}"
        self._version = version
        self._pinned = pinned

    @property
    def name(self) -> str:
        """The log's name."""
        return self._pinned.name

    @property
    def key_id(self) -> bytes:
        """As of the public key."""
        return self._pinned.key_id

    def verifier(self) -> Ed25519Verifier:
        """Return the public half, as it was pinned; OpenBao is not asked."""
        return self._pinned

    def sign(self, text: bytes) -> bytes:
        """Return 64 bytes over the text.

        Raises:
            CannotSign: OpenBao is away or refuses, or what it gave is no signature of the pinned key.
        """
        body = {"input": base64.b64encode(text).decode(), "key_version": self._version}
        try:
            reply = self._broker.call("POST", self._path, body=body, within_s=SIGN_WITHIN_S)
        except ProviderTrouble as trouble:
            raise CannotSign(str(trouble)) from None
        found = _SIGNATURE.fullmatch(str(reply.table("data").get("signature")))
        if not reply.ok or found is None or int(found[1]) != self._version:
            raise CannotSign(f"OpenBao gave no signature of version {self._version}: {reply.complaint()}")
        try:
            signature = base64.b64decode(found[2], validate=True)
        except binascii.Error:
            raise CannotSign("OpenBao gave a signature that is not base64") from None
        if not self._pinned.verify(text, signature):
            raise CannotSign("OpenBao signed with another key than the one that is pinned")
        return signature
