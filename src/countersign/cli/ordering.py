"""Drawing by order: this machine's device key signs it, and the credential comes back sealed to a key made for it alone."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from countersign.bootstrap.clock import now
from countersign.cli.client import Client
from countersign.cli.failures import CommandFailed
from countersign.cli.keeping import Kept
from countersign.cli.output import text_of
from countersign.domain import device as devices
from countersign.domain.order import DrawOrder, seal_context
from countersign.service.sealed import NotSealed, unseal


def ordered(client: Client, kept: Kept, grant_id: str, *, key: str) -> dict[str, Any]:
    """Return what a draw gives that this machine's device key orders.

    Args:
        client: the broker.
        kept: of the session in which the order counts.
        grant_id: under which is drawn.
        key: idempotency key.

    Raises:
        CommandFailed: it is refused, or what came back is not for this draw.
    """
    digest = text_of(client.get(f"/grants/{grant_id}"), "digest")
    device = Ed25519PrivateKey.from_private_bytes(devices.read(kept.device_key, size=devices.KEY_BYTES) or b"")
    one_time = X25519PrivateKey.generate()
    order = DrawOrder(
        grant=grant_id,
        digest=digest,
        device=devices.spelled(device.public_key().public_bytes_raw()),
        seal_to=devices.spelled(one_time.public_key().public_bytes_raw()),
        random=devices.spelled(secrets.token_bytes(devices.RANDOM_BYTES)),
        at=now(),
    )
    body = {"order": order.statement(), "signature": devices.spelled(device.sign(order.signed()))}
    answer = client.post(f"/grants/{grant_id}/draw", body, key=key)
    lease, credential = answer.get("lease"), answer.get("credential")
    if not isinstance(lease, Mapping) or not isinstance(credential, Mapping):
        raise CommandFailed("the broker's answer holds no credential", code="strange-answer", hint="compare versions")
    context = seal_context(order=order.id, lease=text_of(lease, "id"), grant=grant_id)
    try:
        return unseal(str(credential.get("sealed")), key=one_time, context=context)
    except NotSealed:
        raise CommandFailed(
            "what came back is not sealed to this draw's key; somebody on the way changed it",
            code="not-sealed",
            rule="a credential is sealed to the key of the order",
            hint=f"countersign return {grant_id}, and tell security",
        ) from None
