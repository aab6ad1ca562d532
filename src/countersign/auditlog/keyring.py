"""Whose keys count: the chain of enrolments, from the keys of the genesis on, each checked with the keys before it.

A keyring is a replay of facts, so that nobody needs to believe a table: the draw and the offline verifier make the same one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from countersign.auditlog.passkeys import BadSignature, check_public_key, check_signature
from countersign.domain.passkey import (
    VOUCHERS,
    Assertion,
    Enrolment,
    NotASignature,
    Passkey,
    Word,
    proof_challenge,
    removal_challenge,
    vouch_challenge,
)

FOUNDED, ENROLLED, REMOVED = "passkey.founded", "passkey.enrolled", "passkey.removed"
CHAIN = (FOUNDED, ENROLLED, REMOVED)
"""The types of facts that a keyring is made of."""


@dataclass(frozen=True, kw_only=True)
class Keyring:
    """The keys that count at one moment.

    Attributes:
        keys: by id.
        removed: ids of keys that counted once and never will again.
    """

    keys: Mapping[str, Passkey] = field(default_factory=lambda: MappingProxyType({}))
    removed: frozenset[str] = frozenset()

    def of(self, person: str) -> tuple[Passkey, ...]:
        """Return a person's keys."""
        return tuple(key for _, key in sorted(self.keys.items()) if key.person == person)

    def check(self, assertion: Assertion, *, person: str, challenge: bytes) -> int:
        """Return the counter of a signature that counts as this person's.

        Raises:
            BadSignature: `unknown-key`, `removed-key`, `wrong-person`, or as `check_signature` says.
        """
        key = self.keys.get(assertion.passkey)
        if key is None:
            gone = assertion.passkey in self.removed
            raise BadSignature(
                "removed-key" if gone else "unknown-key",
                f"the key {assertion.passkey[:20]!r} {'was removed' if gone else 'is not enrolled'}",
            )
        if key.person != person:
            raise BadSignature("wrong-person", f"the key {key.id} is not that of {person}")
        return check_signature(key, assertion, challenge=challenge)

    def founded(self, passkeys: Sequence[Passkey]) -> Keyring:
        """Return the keyring of the genesis.

        Raises:
            BadSignature: there are keys already, or one is none or stands twice.
        """
        if self.keys or self.removed:
            raise BadSignature("chain", "keys were founded after there were some")
        for passkey in passkeys:
            check_public_key(passkey.public_key)
        keys = {passkey.id: passkey for passkey in passkeys}
        if len(keys) != len(passkeys):
            raise BadSignature("chain", "a key stands twice")
        return replace(self, keys=MappingProxyType(keys))

    def check_proof(self, enrolment: Enrolment) -> int:
        """Return the counter of a new key's proof that it is held.

        Raises:
            BadSignature: the key is known, or the proof is not by it.
        """
        passkey = enrolment.passkey
        if passkey.id in self.keys or passkey.id in self.removed:
            raise BadSignature("chain", f"the key {passkey.id} was enrolled before")
        return check_signature(passkey, enrolment.proof, challenge=proof_challenge(enrolment.digest))

    def check_vouch(self, enrolment: Enrolment, word: Word) -> int:
        """Return the counter of one person's word for an enrolment.

        Raises:
            BadSignature: `may-not-vouch` for a stranger's key by one that may not, or the signature does not count.
        """
        key = self.keys.get(word.assertion.passkey)
        counter = self.check(
            word.assertion,
            person=word.person,
            challenge=vouch_challenge(enrolment=enrolment.digest, voucher=word.person),
        )
        self._demand_voice(key, subject=enrolment.passkey.person)
        return counter

    def enrolled(self, enrolment: Enrolment, vouches: Sequence[Word]) -> Keyring:
        """Return the keyring with a new key that its own proof and two persons stand behind.

        Raises:
            BadSignature: `too-few` persons, or as the checks say.
        """
        self.check_proof(enrolment)
        for word in vouches:
            self.check_vouch(enrolment, word)
        if len({word.person for word in vouches}) < VOUCHERS:
            raise BadSignature("too-few", f"a key is enrolled on the word of {VOUCHERS} persons")
        passkey = enrolment.passkey
        return replace(self, keys=MappingProxyType({**self.keys, passkey.id: passkey}))

    def check_removal(self, passkey_id: str, word: Word) -> int:
        """Return the counter of one person's word for a removal.

        Raises:
            BadSignature: as `check_vouch`.
        """
        subject = self.keys.get(passkey_id)
        if subject is None:
            raise BadSignature("unknown-key", f"the key {passkey_id[:20]!r} is not enrolled")
        key = self.keys.get(word.assertion.passkey)
        counter = self.check(
            word.assertion,
            person=word.person,
            challenge=removal_challenge(passkey=passkey_id, remover=word.person),
        )
        self._demand_voice(key, subject=subject.person)
        return counter

    def suffices(self, passkey_id: str, words: Sequence[Word]) -> bool:
        """Say whether these persons may remove a key: its own, or two others."""
        persons = {word.person for word in words}
        subject = self.keys.get(passkey_id)
        return subject is not None and (subject.person in persons or len(persons) >= VOUCHERS)

    def without(self, passkey_id: str, words: Sequence[Word]) -> Keyring:
        """Return the keyring after a removal.

        Raises:
            BadSignature: as `check_removal`, or too few.
        """
        for word in words:
            self.check_removal(passkey_id, word)
        if not self.suffices(passkey_id, words):
            raise BadSignature("too-few", f"a key is removed by its person, or by {VOUCHERS} others")
        keys = {name: key for name, key in self.keys.items() if name != passkey_id}
        return replace(self, keys=MappingProxyType(keys), removed=self.removed | {passkey_id})

    def after(self, type_: str, subject: str, data: Mapping[str, Any]) -> Keyring:
        """Return the keyring after a fact of the chain, once the fact is checked.

        Raises:
            BadSignature: the fact does not bear out what it says.
        """
        try:
            if type_ == FOUNDED:
                return self.founded([Passkey.read(each) for each in data["passkeys"]])
            if type_ == REMOVED:
                return self.without(subject, [Word.read(each) for each in data["words"]])
            enrolment = Enrolment(
                passkey=Passkey.read(data["passkey"]), said_at=data["said_at"], proof=Assertion.read(data["proof"])
            )
            if enrolment.passkey.id != subject:
                raise BadSignature("chain", "an enrolment of another key than it says")
            return self.enrolled(enrolment, [Word.read(each) for each in data["vouches"]])
        except (KeyError, TypeError, AttributeError, NotASignature) as error:
            raise BadSignature("chain", f"not what an enrolment says: {type(error).__name__}") from error

    def _demand_voice(self, key: Passkey | None, *, subject: str) -> None:
        if key is not None and key.person != subject and not key.vouches:
            raise BadSignature("may-not-vouch", f"the key {key.id} speaks for nobody but {key.person}")
