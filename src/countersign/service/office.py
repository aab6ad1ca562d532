"""What every use case needs, and the record of what was refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from countersign.domain.canonical import digest
from countersign.domain.configured import Configured
from countersign.domain.ids import RANDOM_BYTES, make_id
from countersign.domain.people import Principal
from countersign.domain.refusals import Conflict, Invalid, KeyReused, LogUnavailable, NotFound, Refused, Stopped
from countersign.domain.request import Sealed
from countersign.domain.request_facts import ActRefused
from countersign.domain.timestamps import spell
from countersign.service.rules import RuleReader
from countersign.store import Remembered, Store, Tx

SALT_BYTES = 16
LONGEST_TEXT = 2000
LONGEST_KEY = 128

UNRECORDED = (Invalid, NotFound, Conflict, LogUnavailable)
"""Refusals in which no rule decided about a known thing; everything else is a fact."""


@dataclass(frozen=True, kw_only=True)
class Office:
    """The shared parts of both halves.

    Attributes:
        randomness: returns so many unpredictable bytes.
        nudge: asks for a sweep now rather than at the next tick; may do nothing.
        configured: the running settings that the rules decide about.
    """

    store: Store
    rules: RuleReader
    randomness: Callable[[int], bytes]
    nudge: Callable[[], None]
    configured: Configured = field(default_factory=Configured)

    def new_id(self, prefix: str) -> str:
        """Return a fresh id."""
        return make_id(prefix, self.randomness(RANDOM_BYTES))

    def seal(self, text: str, *, field: str, required: bool = True) -> Sealed:
        """Return a free text with a fresh salt, once it is fit to be shown to people.

        Raises:
            Invalid: naming `field`; too long, empty, or holding control or direction-changing characters.
        """
        kept = text.strip()
        if required and not kept:
            raise Invalid(f"{field} must say something", field=field)
        if len(kept) > LONGEST_TEXT:
            raise Invalid(f"{field} is longer than {LONGEST_TEXT} characters", field=field)
        if any(not (char.isprintable() or char == "\n") for char in kept):
            raise Invalid(f"{field} holds control or invisible characters", field=field)
        return Sealed(text=kept, salt=self.randomness(SALT_BYTES))

    @contextmanager
    def attempt(self, principal: Principal, *, act: str, subject: str) -> Iterator[None]:
        """Let a use case run; a rule's refusal becomes a fact of its own before it goes to the caller."""
        try:
            yield
        except UNRECORDED:
            raise
        except Refused as refusal:
            with self.store.begin() as tx:
                tx.record(
                    ActRefused(
                        actor=principal.person,
                        subject=subject[:63] or "none",
                        principal=principal.id,
                        act=act,
                        code=refusal.code,
                        rule=refusal.rule,
                    )
                )
            raise


def replayed(tx: Tx, principal: Principal, key: str | None, *, call: str, body: object) -> str | None:
    """Return what this idempotency key led to before, None if it is new (or none was given).

    Raises:
        Invalid: the key is not usable.
        KeyReused: it was first used for another call or body.
    """
    if key is None:
        return None
    if not key or len(key) > LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise Invalid(f"Idempotency-Key must be 1 to {LONGEST_KEY} printable ASCII characters", field="Idempotency-Key")
    before = tx.remembered(principal.id, key)
    if before is None:
        return None
    if (before.call, before.body) != (call, digest("countersign/body/v1", body)):
        raise KeyReused("this Idempotency-Key was used for something else", hint="use a new key")
    return before.result


def remember(tx: Tx, principal: Principal, key: str | None, *, call: str, body: object, result: str) -> None:
    """Keep what an idempotency key led to."""
    if key is not None:
        what = Remembered(call=call, body=digest("countersign/body/v1", body), result=result)
        tx.remember(principal.id, key, what)


def refuse_if_stopped(tx: Tx, *, person: str, entitlement: str, provider: str) -> None:
    """Refuse what a stop in force covers.

    Raises:
        Stopped: naming the stop.
    """
    concerned = {("all", None), ("person", person), ("entitlement", entitlement), ("provider", provider)}
    for stop in tx.stops():
        if (stop.scope, stop.target) in concerned:
            raise Stopped(
                f"access is stopped: {stop.scope}{' ' + stop.target if stop.target else ''}",
                rule=f"stop {stop.id} placed by {stop.placed_by}",
                hint="someone other than who placed it can lift it"
                if stop.until is None
                else f"it ends by itself at {spell(stop.until)}; on production two people lift it before that",
            )
