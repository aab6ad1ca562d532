"""Facts of draw orders, where the issuing half is a process of its own."""

from __future__ import annotations

from dataclasses import dataclass

from countersign.domain.facts import Fact


@dataclass(frozen=True, kw_only=True)
class OrderAccepted(Fact):
    """A draw was ordered by the requester's own device, as the issuing half found by itself; the subject is the order.

    Attributes:
        lease: what was begun on it.
        digest: of the request that it names.
        device: the key that signed it.
        proof: of the token by which an identity issuer bound that key to the person, as in `SessionOpened`.
        seal_to: the key that the credential is sealed to.
    """

    type = "order.accepted"
    principal: str
    grant: str
    lease: str
    digest: str
    device: str
    proof: str
    seal_to: str


@dataclass(frozen=True, kw_only=True)
class OrderRefused(Fact):
    """An order that reached the issuing half proves nobody. A half that faces people and is sound passes no such thing on."""

    type = "order.refused"
    grant: str
    code: str
