"""What the half that faces people knows of drawing: somebody draws for it, in this process or apart from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from countersign.domain.order import DrawOrder
from countersign.domain.people import Principal
from countersign.service.issuer import Issuer


@dataclass(frozen=True, kw_only=True)
class SignedOrder:
    """A draw order and the signature under it, base64url; judged by whoever issues."""

    order: DrawOrder
    signature: str


class Handed(Protocol):
    """What comes of a draw, on its way to the requester."""

    @property
    def lease_id(self) -> str:
        """Which lease it is of."""

    def document(self) -> dict[str, Any]:
        """Return what the requester gets, as plain JSON."""


class Draws(Protocol):
    """Who draws."""

    def draw(
        self, principal: Principal, grant_id: str, *, key: str | None = None, signed: SignedOrder | None = None
    ) -> Handed:
        """Redeem a grant for one set of credentials; see `Issuer.draw`.

        Args:
            principal: who draws, as this half knows him.
            grant_id: under which.
            key: his idempotency key.
            signed: his device's own word.
        """

    def undelivered(self, lease_id: str) -> None:
        """Take back what did not reach its requester; see `Issuer.undelivered`."""


@dataclass(frozen=True, kw_only=True)
class DrawsHere:
    """The issuing half is in this process, and takes this half's word for who is calling."""

    issuer: Issuer

    def draw(
        self, principal: Principal, grant_id: str, *, key: str | None = None, signed: SignedOrder | None = None
    ) -> Handed:
        """Draw; an order says nothing that is not known here."""
        del signed
        return self.issuer.draw(principal, grant_id, key=key)

    def undelivered(self, lease_id: str) -> None:
        """Take back what did not reach its requester."""
        self.issuer.undelivered(lease_id)
