"""What was signed with passkeys, replayed from the log's facts in their order: keys, and the rules that came into force.

A signature is checked with the keys that counted when it was given. So a key that is removed later still stands behind the
rules that it once signed, and one that was lost signs none after.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from countersign.auditlog import keyring as keys
from countersign.auditlog.keyring import Keyring
from countersign.auditlog.passkeys import BadSignature
from countersign.domain.passkey import Assertion, NotASignature, rules_challenge

SIGNED, DECIDED, ADOPTED = "rulebook.signed", "rulebook.decided", "rulebook.adopted"
TYPES = (keys.ENROLLED, keys.REMOVED, SIGNED, DECIDED, ADOPTED)
"""The types of facts that the chain is made of. The first keys are not among them: the rules name those."""

Signing = tuple[str, str, str, str]
"""Proposal, digest, act (`propose` or `approve`) and person."""


def telling(told: bytes, leaf_hash: bytes) -> bytes:
    """Return the digest of leaves in their order with one more behind them."""
    return hashlib.sha256(told + leaf_hash).digest()


@dataclass(frozen=True, kw_only=True)
class Chain:
    """What signatures bear out at one moment.

    Attributes:
        keyring: the keys that count.
        signings: every author's signature of a proposal that verified when it was given.
        adopted: how many rulebooks came into force.
        told: digest of all the leaves that it was made from, in their order; see `telling`.
    """

    keyring: Keyring = field(default_factory=Keyring)
    signings: frozenset[Signing] = frozenset()
    adopted: int = 0
    told: bytes = b""

    def after(self, type_: str, actor: str, subject: str, data: Mapping[str, Any]) -> Chain:
        """Return the chain after a fact.

        Raises:
            BadSignature: the fact is not borne out by its signatures, and changes nothing.
        """
        if type_ == ADOPTED:
            return replace(self, adopted=self.adopted + 1)
        if type_ in {keys.ENROLLED, keys.REMOVED}:
            return replace(self, keyring=self.keyring.after(type_, subject, data))
        act = "propose" if type_ == SIGNED else "approve"
        signature = data.get("signature")
        if signature is None or (type_ == DECIDED and data.get("state") != "approved"):
            return self
        try:
            challenge = rules_challenge(proposal=subject, digest=str(data["digest"]), act=act, author=actor)
            self.keyring.check(Assertion.read(signature), person=actor, challenge=challenge)
        except (KeyError, NotASignature) as error:
            raise BadSignature("chain", f"not what a signature of rules says: {type(error).__name__}") from error
        return replace(self, signings=self.signings | {(subject, str(data["digest"]), act, actor)})
