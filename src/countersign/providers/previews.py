"""Providers' previews by name, for who has no right at any: the half that faces people, who founds the rules, an author.

They call nobody, and each loads its provider's code only when it is asked.
"""

from __future__ import annotations

from countersign.providers.base import Order, Preview, Previewer

DEFAULT_REGION = "us-east-1"


def make_previews(*, aws_region: str = DEFAULT_REGION) -> dict[str, Previewer]:
    """Return what says, by provider, what an order would give.

    Args:
        aws_region: where a target is that names no region.
    """

    def vault(order: Order) -> Preview:
        from countersign.providers.vault.plan import preview  # noqa: PLC0415 - see above

        return preview(order)

    def aws(order: Order) -> Preview:
        from countersign.providers.aws import preview  # noqa: PLC0415 - see above

        return preview(order, default_region=aws_region)

    return {"vault": vault, "aws": aws}
