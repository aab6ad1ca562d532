"""Draw orders: the requester's own word that he draws now, signed by his device, with the key that the credential is sealed to.

Whoever issues apart from the half that faces people believes nothing else: the device key is bound to the person by his identity
issuer's signature (see `domain.device`), and what comes of the order is opened by the one-time key in it alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from countersign.domain.canonical import canonical, digest
from countersign.domain.device import KEY_BYTES, RANDOM_BYTES, read
from countersign.domain.order_refusals import OrderVoid
from countersign.domain.timestamps import NotATime, spell
from countersign.domain.timestamps import read as read_time

LABEL = "countersign/draw-order/v1"
FRESH = timedelta(seconds=60)
"""So far the time in an order may be from ours, in either direction."""
SIGNATURE_BYTES = 64
_KEYS = {"at", "device", "digest", "grant", "random", "seal_to"}


class NotAnOrder(ValueError):
    """What was given is no draw order."""


@dataclass(frozen=True, kw_only=True)
class DrawOrder:
    """What a requester orders.

    Attributes:
        grant: under which he draws.
        digest: of the request that he means.
        device: the public device key that signs this, base64url.
        seal_to: the public X25519 key that was made for this draw, base64url.
        random: 32 bytes that make it one of its kind, base64url.
        at: when he ordered, by his clock.
    """

    grant: str
    digest: str
    device: str
    seal_to: str
    random: str
    at: datetime

    def statement(self) -> dict[str, Any]:
        """Return it as plain JSON: what travels, and what is signed."""
        return {
            "grant": self.grant,
            "digest": self.digest,
            "device": self.device,
            "seal_to": self.seal_to,
            "random": self.random,
            "at": spell(self.at),
        }

    @property
    def id(self) -> str:
        """The order's name: the hex digest of its statement."""
        return digest(LABEL, self.statement())

    def signed(self) -> bytes:
        """Return the bytes that the device signs."""
        return LABEL.encode("ascii") + b"\n" + canonical(self.statement())

    def demand_fresh(self, now: datetime) -> None:
        """Demand that it was given just now.

        Raises:
            OrderVoid: it was given at another time.
        """
        if abs(now - self.at) > FRESH:
            raise OrderVoid(
                f"the order was given at another time than now, by more than {FRESH.total_seconds():.0f} s",
                rule="an order is given for now",
                hint="draw again; if it stays, compare your clock",
            )


def read_order(said: Mapping[str, Any]) -> DrawOrder:
    """Return an order from its statement.

    Raises:
        NotAnOrder: it is none, or spelled in another way.
    """
    if set(said) != _KEYS or not all(isinstance(each, str) for each in said.values()):
        raise NotAnOrder(f"an order says {', '.join(sorted(_KEYS))}, each a text")
    if None in (read(said["device"], size=KEY_BYTES), read(said["seal_to"], size=KEY_BYTES)):
        raise NotAnOrder("device and seal_to are public keys of 32 bytes in base64url")
    if read(said["random"], size=RANDOM_BYTES) is None:
        raise NotAnOrder("random is 32 bytes in base64url")
    try:
        order = DrawOrder(**{**said, "at": read_time(said["at"])})
    except NotATime:
        raise NotAnOrder("at is a time such as 2026-11-23T18:00:00.000Z") from None
    if order.statement() != dict(said):
        raise NotAnOrder("an order has one spelling")
    return order


def seal_context(*, order: str, lease: str, grant: str) -> bytes:
    """Return what a sealed credential is bound to: it opens as the answer to this order and as no other."""
    return b"countersign/sealed-credential/v1\n" + canonical({"order": order, "lease": lease, "grant": grant})
