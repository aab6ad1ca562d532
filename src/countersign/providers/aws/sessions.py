"""From an order to what AWS is asked for, judged by AWS's own limits first, and from AWS's answer to what is handed over.

Pure: nothing here calls anybody, so that what faces people can preview an order without any right at AWS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Any

from countersign.domain.entitlement import Delivery
from countersign.domain.timestamps import spell
from countersign.providers.aws.box import assume_role_arguments, session_policy, spell_box
from countersign.providers.aws.dangers import dangers_of
from countersign.providers.aws.grants import Allowed, render, residuals
from countersign.providers.aws.settings import SHORTEST_STS_SESSION_S, RoleTarget
from countersign.providers.base import Credential, Issued, Order, OutcomeUnknown, Preview, Unfit

CLOCK_GRAIN_S = 1
"""AWS's Date header has whole seconds: by so much the box may be off when clocks differ by less."""

DEFAULT_REGION = "us-east-1"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """An order that AWS would take.

    Attributes:
        duration_s: how long the STS session itself lives: at least AWS's 900 s; the policy ends it sooner.
    """

    order: Order
    target: RoleTarget
    allowed: tuple[Allowed, ...]
    duration_s: int

    def arguments(self, box_end: datetime) -> dict[str, Any]:
        """Return what AssumeRole is called with.

        Raises:
            Unfit: a name, tag or policy that AWS would refuse.
        """
        return assume_role_arguments(
            role_arn=self.target.role_arn,
            session_name=self.order.lease_id,
            policy=session_policy(self.allowed, box_end),
            duration_s=self.duration_s,
            lease_id=self.order.lease_id,
            request=self.order.request_id,
            person=self.order.person,
        )


def plan(order: Order, *, default_region: str = DEFAULT_REGION) -> Plan:
    """Judge everything that AWS would refuse (and an emulator might accept) before anybody is asked.

    Raises:
        Unfit: naming the field at fault.
    """
    target = RoleTarget.of(order.target, default_region=default_region)
    if order.delivery is not Delivery.DIRECT:
        raise Unfit("AWS wraps no credentials; delivery must be direct", field="delivery")
    wanted = ceil((order.not_after - order.now).total_seconds())
    if wanted <= 0:
        raise Unfit("the access would end before it begins", field="duration_s")
    if wanted > target.longest_session_s:
        capped = target.longest_session_s < target.max_session_s
        why = "the broker itself runs on a role, and AWS caps such sessions" if capped else "the role's own maximum is"
        raise Unfit(
            f"duration_s of {wanted} is more than AWS gives: {why} at {target.longest_session_s} s", field="duration_s"
        )
    planned = Plan(
        order=order,
        target=target,
        allowed=render(order.grants, order.parameters, target),
        duration_s=max(SHORTEST_STS_SESSION_S, wanted),
    )
    planned.arguments(order.not_after)
    return planned


def preview(order: Order, *, default_region: str = DEFAULT_REGION) -> Preview:
    """Say what the order would give, for the approver.

    Raises:
        Unfit: AWS could never serve it.
    """
    planned = plan(order, default_region=default_region)
    lines, longest = residuals(planned.allowed)
    wanted = ceil((order.not_after - order.now).total_seconds())
    floor = f"; AWS's session itself lives {planned.duration_s} s" if wanted < planned.duration_s else ""
    return Preview(
        privileges=(
            *(line for item in planned.allowed for line in item.lines()),
            f"as a session of {planned.target.role_arn}, whose own policy refuses everything after {wanted} s{floor}",
        ),
        residual=lines,
        latest_end_after_not_after_s=max(CLOCK_GRAIN_S, longest),
        dangers=dangers_of(planned.allowed),
    )


def issued(
    planned: Plan, asked: Mapping[str, Any], answer: Mapping[str, Any], *, box_end: datetime, endpoint_url: str | None
) -> Issued:
    """Return what AWS's answer gives, if it is what was asked for.

    Raises:
        OutcomeUnknown: it is incomplete, or another session than the one that the lease can end.
    """
    order = planned.order
    credentials, user = answer.get("Credentials"), answer.get("AssumedRoleUser")
    if not isinstance(credentials, Mapping) or not isinstance(user, Mapping):
        raise OutcomeUnknown("AWS's answer holds no credentials")
    keys = [credentials.get(name) for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")]
    expiration, role_and_session = credentials.get("Expiration"), str(user.get("AssumedRoleId", ""))
    if not all(isinstance(key, str) and key for key in keys) or not isinstance(expiration, datetime):
        raise OutcomeUnknown("AWS's answer holds incomplete credentials")
    if role_and_session.partition(":")[2] != order.lease_id:
        raise OutcomeUnknown("AWS made a session of another name, which the lease could not end")
    if answer.get("SourceIdentity", asked["SourceIdentity"]) != asked["SourceIdentity"]:
        raise OutcomeUnknown("AWS set another source identity")
    fields: dict[str, Any] = {
        "access_key_id": keys[0],
        "secret_access_key": keys[1],
        "session_token": keys[2],
        "region": planned.target.region,
        "expiration": spell(order.not_after),
    }
    if endpoint_url is not None:
        fields["endpoint_url"] = endpoint_url
    return Issued(
        credential=Credential(kind="aws", fields=fields),
        expires_at=order.not_after,
        handle={"assumed_role_id": role_and_session},
        details={
            "assumed_role_id": role_and_session,
            "source_identity": asked["SourceIdentity"],
            "box_end": spell_box(box_end),
            "sts_expiration": spell(expiration),
            "duration_s": asked["DurationSeconds"],
            "policy_characters": len(asked["Policy"]),
            "packed_policy_percent": answer.get("PackedPolicySize", 0),
        },
    )
