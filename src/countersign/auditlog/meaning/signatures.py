"""Passkeys in a replay: the chain of enrolments checked anew, and every approval that had to be signed, by cryptography alone."""

from __future__ import annotations

from dataclasses import dataclass, field

from countersign.auditlog.keyring import FOUNDED, Keyring
from countersign.auditlog.leaf import Fact
from countersign.auditlog.meaning.ledger import Ledger
from countersign.auditlog.passkeys import BadSignature
from countersign.domain.passkey import (
    Assertion,
    NotASignature,
    Passkey,
    envelope_challenge,
    review_challenge,
    rules_challenge,
)


@dataclass(frozen=True, kw_only=True)
class Genesis:
    """The first rules as somebody holds them in his own hands: what the log must begin with."""

    catalog: str
    passkeys: tuple[Passkey, ...]


@dataclass(slots=True)
class Signatures:
    """Judges the facts of passkeys, and the signatures of reviews, envelopes and rules.

    Attributes:
        genesis: the first rules, where whoever verifies brings them; without, the log's own word for its first keys counts.
        counters: by passkey, the highest counter of any word so far.
    """

    ledger: Ledger
    genesis: Genesis | None = None
    keyring: Keyring = field(default_factory=Keyring)
    counters: dict[str, int] = field(default_factory=dict)
    unsigned: dict[str, set[str]] = field(default_factory=dict)

    def adopted(self, index: int, fact: Fact) -> None:
        """The first rules are those that somebody holds."""
        data = fact["data"]
        if data["genesis"] and self.genesis is not None and data["catalog"] != self.genesis.catalog:
            self.ledger.broken(index, "genesis-mismatch", "the log begins with another catalog than the one given")

    def chained(self, index: int, fact: Fact) -> None:
        """A key counts because the genesis names it or two persons signed for it, and ends on the word of those who may."""
        try:
            self.keyring = self.keyring.after(fact["type"], fact["subject"], fact["data"])
        except BadSignature as bad:
            self.ledger.broken(index, "passkey-chain", f"{fact['subject']}: {bad}")
            return
        if fact["type"] == FOUNDED and self.genesis is not None:
            named = {passkey.id: passkey for passkey in self.genesis.passkeys}
            if self.keyring.keys != named:
                self.ledger.broken(index, "genesis-mismatch", "the first passkeys are not those of the catalog given")

    def reviewed(self, index: int, fact: Fact) -> None:
        """Where a request asks for signatures, an approval is the approver's own, over exactly what he approved."""
        data, name, person = fact["data"], fact["subject"], fact["actor"]
        request = self.ledger.requests.get(name)
        signature = data.get("signature")
        if signature is None:
            if request is not None and request.signed and data["decision"] == "approve":
                self.ledger.broken(index, "signature-missing", f"{person} approved {name} without signing it")
            return
        challenge = review_challenge(request=name, digest=data["digest"], decision=data["decision"], approver=person)
        self._check(index, signature, person=person, challenge=challenge, about=name)

    def envelope_signed(self, index: int, fact: Fact) -> None:
        """A signature of an envelope is the signer's own, over exactly what the envelope says."""
        data, name, person = fact["data"], fact["subject"], fact["actor"]
        signature = data.get("signature")
        if signature is None:
            self.unsigned.setdefault(name, set()).add(person)
            return
        challenge = envelope_challenge(envelope=name, digest=data["digest"], signer=person)
        self._check(index, signature, person=person, challenge=challenge, about=name)

    def opened(self, index: int, fact: Fact) -> None:
        """Where a request asks for signatures, the envelope that it opens bears them too."""
        statement = fact["data"]["statement"]
        name = (statement.get("emergency") or {}).get("envelope") or ""
        if statement.get("signature") == "required" and self.unsigned.get(name):
            who = ", ".join(sorted(self.unsigned[name]))
            self.ledger.broken(index, "signature-missing", f"{who} stand under {name} without having signed it")

    def rules_signed(self, index: int, fact: Fact) -> None:
        """An author's signature of a proposal is his own, over exactly what is proposed."""
        data, name, person = fact["data"], fact["subject"], fact["actor"]
        signature = data.get("signature")
        if signature is not None:
            act = "propose" if fact["type"] == "rulebook.signed" else "approve"
            challenge = rules_challenge(proposal=name, digest=data["digest"], act=act, author=person)
            self._check(index, signature, person=person, challenge=challenge, about=name)

    def _check(self, index: int, signature: Fact, *, person: str, challenge: bytes, about: str) -> None:
        try:
            assertion = Assertion.read(signature)
            counter = self.keyring.check(assertion, person=person, challenge=challenge)
        except (BadSignature, NotASignature) as bad:
            self.ledger.broken(index, "signature-invalid", f"the signature of {person} under {about}: {bad}")
            return
        seen = self.counters.get(assertion.passkey, 0)
        if (counter or seen) and counter <= seen:
            detail = f"{assertion.passkey} says {counter} under {about}, and had said {seen}"
            self.ledger.broken(index, "signature-counter", detail)
        self.counters[assertion.passkey] = max(counter, seen)
