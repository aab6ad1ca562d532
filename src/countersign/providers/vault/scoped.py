"""Scoped tokens: OpenBao's own tokens, handed out for paths behind policies that its administrators wrote."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from countersign.domain.entitlement import Delivery
from countersign.domain.lease import Evidence, Sighting, Standing
from countersign.providers.base import (
    Answer,
    Away,
    Credential,
    Declined,
    Issued,
    LeaseRef,
    Order,
    OutcomeUnknown,
    Reservation,
)
from countersign.providers.vault.plan import ScopedPlan, plan, seconds_until
from countersign.providers.vault.tokens import Facts, Tokens
from countersign.providers.vault.wrapping import Wrapped, asked_ttl_s


@dataclass(frozen=True, kw_only=True)
class ScopedTokens:
    """What the vault provider does for targets of kind `openbao`.

    The token ends natively at `not_after`, not at the backstop: with OpenBao there is no other place that could end it.

    Attributes:
        clock: wall time.
        wrap_ttl_s: how long a wrapped token can be unwrapped.
        address_for_clients: where requesters reach OpenBao.
    """

    tokens: Tokens
    clock: Callable[[], datetime]
    wrap_ttl_s: int
    address_for_clients: str

    def reserve(self, order: Order, wanted: ScopedPlan) -> Reservation:
        """Mint the token wrapped: its accessor is known and committed before anybody could open it."""
        ttl_s = seconds_until(order.not_after, self.clock())
        if ttl_s < 1:
            raise Declined("the window is over")
        wrapped = self.tokens.mint(order, policies=wanted.policies, ttl_s=ttl_s, wrap_s=asked_ttl_s(self.wrap_ttl_s))
        handle = {"accessor": wrapped.wrapped_accessor, **wrapped.handle(self.clock())}
        return Reservation(order=order, handle=handle, secret=wrapped)

    def issue(self, reservation: Reservation) -> Issued:
        """Compare the token with what was asked, and hand it over: wrapped, or opened here once."""
        order, wrapped = reservation.order, reservation.secret
        wanted = plan(order)
        if not isinstance(wanted, ScopedPlan) or not isinstance(wrapped, Wrapped):
            raise Declined("this reservation is not for a scoped token")
        try:
            facts = self.tokens.facts(str(wrapped.wrapped_accessor), within_s=4.5)
        except Away as error:
            raise OutcomeUnknown(str(error)) from None
        now = self.clock()
        if facts is None or not _fits(facts, order, wanted, now):
            raise OutcomeUnknown("OpenBao made another token than was asked for")
        return Issued(
            credential=self._credential(order, wanted, wrapped),
            receipt_due=wrapped.receipt_due(now) if order.delivery is Delivery.WRAPPED else None,
            expires_at=min(order.not_after, now + timedelta(seconds=facts.ttl_s)),
            details={"policies": list(facts.policies), "delivery": order.delivery.value, "ttl_s": facts.ttl_s},
        )

    def end(self, ref: LeaseRef) -> Answer:
        """Revoke the token, and what could still be unwrapped; without OpenBao there is nothing else to do."""
        accessor, wrapping = ref.handle.get("accessor"), ref.handle.get("wrapping_accessor")
        accessors = [str(accessor)] if accessor else self.tokens.of_lease(ref.lease_id, within_s=4.5)
        answers = [self.tokens.revoke(each, within_s=4.5) for each in accessors]
        said = {"token": answers[0] if answers else "absent"}
        if wrapping:
            said["wrapping"] = self.tokens.revoke(str(wrapping), within_s=4.5)
        return Answer(said=said)

    def look(self, refs: Sequence[LeaseRef]) -> dict[str, Sighting]:
        """Look at OpenBao for the tokens; one that cannot be looked at is over only when its hard end has passed."""
        answers = self.tokens.look(refs, now=self.clock())
        at = self.clock()
        return {
            ref.lease_id: Sighting(
                standing=_STANDING[answers[ref.lease_id]],
                at=at,
                evidence=Evidence.COMPUTED if answers[ref.lease_id] == "over" else Evidence.OBSERVED,
                seen={"token": answers[ref.lease_id]},
            )
            for ref in refs
        }

    def _credential(self, order: Order, wanted: ScopedPlan, wrapped: Wrapped) -> Credential:
        if order.delivery is Delivery.WRAPPED:
            return Credential(
                kind="wrapped",
                fields=wrapped.for_client(self.address_for_clients, of="openbao-token"),
            )
        try:
            auth = self.tokens.unwrap(wrapped).table("auth")
        except Away as error:
            raise OutcomeUnknown(str(error)) from None
        token = auth.get("client_token")
        if not isinstance(token, str) or not token or auth.get("accessor") != wrapped.wrapped_accessor:
            raise OutcomeUnknown("OpenBao's wrapping held another token than was asked for")
        return Credential(
            kind="openbao-token",
            fields={"token": token, "addr": self.address_for_clients, "policies": ",".join(wanted.policies)},
        )


_STANDING = {
    "live": Standing.LIVE,
    "gone": Standing.GONE,
    "over": Standing.GONE,
    "unknown": Standing.UNKNOWN,
}


def _fits(facts: Facts, order: Order, wanted: ScopedPlan, now: datetime) -> bool:
    return (
        facts.lease_id == order.lease_id
        and facts.policies == wanted.policies
        and facts.orphan
        and not facts.renewable
        and 0 < facts.ttl_s <= (order.not_after - now).total_seconds() + 1
        and facts.explicit_max_ttl_s > 0
    )
