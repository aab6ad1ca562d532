"""What an auditor reads at AWS. The shapes are botocore's own (Stubber)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from countersign.auditlog.reconciliation import Demand, Kind
from countersign.cli.extracts import cloudtrail, iam_policies
from countersign.cli.failures import CommandFailed
from countersign.providers.aws.ended_list import POLICY_NAME, EndedList

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
ROLE = "arn:aws:iam::111122223333:role/countersign/reports"
LEASE = "lse_aaaaaaaaaaaaaaaa"


def client(service: str) -> Any:  # noqa: ANN401 - boto3 clients have no types
    return boto3.client(service, "us-east-1", aws_access_key_id="a", aws_secret_access_key="b")


def assumed(number: int, session: str, role: str = ROLE, **told: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of the event
    asked = {"roleArn": role, "roleSessionName": session}
    return {
        "EventId": f"event-{number}",
        "EventName": "AssumeRole",
        "EventTime": NOW - timedelta(minutes=30),
        "CloudTrailEvent": json.dumps({"requestParameters": asked} | told),
    }


def test_every_session_of_the_roles_is_told_with_its_lease_and_probes_apart() -> None:
    trail = client("cloudtrail")
    first = [assumed(1, LEASE), assumed(2, f"{LEASE}.canary"), assumed(3, f"sibling.{LEASE}"), assumed(4, "mallory")]
    with Stubber(trail) as stub:
        stub.add_response("lookup_events", {"Events": first, "NextToken": "more"})
        stub.add_response(
            "lookup_events", {"Events": [assumed(5, LEASE, errorCode="AccessDenied"), assumed(6, "other", "arn:other")]}
        )
        extract = cloudtrail(trail, [ROLE], hours=24, clock=lambda: NOW)
    told = [(seen.kind, seen.lease, seen.served) for seen in extract.items]
    assert told == [
        (Kind.CREDENTIAL, LEASE, True),
        (Kind.TRACE, LEASE, True),
        (Kind.TRACE, LEASE, True),
        (Kind.TRACE, None, True),
        (Kind.CREDENTIAL, LEASE, False),
    ]
    assert (extract.provider, extract.demand) == ("aws", Demand.ISSUED)
    assert extract.until == NOW - timedelta(minutes=20)


def test_the_ended_leases_of_a_role_and_what_is_foreign_among_them_are_told() -> None:
    iam = client("iam")
    foreign = {"Sid": "Mine", "Effect": "Allow", "Action": "*", "Resource": "*"}
    document = EndedList(foreign=(foreign,)).with_entry(LEASE, NOW).document()
    with Stubber(iam) as stub:
        stub.add_response(
            "get_role_policy",
            {"RoleName": "reports", "PolicyName": POLICY_NAME, "PolicyDocument": document},
            {"RoleName": "reports", "PolicyName": POLICY_NAME},
        )
        extract = iam_policies(iam, [ROLE], clock=lambda: NOW)
    assert sorted((seen.kind, seen.lease) for seen in extract.items if seen.lease) == [(Kind.TRACE, LEASE)]
    assert any(seen.kind is Kind.FOREIGN for seen in extract.items)


def test_a_refusal_says_who_refused_and_a_role_without_a_list_has_none() -> None:
    trail, iam = client("cloudtrail"), client("iam")
    with Stubber(trail) as stub:
        stub.add_client_error("lookup_events", "AccessDeniedException", http_status_code=400)
        with pytest.raises(CommandFailed, match="CloudTrail cannot be read"):
            cloudtrail(trail, [ROLE], hours=1, clock=lambda: NOW)
    with Stubber(iam) as stub:
        stub.add_client_error("get_role_policy", "NoSuchEntity", http_status_code=404)
        assert iam_policies(iam, [ROLE], clock=lambda: NOW).items == []
