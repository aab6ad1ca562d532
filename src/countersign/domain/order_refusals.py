"""Refusals of draw orders, where the issuing half is a process of its own."""

from __future__ import annotations

from countersign.domain.refusals import Refused


class OrderRequired(Refused):
    """The issuing half stands alone, and draws on nothing but an order that the requester's device signed."""

    code = "order-required"
