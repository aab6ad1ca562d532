"""Refusals of draw orders, where the issuing half is a process of its own."""

from __future__ import annotations

from countersign.domain.refusals import Refused


class OrderRequired(Refused):
    """The issuing half stands alone, and draws on nothing but an order that the requester's device signed."""

    code = "order-required"


class OrderVoid(Refused):
    """The order is not the requester's own word, here and now."""

    code = "order-void"


class ApprovalUnsigned(Refused):
    """Approvals that are no signatures are rows that the other half wrote; alone, the issuing half believes none."""

    code = "approval-unsigned"


class RulesUnsigned(Refused):
    """The rules are not signed from the pinned genesis on; alone, the issuing half issues nothing under them."""

    code = "rules-unsigned"


class IssuerAway(Refused):
    """The issuing half does not answer; what it might still make dies by itself."""

    code = "issuer-away"
