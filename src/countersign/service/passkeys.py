"""Enrolling and removing passkeys: a key counts once its own person shows that he holds it and two persons vouch for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from countersign.auditlog.keyring import Keyring
from countersign.auditlog.passkeys import BadSignature, Registration, registered
from countersign.domain.passkey import VOUCHERS, Enrolment, Passkey, Signing, Word
from countersign.domain.passkey_facts import (
    PasskeyEnrolled,
    PasskeyProposed,
    PasskeyRemovalAsked,
    PasskeyRemoved,
    PasskeyVouched,
)
from countersign.domain.people import Principal
from countersign.domain.refusals import AlreadyReviewed, Invalid, NotEligible, NotFound, WindowOver
from countersign.domain.timestamps import NotATime, read, spell
from countersign.service.office import Office
from countersign.service.passkey_views import LONGEST_WAIT, PasskeyView, counts, view_of, views_of
from countersign.service.rules import Rules
from countersign.service.signatures import move_counter, refusal_of
from countersign.store import Tx

LONGEST_CEREMONY = timedelta(minutes=10)
"""How long making a key may take, from asking for the challenge to showing the key."""
MOST_KEYS = 8

Checked = TypeVar("Checked")


@dataclass(frozen=True, kw_only=True)
class Ceremony:
    """What a browser needs to make a key: the place it is bound to and when the making began."""

    signing: Signing
    person: str
    said_at: str
    known: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Passkeys:
    """Use cases of those who hold passkeys and of those who vouch for them."""

    office: Office

    def ceremony(self, principal: Principal) -> Ceremony:
        """Return what is needed to make a key for the caller.

        Raises:
            NotEligible: a machine, or nobody the directory knows.
            Invalid: passkeys are not set up.
        """
        with self.office.store.read() as tx:
            rules = self.office.rules.current(tx)
            _demand_human(principal, rules)
            known = tuple(key.credential_id for key in rules.keyring.of(principal.person))
            return Ceremony(signing=demand_signing(rules), person=principal.person, said_at=spell(tx.now), known=known)

    def prepare(self, principal: Principal, made: Registration) -> Passkey:
        """Return the key that an authenticator just made for the caller, to be shown with its proof; nothing is kept.

        Raises:
            SignatureRefused: it was not made for this person, now, at one of our pages, or of no kind that can be checked.
            WindowOver: the making took too long.
            NotEligible, Invalid: as `ceremony`.
        """
        with self.office.store.read() as tx:
            rules = self.office.rules.current(tx)
            _demand_human(principal, rules)
            signing = demand_signing(rules)
            _demand_fresh(made.said_at, tx)
        return _checked(lambda: registered(made, person=principal.person, signing=signing))

    def propose(self, principal: Principal, enrolment: Enrolment) -> PasskeyView:
        """Show a new key of one's own; it counts once two persons have vouched for it.

        Raises:
            NotEligible: another person's key, or a machine's.
            SignatureRefused: the proof is not by the key, or the key was known before.
            WindowOver: the making took too long.
            Invalid: passkeys are not set up, the key is bound to another site, or the person has too many.
        """
        passkey = enrolment.passkey
        with self.office.attempt(principal, act="enrol", subject=passkey.id), self.office.store.begin() as tx:
            rules = self.office.rules.current(tx)
            _demand_human(principal, rules)
            signing = demand_signing(rules)
            if passkey.person != principal.person:
                raise NotEligible("everybody enrols his own key", rule="a key is proposed by its person")
            if (passkey.rp_id, passkey.origins) != (signing.rp_id, signing.origins):
                raise Invalid("the key is bound to another site than the rules name", field="passkey")
            _demand_fresh(enrolment.said_at, tx)
            if len(rules.keyring.of(principal.person)) >= MOST_KEYS:
                raise Invalid(f"one person has at most {MOST_KEYS} keys; remove one first", field="passkey")
            if tx.enrolment(passkey.id) is not None:
                raise AlreadyReviewed(f"the key {passkey.id} was shown before", rule="a key is enrolled once")
            counter = _checked(lambda: rules.keyring.check_proof(enrolment))
            move_counter(tx, passkey.id, counter)
            tx.add_enrolment(enrolment)
            tx.record(
                PasskeyProposed(
                    actor=principal.person,
                    subject=passkey.id,
                    principal=principal.id,
                    enrolment=enrolment.digest,
                    passkey=passkey.document(),
                    said_at=enrolment.said_at,
                    proof=enrolment.proof.document(),
                )
            )
            return view_of(tx, rules.keyring, enrolment)

    def vouch(self, principal: Principal, passkey_id: str, word: Word) -> PasskeyView:
        """Vouch for a key with one's own; the second person's word enrols it.

        Raises:
            SignatureRefused: the signature does not count, or its key speaks for nobody else.
            AlreadyReviewed: this person has vouched for it.
            WindowOver: it waited too long.
            NotFound: no such key waits.
        """
        with self.office.attempt(principal, act="vouch", subject=passkey_id), self.office.store.begin() as tx:
            rules = self.office.rules.current(tx)
            _demand_human(principal, rules)
            enrolment = _known(tx, passkey_id)
            _demand_own(principal, word)
            if tx.now > read(enrolment.said_at) + LONGEST_WAIT:
                raise WindowOver(f"{passkey_id} waited too long", hint="show the key again, a new one")
            words = [each for each in tx.passkey_words(passkey_id, "vouch") if each.person != word.person]
            if len(words) != len(tx.passkey_words(passkey_id, "vouch")):
                raise AlreadyReviewed(f"{principal.person} has vouched for {passkey_id}", rule="one word per person")
            if passkey_id in rules.keyring.keys or passkey_id in rules.keyring.removed:
                raise AlreadyReviewed(f"{passkey_id} was enrolled before", rule="a key is enrolled once")
            counter = _checked(lambda: rules.keyring.check_vouch(enrolment, word))
            move_counter(tx, word.assertion.passkey, counter)
            tx.add_passkey_word(passkey_id, "vouch", word)
            tx.record(
                PasskeyVouched(
                    actor=principal.person,
                    subject=passkey_id,
                    principal=principal.id,
                    enrolment=enrolment.digest,
                    signature=word.assertion.document(),
                )
            )
            keyring = self._enrol(tx, rules.keyring, enrolment, [*words, word], by=principal.person)
            return view_of(tx, keyring, enrolment)

    def remove(self, principal: Principal, passkey_id: str, word: Word, *, reason: str) -> PasskeyView:
        """Have a key removed: its person does so alone, others by two.

        Raises:
            SignatureRefused: the signature does not count, or its key speaks for nobody else.
            AlreadyReviewed: this person has asked for it.
            NotFound: no such key counts.
        """
        with self.office.attempt(principal, act="remove", subject=passkey_id), self.office.store.begin() as tx:
            rules = self.office.rules.current(tx)
            _demand_human(principal, rules)
            passkey = rules.keyring.keys.get(passkey_id)
            if passkey is None:
                raise NotFound(f"there is no enrolled key {passkey_id[:20]!r}")
            _demand_own(principal, word)
            words = tx.passkey_words(passkey_id, "remove")
            if any(each.person == word.person for each in words):
                raise AlreadyReviewed(f"{principal.person} has asked for it", rule="one word per person")
            counter = _checked(lambda: rules.keyring.check_removal(passkey_id, word))
            move_counter(tx, word.assertion.passkey, counter)
            tx.add_passkey_word(passkey_id, "remove", word)
            sealed = self.office.seal(reason, field="reason")
            words = [each for each in words if _still_counts(rules.keyring, passkey_id, each)] + [word]
            if rules.keyring.suffices(passkey_id, words):
                tx.record(
                    PasskeyRemoved(
                        actor=principal.person,
                        subject=passkey_id,
                        principal=principal.id,
                        words=tuple(each.document() for each in words),
                        reason=sealed,
                    )
                )
                return counts(passkey, "removed")
            tx.record(
                PasskeyRemovalAsked(
                    actor=principal.person,
                    subject=passkey_id,
                    principal=principal.id,
                    signature=word.assertion.document(),
                    reason=sealed,
                )
            )
            return counts(passkey, "enrolled")

    def passkey(self, principal: Principal, passkey_id: str) -> PasskeyView:
        """Return a key: everybody here may know whose keys there are, for everybody may be asked to vouch.

        Raises:
            NotFound: none such.
        """
        found = next((each for each in self.passkeys(principal) if each.passkey.id == passkey_id), None)
        if found is None:
            raise NotFound(f"there is no key {passkey_id[:20]!r}")
        return found

    def passkeys(self, principal: Principal) -> list[PasskeyView]:
        """Return every key that counts or waits, by person."""
        with self.office.store.read() as tx:
            rules = self.office.rules.current(tx)
            _demand_human(principal, rules)
            views = views_of(tx, rules.keyring)
        return sorted(views, key=lambda view: (view.passkey.person, view.passkey.id))

    def _enrol(self, tx: Tx, keyring: Keyring, enrolment: Enrolment, words: list[Word], *, by: str) -> Keyring:
        # A voucher's key may have been removed since he spoke: his word no longer counts.
        words = [each for each in words if _vouches(keyring, enrolment, each)]
        if len({each.person for each in words}) < VOUCHERS:
            return keyring
        grown = keyring.enrolled(enrolment, words)
        tx.record(
            PasskeyEnrolled(
                actor=by,
                subject=enrolment.passkey.id,
                passkey=enrolment.passkey.document(),
                said_at=enrolment.said_at,
                proof=enrolment.proof.document(),
                vouches=tuple(each.document() for each in words),
            )
        )
        return grown


def _vouches(keyring: Keyring, enrolment: Enrolment, word: Word) -> bool:
    try:
        keyring.check_vouch(enrolment, word)
    except BadSignature:
        return False
    return True


def _still_counts(keyring: Keyring, passkey_id: str, word: Word) -> bool:
    try:
        keyring.check_removal(passkey_id, word)
    except BadSignature:
        return False
    return True


def _checked(check: Callable[[], Checked]) -> Checked:
    try:
        return check()
    except BadSignature as bad:
        raise refusal_of(bad) from bad


def _known(tx: Tx, passkey_id: str) -> Enrolment:
    enrolment = tx.enrolment(passkey_id, lock=True)
    if enrolment is None:
        raise NotFound(f"no key {passkey_id[:20]!r} waits to be enrolled")
    return enrolment


def _demand_human(principal: Principal, rules: Rules) -> None:
    if not principal.human or not rules.directory.is_active(principal.person):
        raise NotEligible(f"{principal.id} is not a human principal", rule="only people have passkeys")


def _demand_own(principal: Principal, word: Word) -> None:
    if word.person != principal.person:
        raise NotEligible("everybody gives his own word", rule="who signs is who calls")


def demand_signing(rules: Rules) -> Signing:
    """Return where passkeys are used.

    Raises:
        Invalid: nowhere.
    """
    signing = rules.catalog.trust.signing
    if signing is None:
        raise Invalid("passkeys are not set up here", field="passkey", hint="propose a catalog with [trust.signing]")
    return signing


def _demand_fresh(said_at: str, tx: Tx) -> None:
    try:
        said = read(said_at)
    except NotATime:
        raise Invalid("said_at is no time", field="said_at") from None
    if not said <= tx.now <= said + LONGEST_CEREMONY:
        raise WindowOver("making the key took too long", hint="begin again")
