"""What the half that faces people knows of drawing: somebody draws for it, in this process or in the other half's."""

from __future__ import annotations

from typing import Protocol

from countersign.domain.order_refusals import OrderRequired
from countersign.domain.people import Principal
from countersign.service.issuer import Drawn


class Draws(Protocol):
    """Who draws."""

    def draw(self, principal: Principal, grant_id: str, *, key: str | None = None) -> Drawn:
        """Redeem a grant for one set of credentials; see `Issuer.draw`."""

    def undelivered(self, lease_id: str) -> None:
        """Take back what did not reach its requester; see `Issuer.undelivered`."""


class DrawnApart:
    """The issuing half is a process of its own, which believes nothing that this one says."""

    def draw(self, principal: Principal, grant_id: str, *, key: str | None = None) -> Drawn:
        """Refuse: this half cannot order anything in somebody's name.

        Raises:
            OrderRequired: always.
        """
        del principal, grant_id, key
        raise OrderRequired(
            "whoever issues here believes the requester's own device alone",
            rule="two halves: a draw takes an order that the requester's device signed",
            hint="sign in with: countersign login",
        )

    def undelivered(self, lease_id: str) -> None:
        """Do nothing: nothing passes through this half."""
