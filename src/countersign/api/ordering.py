"""A draw order as a caller sends it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from countersign.api.bodies import Body
from countersign.domain.order import NotAnOrder, read_order
from countersign.domain.refusals import Invalid
from countersign.service.draws import SignedOrder

Spelled = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]


class OrderStatement(Body):
    """What the device signs: `countersign/draw-order/v1`, a line feed and the RFC 8785 spelling of this."""

    grant: Annotated[str, Field(pattern="^grt_[a-z2-7]{16}$")]
    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="of the request")]
    device: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$", description="the public device key (Ed25519)")]
    seal_to: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$", description="a public X25519 key for this draw")]
    random: Spelled
    at: Annotated[str, Field(min_length=24, max_length=24, json_schema_extra={"format": "date-time"})]


class OrderBody(Body):
    """A draw order with the device's signature."""

    order: OrderStatement
    signature: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{86}$")]


def order_of(body: OrderBody) -> SignedOrder:
    """Return the order.

    Raises:
        Invalid: it is none.
    """
    try:
        return SignedOrder(order=read_order(body.order.model_dump()), signature=body.signature)
    except NotAnOrder as error:
        raise Invalid(str(error), field="order") from error
