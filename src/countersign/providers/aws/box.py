"""The documents and names that a session carries: its box in time, what it may do inside, and whose it is."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from countersign.providers.aws.grants import UNDOING, Allowed
from countersign.providers.aws.settings import Probe
from countersign.providers.base import Unfit

LONGEST_SESSION_POLICY = 2048
LEASE_TAG, REQUEST_TAG, PERSON_TAG = "countersign-lease", "countersign-request", "countersign-person"
CANARY_SUFFIX = ".canary"
SIBLING_PREFIX = "sibling."
"""A sibling's name does not begin with the lease id, so the entry that ends the lease does not match it."""

_BOX = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z", re.ASCII)
_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_TAG_VALUE = re.compile(r"[A-Za-z0-9_.:/=+@ -]{1,256}", re.ASCII)


def spell_box(end: datetime) -> str:
    """Return the end of a box as IAM reads it: whole seconds, UTC, cut and never rounded up."""
    return end.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_box(text: object) -> datetime | None:
    """Return the end that `spell_box` spelled, None for anything else."""
    if not isinstance(text, str) or _BOX.fullmatch(text) is None:
        return None
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def session_policy(allowed: Sequence[Allowed], end: datetime) -> str:
    """Return the session policy: allowed before `end`, denied from `end` on, never what could undo it.

    The Deny is needed beside the Allow: a resource policy that names the session itself is not limited by an implicit deny.

    Raises:
        Unfit: it is longer than AWS takes.
    """
    moment = spell_box(end)
    statements: list[dict[str, Any]] = [
        {
            "Effect": "Allow",
            "Action": _short(item.actions),
            "Resource": _short(item.resources),
            "Condition": _with_box(item.conditions, moment),
        }
        for item in allowed
    ]
    statements.append(
        {
            "Effect": "Deny",
            "Action": "*",
            "Resource": "*",
            "Condition": {"DateGreaterThanEquals": {"aws:CurrentTime": moment}},
        }
    )
    statements.append({"Effect": "Deny", "Action": list(UNDOING), "Resource": "*"})
    text = json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":"), ensure_ascii=True)
    if len(text) > LONGEST_SESSION_POLICY:
        raise Unfit(
            f"the session policy would have {len(text)} characters; AWS takes {LONGEST_SESSION_POLICY}",
            field="grants.statements",
        )
    return text


def probe_policy(probe: Probe, end: datetime) -> str:
    """Return the one-action session policy of a canary, boxed as the lease is."""
    return session_policy((Allowed(actions=(probe.action,), resources=(probe.resource,), conditions={}),), end)


def assume_role_arguments(
    *, role_arn: str, session_name: str, policy: str, duration_s: int, lease_id: str, request: str, person: str
) -> dict[str, Any]:
    """Return what AssumeRole is called with, judged by AWS's own rules on names and sizes.

    Raises:
        Unfit: a name or tag that AWS would refuse.
    """
    if _SESSION_NAME.fullmatch(session_name) is None:
        raise Unfit("the lease id does not fit a session name")
    tags = {LEASE_TAG: lease_id, REQUEST_TAG: request, PERSON_TAG: person}
    for key, value in tags.items():
        if _TAG_VALUE.fullmatch(value) is None:
            raise Unfit(f"the tag {key} does not fit AWS's characters or its 256")
    return {
        "RoleArn": role_arn,
        "RoleSessionName": session_name,
        "DurationSeconds": duration_s,
        "Policy": policy,
        "SourceIdentity": source_identity(person, request),
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
        "TransitiveTagKeys": list(tags),
    }


def source_identity(person: str, request: str) -> str:
    """Return the person where the name fits AWS's characters, else the request."""
    fits = _SESSION_NAME.fullmatch(person) is not None and not person.lower().startswith("aws:")
    return person if fits else request


def _with_box(conditions: Mapping[str, Mapping[str, tuple[str, ...]]], moment: str) -> dict[str, dict[str, Any]]:
    block: dict[str, dict[str, Any]] = {
        operator: {key: _short(values) for key, values in keys.items()} for operator, keys in conditions.items()
    }
    block.setdefault("DateLessThan", {})["aws:CurrentTime"] = moment
    return block


def _short(values: Sequence[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else list(values)
