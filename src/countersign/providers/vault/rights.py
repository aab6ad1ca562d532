"""Looks at what the broker's own login may do at OpenBao, so that a login that may too much is found before it is stolen."""

from __future__ import annotations

from collections.abc import Mapping

from countersign.providers.base import Away
from countersign.providers.vault.login import Broker

NEEDED: Mapping[str, frozenset[str]] = {
    "auth/token/create/countersign": frozenset({"update"}),
    "auth/token/lookup-accessor": frozenset({"update"}),
    "auth/token/revoke-accessor": frozenset({"update"}),
    "auth/token/accessors": frozenset({"list", "sudo"}),
    "auth/token/renew-self": frozenset({"update"}),
}
"""What the broker's work takes; less is a fault, more is a finding."""
TELLING = (
    "auth/token/create",
    "auth/token/create-orphan",
    "auth/token/roles/countersign",
    "auth/approle/role/countersign/secret-id",
    "database/config/any",
    "database/creds/any",
    "database/roles/any",
    "kv/data/any",
    "identity/entity",
    "sys/audit/any",
    "sys/auth/any",
    "sys/leases/revoke",
    "sys/leases/revoke-prefix/any",
    "sys/mounts/any",
    "sys/policies/acl/any",
    "sys/raw/any",
    "sys/seal",
    "transit/export/signing-key/any",
)
"""Paths whose rights tell a broad policy from ours: the broker must have none there."""


def unfit_rights(broker: Broker) -> tuple[str, ...]:
    """Return one line for each right that the broker's login lacks or should not have; empty when all is as it should be.

    A sample, not a proof: OpenBao tells of the paths that are asked for and of no others.

    Raises:
        Away: OpenBao is away or does not say.
    """
    asked = [*NEEDED, *TELLING]
    reply = broker.call("POST", "sys/capabilities-self", body={"paths": asked})
    told = reply.table("data")
    if not reply.ok or any(not isinstance(told.get(path), list) for path in asked):
        raise Away(f"OpenBao does not say what the broker may do: {reply.complaint()}")
    lines = []
    for path in asked:
        held = frozenset(str(capability) for capability in told[path]) - {"deny"}
        wanted = NEEDED.get(path, frozenset())
        if missing := wanted - held:
            lines.append(f"lacks {', '.join(sorted(missing))} on {path}")
        if excess := held - wanted:
            lines.append(f"has {', '.join(sorted(excess))} on {path}")
    return tuple(lines)
