"""Response wrapping: what OpenBao answers when it must not show a secret to us, and what the requester is told of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from countersign.domain.timestamps import spell
from countersign.providers.base import OutcomeUnknown
from countersign.providers.vault.wire import Reply

LONGEST_S = 120
LEEWAY_S = 5
"""A wrapping lives so much longer than the requester is told, so that we can still see that nobody opened it."""


@dataclass(frozen=True, kw_only=True)
class Wrapped:
    """A wrapping token, and what it wraps by accessor. `token` is a secret.

    Attributes:
        wrapped_accessor: the accessor of the token inside, when there is one.
        ttl_s: how long OpenBao lets it be opened.
    """

    token: str = field(repr=False)
    accessor: str
    wrapped_accessor: str | None
    ttl_s: int

    @property
    def promised_s(self) -> int:
        """Return the seconds that the requester is told."""
        return max(1, self.ttl_s - LEEWAY_S)

    def receipt_due(self, now: datetime) -> datetime:
        """Return when to see whether it was opened: the promised time is over, and OpenBao still knows."""
        return now + timedelta(seconds=self.promised_s)

    def handle(self, now: datetime) -> dict[str, str]:
        """Return what finds it again; no secret."""
        return {
            "wrapping_accessor": self.accessor,
            "wrapped_until": spell(now + timedelta(seconds=self.ttl_s)),
        }

    def for_client(self, address: str, *, of: str) -> dict[str, Any]:
        """Return what the requester needs to open it."""
        return {
            "token": self.token,
            "addr": address,
            "ttl_s": self.promised_s,
            "of": of,
            "unwrap": f"POST {address}/v1/sys/wrapping/unwrap",
        }


def asked_ttl_s(promised_s: int) -> int:
    """Return the seconds to ask OpenBao for, when the requester shall be told `promised_s`."""
    return min(promised_s + LEEWAY_S, LONGEST_S)


def read_wrapped(reply: Reply, *, creation_path: str, asked_ttl_s: int) -> Wrapped:
    """Return the wrapping that OpenBao answered with.

    Raises:
        OutcomeUnknown: it is not the wrapping that was asked for.
    """
    info = reply.table("wrap_info")
    token, accessor, ttl = info.get("token"), info.get("accessor"), info.get("ttl")
    inner = info.get("wrapped_accessor")
    if (
        not (isinstance(token, str) and token and isinstance(accessor, str) and accessor)
        or not (type(ttl) is int and 0 < ttl <= asked_ttl_s)
        or info.get("creation_path") != creation_path
        or reply.body.get("data")
        or reply.body.get("auth")
    ):
        raise OutcomeUnknown("OpenBao's answer is not the wrapping that was asked for")
    return Wrapped(
        token=token,
        accessor=accessor,
        wrapped_accessor=inner if isinstance(inner, str) and inner else None,
        ttl_s=ttl,
    )
