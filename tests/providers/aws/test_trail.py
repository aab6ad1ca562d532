"""CloudTrail as a source of records. The shapes are botocore's own (Stubber); no emulator fills in who did it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from countersign.domain.records import Outcome
from countersign.providers.aws import trail
from countersign.providers.aws.trail import CloudTrail, record_of
from countersign.providers.base import Away, LeaseRef

DRAWN = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
LEASES = [f"lse_{letter * 16}" for letter in "abc"]


def ref(lease_id: str) -> LeaseRef:
    return LeaseRef(
        lease_id=lease_id,
        provider="aws",
        target={"id": "reports", "provider": "aws", "kind": "aws-role"},
        handle={},
        prepared_at=DRAWN,
        not_after=DRAWN + timedelta(hours=1),
        backstop_at=DRAWN + timedelta(hours=1),
    )


def event(number: int, lease_id: str, **told: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of CloudTrail's JSON
    identity = {"type": "AssumedRole", "principalId": f"AROAEXAMPLE:{lease_id}"}
    return {
        "EventId": f"event-{number}",
        "EventName": "DescribeInstances",
        "EventSource": "ec2.amazonaws.com",
        "EventTime": DRAWN + timedelta(minutes=number),
        "Username": lease_id,
        "CloudTrailEvent": json.dumps({"userIdentity": identity, "sourceIPAddress": "192.0.2.1"} | told),
    }


def asked(lease_id: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - arguments of LookupEvents
    return {
        "LookupAttributes": [{"AttributeKey": "Username", "AttributeValue": lease_id}],
        "StartTime": DRAWN - timedelta(seconds=60),
        "MaxResults": 50,
    } | more


@pytest.fixture
def stub() -> Iterator[Stubber]:
    client = boto3.client("cloudtrail", "us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    with Stubber(client) as stubber:
        yield stubber


def test_a_session_s_acts_are_told_once_with_how_they_went(stub: Stubber) -> None:
    seconds = [0.0]
    source = CloudTrail(stub.client, monotonic=lambda: seconds[0])
    lease = LEASES[0]
    first = {"Events": [event(1, lease), event(2, lease, errorCode="AccessDenied")], "NextToken": "more"}
    stub.add_response("lookup_events", first, asked(lease))
    stub.add_response(
        "lookup_events", {"Events": [event(3, lease, errorCode="Throttling")]}, asked(lease, NextToken="more")
    )
    batch = source.read(source.begin(), [ref(lease)])
    assert [(r.what, r.outcome) for r in batch.records] == [
        ("ec2:DescribeInstances", Outcome.DONE),
        ("ec2:DescribeInstances", Outcome.REFUSED),
        ("ec2:DescribeInstances", Outcome.FAILED),
    ]
    assert batch.asked == {lease}
    assert source.read(batch.cursor, [ref(lease)]).records == ()
    seconds[0] = 61.0
    stub.add_response("lookup_events", {"Events": [event(3, lease), event(4, lease)]}, asked(lease))
    again = source.read(json.loads(json.dumps(batch.cursor)), [ref(lease)])
    assert [record.mark for record in again.records] == ["event-4"]
    assert source.read(again.cursor, []).cursor == {}


def test_few_are_asked_about_at_once_and_all_in_turn(stub: Stubber) -> None:
    source = CloudTrail(stub.client, monotonic=lambda: 0.0)
    for lease in LEASES:
        stub.add_response("lookup_events", {"Events": []}, asked(lease))
    refs = [ref(lease) for lease in LEASES]
    assert source.read({}, refs).asked == set(LEASES[: trail.AT_ONCE])
    assert source.read({}, refs).asked == set(LEASES)
    stub.assert_no_pending_responses()


@pytest.mark.parametrize(
    "identity",
    [
        {"type": "IAMUser", "principalId": f"AIDAEXAMPLE:{LEASES[0]}"},
        {"type": "AssumedRole", "principalId": f"AROAEXAMPLE:{LEASES[0]}-c"},
        {"type": "AssumedRole", "principalId": f"AROAEXAMPLE:{LEASES[1]}"},
        {"type": "AssumedRole"},
        None,
    ],
)
def test_what_another_did_is_not_told_whatever_name_it_was_found_under(identity: object) -> None:
    assert record_of(event(1, LEASES[0], userIdentity=identity), LEASES[0]) is None


def test_a_trail_that_refuses_or_is_busy_is_away(stub: Stubber) -> None:
    for code in ("AccessDeniedException", "ThrottlingException"):
        stub.add_client_error("lookup_events", code, http_status_code=400)
        with pytest.raises(Away):
            CloudTrail(stub.client).read({}, [ref(LEASES[0])])


def test_what_its_history_leaves_out_is_named(stub: Stubber) -> None:
    source = CloudTrail(stub.client)
    assert source.blind_to({"allow": [{"actions": ["ec2:DescribeInstances"], "resources": ["*"]}]}) is None
    for actions in (["ec2:DescribeInstances", "s3:GetObject"], "S3:ListBucket", ["*"]):
        assert source.blind_to({"allow": [{"actions": actions, "resources": ["*"]}]}) is not None
