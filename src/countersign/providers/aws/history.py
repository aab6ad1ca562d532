"""What AWS itself recorded and holds about our roles, for an auditor who reads with his own rights: it changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from countersign.domain.ids import LEASE, is_id
from countersign.domain.records import in_a_line
from countersign.domain.timestamps import trim
from countersign.providers.aws.box import CANARY_SUFFIX, SIBLING_PREFIX
from countersign.providers.aws.connection import asking, code_of
from countersign.providers.aws.ended_list import POLICY_NAME, EndedList

MOST_PAGES = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Assumption:
    """One AssumeRole, as CloudTrail tells it.

    Attributes:
        lease: the lease that the session's name says; None when it says none.
        is_drawn: whether it is the lease's own session, and not one of the broker's own probes.
    """

    event_id: str
    at: datetime
    role_arn: str
    session: str
    lease: str | None
    is_drawn: bool
    served: bool


def assumptions(client: Any, *, since: datetime) -> Iterator[Assumption]:  # noqa: ANN401 - boto3 clients have no types
    """Yield every AssumeRole since a moment, newest first.

    Raises:
        Declined, Away: CloudTrail says no, or cannot be asked.
    """
    arguments: dict[str, Any] = {
        "LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": "AssumeRole"}],
        "StartTime": since,
        "MaxResults": 50,
    }
    for _ in range(MOST_PAGES):
        with asking("who assumed roles"):
            answer = client.lookup_events(**arguments)
            found = [_assumption(event) for event in answer.get("Events", ())]
        yield from (each for each in found if each is not None)
        if not answer.get("NextToken"):
            return
        arguments["NextToken"] = answer["NextToken"]


def ended_lists(client: Any, roles: Sequence[str]) -> dict[str, EndedList]:  # noqa: ANN401 - boto3 clients have no types
    """Return each role's list of ended leases.

    Raises:
        Declined, Away: IAM says no, or cannot be asked.
    """
    found = {}
    for arn in roles:
        with asking(f"the ended leases of {in_a_line(arn)}"):
            found[arn] = EndedList.read(_document(client, arn.rpartition("/")[2]))
    return found


def _document(client: Any, role: str) -> object:  # noqa: ANN401 - boto3 clients have no types
    try:
        return client.get_role_policy(RoleName=role, PolicyName=POLICY_NAME)["PolicyDocument"]
    except ClientError as error:
        if code_of(error) == "NoSuchEntity":
            return None
        raise


def _assumption(event: Mapping[str, Any]) -> Assumption | None:
    told = json.loads(event["CloudTrailEvent"])
    asked = told.get("requestParameters") or {}
    session, arn = str(asked.get("roleSessionName", "")), str(asked.get("roleArn", ""))
    bare = session.removeprefix(SIBLING_PREFIX).removesuffix(CANARY_SUFFIX)
    return Assumption(
        event_id=str(event["EventId"]),
        at=trim(event["EventTime"].astimezone(UTC)),
        role_arn=arn,
        session=in_a_line(session),
        lease=bare if is_id(bare, LEASE) else None,
        is_drawn=session == bare,
        served=not told.get("errorCode"),
    )
