"""Canaries: sessions of our own, minted after the fact, that AWS treats as it treats the lease's.

A canary is named by the lease, so that whatever ends the lease ends it, boxed as the lease is, and may make one harmless call. A
sibling is a session of the same role that is neither named by a lease nor past its box.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

from botocore.exceptions import ClientError

from countersign.providers.aws.box import CANARY_SUFFIX, SIBLING_PREFIX, assume_role_arguments, probe_policy
from countersign.providers.aws.clock import AwsClock
from countersign.providers.aws.connection import UNREADABLE, Connection, code_of
from countersign.providers.aws.settings import SHORTEST_STS_SESSION_S, Probe, RoleTarget

SERVED, REFUSED, NOT_TRIED = "served", "refused", "not tried"
_SIBLING_BOX = timedelta(seconds=120)
_REFUSALS = frozenset({"AccessDenied", "UnauthorizedOperation", "AccessDeniedException"})
_SERVED_ALL_THE_SAME = frozenset({"NoSuchKey"})
"""Errors that come after authorization: the call was let through."""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """What became of one probe: `served`, `refused`, or `not tried` and why."""

    outcome: str
    why: str | None = None
    took_ms: int = 0

    def spoken(self) -> str:
        """Return the outcome in a word or two."""
        return self.outcome if self.why is None else f"{self.outcome} ({self.why})"


@dataclass(frozen=True, kw_only=True)
class Canary:
    """Mints probing sessions as the assumer and tries them."""

    connection: Connection
    clock: AwsClock

    def of_lease(self, target: RoleTarget, probe: Probe, lease_id: str, box_end: datetime) -> Tried:
        """Try a canary named by the lease and boxed as it is."""
        return self._try(target, probe, f"{lease_id}{CANARY_SUFFIX}", lease_id, box_end)

    def sibling(self, target: RoleTarget, probe: Probe, lease_id: str) -> Tried:
        """Try a session of the same role that the lease's end does not touch."""
        return self._try(target, probe, f"{SIBLING_PREFIX}{lease_id}", lease_id, self.clock.time() + _SIBLING_BOX)

    def _try(self, target: RoleTarget, probe: Probe, name: str, lease_id: str, box_end: datetime) -> Tried:
        began = monotonic()
        arguments = assume_role_arguments(
            role_arn=target.role_arn,
            session_name=name,
            policy=probe_policy(probe, box_end),
            duration_s=SHORTEST_STS_SESSION_S,
            lease_id=lease_id,
            request="canary",
            person="countersign",
        )
        try:
            answer = self.clock.watch(lambda: self.connection.sts.assume_role(**arguments))
            outcome, why = self._probe(target, probe, answer["Credentials"]), None
        except ClientError as error:
            outcome, why = NOT_TRIED, code_of(error)
        except UNREADABLE as error:
            outcome, why = NOT_TRIED, type(error).__name__
        return Tried(outcome=outcome, why=why, took_ms=round((monotonic() - began) * 1000))

    def _probe(self, target: RoleTarget, probe: Probe, credentials: Mapping[str, Any]) -> str:
        service = probe.action.partition(":")[0]
        client = self.connection.as_session(service, target.region, dict(credentials))
        try:
            if probe.action == "s3:GetObject":
                client.get_object(Bucket=probe.bucket, Key=probe.key, Range="bytes=0-0")["Body"].close()
            elif probe.action == "s3:ListBucket":
                client.list_objects_v2(Bucket=probe.bucket, MaxKeys=1)
            else:
                client.describe_regions(RegionNames=[target.region])
        except ClientError as error:
            if code_of(error) in _REFUSALS:
                return REFUSED
            if code_of(error) in _SERVED_ALL_THE_SAME:
                return SERVED
            raise
        finally:
            client.close()
        return SERVED
