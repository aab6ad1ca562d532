"""moto knows the shapes of AWS's API and answers by them: these tests prove that our calls and our reading of answers fit those.

moto evaluates neither session policies nor conditions nor expiry, so nothing here proves that anything is denied; for that see
`test_life`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import boto3
import pytest
from moto import mock_aws
from tests.aws_server import now, order, ref_of

from countersign.providers.aws import AwsPrincipal, AwsProvider, AwsSettings
from countersign.providers.base import Declined, Order, Reservation

ACCOUNT = "123456789012"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsProvider]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        boto3.client("iam", region_name="us-east-1").create_role(
            RoleName="countersign-target-reports", AssumeRolePolicyDocument="{}"
        )
        yield AwsProvider(
            AwsSettings(
                assumer=AwsPrincipal(access_key_id="AKIAASSUMER", secret_access_key="a"),
                revoker=AwsPrincipal(access_key_id="AKIAREVOKER", secret_access_key="b"),
            ),
            now=now,
        )


def moto_order() -> Order:
    plain = order()
    role = f"arn:aws:iam::{ACCOUNT}:role/countersign-target-reports"
    settings = {**plain.target["settings"], "role_arn": role, "account": ACCOUNT}
    return replace(plain, target={**plain.target, "settings": settings})


def test_assume_role_takes_our_arguments_and_its_answer_is_read(aws: AwsProvider) -> None:
    made = moto_order()
    assert aws._connection.issuing_sts.meta.endpoint_url.startswith("https://sts.")
    assert aws._connection.sts.get_caller_identity()["Account"] == ACCOUNT
    issued = aws.issue(Reservation(order=made, handle={"box_end": "2099-01-01T00:00:00Z"}))
    assert issued.credential.fields["access_key_id"].startswith("ASIA")
    assert issued.handle["assumed_role_id"].endswith(f":{made.lease_id}")
    assert issued.details["packed_policy_percent"] > 0
    assert "endpoint_url" not in issued.credential.fields


def test_inline_policies_are_written_read_back_and_listed_in_their_shapes(aws: AwsProvider) -> None:
    made = moto_order()
    assert aws.end(ref_of(made)).said["deny"] == "written"
    assert aws.end(ref_of(made)).said["deny"] == "stands already"
    assert list(aws.roll_call([made.target])) == []
    assert aws.stop_target(made.target, before=made.now).said["stop"] == "written"
    names = boto3.client("iam", region_name="us-east-1").list_role_policies(RoleName="countersign-target-reports")
    assert names["PolicyNames"] == ["CountersignEnded", "CountersignStopped"]


def test_a_full_budget_refuses_new_sessions_rather_than_an_early_end(aws: AwsProvider) -> None:
    made = moto_order()
    iam = boto3.client("iam", region_name="us-east-1")
    statement = {"Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::" + "x" * 9_000}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(RoleName="countersign-target-reports", PolicyName="Foreign", PolicyDocument=document)
    with pytest.raises(Declined, match="no new session is made until entries expire"):
        aws.reserve(made)
    assert aws.end(ref_of(made)).said["deny"] == "written"
    iam.delete_role_policy(RoleName="countersign-target-reports", PolicyName="Foreign")
    aws._revoker._roles.clear()
    assert aws.reserve(made).handle["session"] == made.lease_id
