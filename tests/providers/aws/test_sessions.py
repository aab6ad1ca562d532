"""Plans, previews and the documents of a session: pure. They prove our arithmetic against AWS's published limits."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.aws_server import ROLE, TARGET, order

from countersign.domain.entitlement import Delivery
from countersign.domain.ids import LEASE, make_id
from countersign.providers.aws import AwsPrincipal, AwsSettings, preview
from countersign.providers.aws.box import read_box, session_policy, source_identity, spell_box
from countersign.providers.aws.sessions import issued, plan
from countersign.providers.base import OutcomeUnknown, Unfit

END = datetime(2026, 11, 22, 22, 5, 0, 999_000, tzinfo=UTC)


def target(**settings: Any) -> dict[str, Any]:  # noqa: ANN401 -- settings of a target
    return {**TARGET, "settings": {**TARGET["settings"], **settings}}


def test_a_box_is_cut_to_the_second_and_never_rounded_up() -> None:
    assert spell_box(END) == "2026-11-22T22:05:00Z"
    assert read_box("2026-11-22T22:05:00Z") == END.replace(microsecond=0)
    assert [read_box(text) for text in (None, "", "2026-11-22", "2026-11-22T22:05:00+00:00", 7)] == [None] * 5


def test_the_session_policy_allows_before_denies_from_then_on_and_denies_what_could_undo_it() -> None:
    policy = json.loads(session_policy(plan(order()).allowed, END))
    assert policy == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "s3:GetObject",
                "Resource": "arn:aws:s3:::orders-reports/2026/*",
                "Condition": {"DateLessThan": {"aws:CurrentTime": "2026-11-22T22:05:00Z"}},
            },
            {
                "Effect": "Deny",
                "Action": "*",
                "Resource": "*",
                "Condition": {"DateGreaterThanEquals": {"aws:CurrentTime": "2026-11-22T22:05:00Z"}},
            },
            {
                "Effect": "Deny",
                "Action": ["sts:AssumeRole*", "sts:Get*Token", "iam:*", "organizations:*"],
                "Resource": "*",
            },
        ],
    }


def test_a_condition_of_the_entitlement_stands_beside_the_box_and_not_instead_of_it() -> None:
    grants = {
        "statements": [
            {
                "actions": ["s3:ListBucket"],
                "resources": ["*"],
                "conditions": {"DateLessThan": {"s3:object-lock-retain-until-date": "2030-01-01T00:00:00Z"}},
            }
        ]
    }
    (allow, *_) = json.loads(session_policy(plan(order(grants=grants)).allowed, END))["Statement"]
    assert allow["Condition"]["DateLessThan"] == {
        "s3:object-lock-retain-until-date": "2030-01-01T00:00:00Z",
        "aws:CurrentTime": "2026-11-22T22:05:00Z",
    }


def test_a_policy_of_more_than_2048_characters_is_refused_before_anybody_approves() -> None:
    def with_resources(count: int) -> dict[str, Any]:
        resources = [f"arn:aws:s3:::orders-reports/{'x' * 40}{index:04d}/*" for index in range(count)]
        return {"statements": [{"actions": ["s3:GetObject"], "resources": resources}]}

    fits = max(count for count in range(1, 60) if _fits(with_resources(count)))
    text = session_policy(plan(order(grants=with_resources(fits))).allowed, END)
    assert 2048 - 78 < len(text) <= 2048
    with pytest.raises(Unfit) as refused:
        preview(order(grants=with_resources(fits + 1)))
    assert refused.value.field == "grants.statements"


def _fits(grants: dict[str, Any]) -> bool:
    try:
        plan(order(grants=grants))
    except Unfit:
        return False
    return True


@pytest.mark.parametrize(("seconds", "duration"), [(4, 900), (60, 900), (900, 900), (901, 901), (3600, 3600)])
def test_short_boxes_live_on_the_shortest_session_that_aws_makes(seconds: int, duration: int) -> None:
    assert plan(order(seconds=seconds)).duration_s == duration


def test_longer_than_the_role_or_than_chaining_allows_is_refused_and_explained() -> None:
    with pytest.raises(Unfit, match="role's own maximum") as refused:
        plan(order(seconds=3601))
    assert refused.value.field == "duration_s"
    assert plan(order(target(max_session_s=43_200), seconds=43_200)).duration_s == 43_200
    with pytest.raises(Unfit, match="role's own maximum"):
        plan(order(target(max_session_s=7200), seconds=7201))
    with pytest.raises(Unfit, match="runs on a role") as refused:
        plan(order(target(max_session_s=43_200, chained=True), seconds=3601))
    assert refused.value.field == "duration_s"
    assert plan(order(target(max_session_s=43_200, chained=True), seconds=3600)).duration_s == 3600
    with pytest.raises(Unfit, match="before it begins"):
        plan(order(seconds=0))


def test_wrapped_delivery_is_refused_since_aws_knows_none() -> None:
    with pytest.raises(Unfit) as refused:
        plan(order(delivery=Delivery.WRAPPED))
    assert refused.value.field == "delivery"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("role_arn", "arn:aws:iam::111122223333:user/x"),
        ("role_arn", "arn:aws:iam::11112222333:role/x"),
        ("role_arn", "arn:aws:iam::111122223333:role/x*"),
        ("role_arn", "arn:aws:iam::111122223333:role/x\n"),
        ("role_arn", None),
        ("account", "999999999999"),
        ("region", "nowhere"),
        ("max_session_s", 900),
        ("max_session_s", 43_201),
        ("max_session_s", True),
        ("max_session_s", "3600"),
        ("chained", "yes"),
        ("inline_policies", "one"),
        ("open_leases", 0),
        ("probe", "s3"),
        ("probe", {"action": "s3:PutObject", "resource": "*"}),
        ("probe", {"action": "s3:GetObject", "resource": "*"}),
        ("probe", {"action": "s3:GetObject", "resource": "arn:aws:s3:::orders-reports/*"}),
        ("probe", {"action": "s3:ListBucket", "resource": "arn:aws:s3:::orders-reports/x"}),
        ("probe", {"action": "s3:ListBucket", "resource": "arn:aws-cn:s3:::orders-reports"}),
        ("probe", {"action": "ec2:DescribeRegions", "resource": "x"}),
        ("external_id", "x"),
    ],
)
def test_a_setting_that_aws_would_not_take_is_refused_by_name(setting: str, value: Any) -> None:  # noqa: ANN401 -- whatever
    with pytest.raises(Unfit) as refused:
        plan(order(target(**{setting: value})))
    assert refused.value.field == f"target.settings.{setting}"


def test_the_session_bears_lease_request_and_person() -> None:
    made = order()
    arguments = plan(made).arguments(END)
    assert arguments["RoleArn"] == ROLE
    assert arguments["RoleSessionName"] == made.lease_id
    assert arguments["SourceIdentity"] == "alice"
    tags = {tag["Key"]: tag["Value"] for tag in arguments["Tags"]}
    assert tags == {
        "countersign-lease": made.lease_id,
        "countersign-request": made.request_id,
        "countersign-person": "alice",
    }
    assert sorted(arguments["TransitiveTagKeys"]) == sorted(tags)


@pytest.mark.parametrize("person", ["a", "aws:alice", "alice smith", "älice", "a" * 65])
def test_a_person_that_aws_cannot_spell_is_replaced_by_the_request(person: str) -> None:
    assert source_identity(person, "req_aaaaaaaaaaaaaaaa") == "req_aaaaaaaaaaaaaaaa"


@pytest.mark.parametrize("person", ["älice", "a" * 257, "alice\n", ""])
def test_a_person_that_no_tag_can_hold_is_refused(person: str) -> None:
    with pytest.raises(Unfit, match="countersign-person"):
        plan(order(person=person))


def test_the_preview_says_exactly_what_is_given_how_it_ends_and_what_is_left() -> None:
    shown = preview(order(seconds=60))
    assert shown.privileges[0] == "s3:GetObject on arn:aws:s3:::orders-reports/2026/*"
    assert "after 60 s" in shown.privileges[1]
    assert "lives 900 s" in shown.privileges[1]
    assert shown.residual == (
        "box not enforceable for s3:GetObject: a download that is running at the end runs on until it is complete",
    )
    assert shown.latest_end_after_not_after_s == 1
    tokens = {"statements": [{"actions": ["ecr:GetAuthorizationToken"], "resources": ["*"]}]}
    assert preview(order(grants=tokens)).latest_end_after_not_after_s == 43_200


def test_a_preview_needs_the_placeholder_lease_id_only() -> None:
    assert preview(replace(order(), lease_id=make_id(LEASE, bytes(10)))).privileges


def answer(made: Any, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 -- an order, and parts of an answer
    whole: dict[str, Any] = {
        "Credentials": {
            "AccessKeyId": "ASIAEXAMPLE",
            "SecretAccessKey": "secret",
            "SessionToken": "token",
            "Expiration": END + timedelta(minutes=15),
        },
        "AssumedRoleUser": {"AssumedRoleId": f"AROAEXAMPLE:{made.lease_id}", "Arn": "arn"},
        "SourceIdentity": "alice",
        "PackedPolicySize": 41,
    }
    return {**whole, **changes}


def test_a_whole_answer_becomes_a_credential_and_its_percentages_go_into_the_log() -> None:
    made = order()
    planned = plan(made)
    whole = issued(planned, planned.arguments(END), answer(made), box_end=END, endpoint_url=None)
    assert whole.details["packed_policy_percent"] == 41
    assert whole.credential.fields["secret_access_key"] == "secret"
    assert "endpoint_url" not in whole.credential.fields


@pytest.mark.parametrize(
    "changes",
    [
        {"Credentials": None},
        {"Credentials": {}},
        {"Credentials": {"AccessKeyId": "ASIA", "SecretAccessKey": "", "SessionToken": "t", "Expiration": END}},
        {"Credentials": {"AccessKeyId": "ASIA", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": "soon"}},
        {"AssumedRoleUser": None},
        {"AssumedRoleUser": {"AssumedRoleId": "AROAEXAMPLE:lse_somebodyelses"}},
        {"SourceIdentity": "mallory"},
    ],
)
def test_an_answer_that_is_not_what_was_asked_for_is_never_handed_over(changes: dict[str, Any]) -> None:
    made = order()
    planned = plan(made)
    with pytest.raises(OutcomeUnknown):
        issued(planned, planned.arguments(END), answer(made, **changes), box_end=END, endpoint_url=None)


def test_one_principal_cannot_play_both_parts() -> None:
    key = AwsPrincipal(access_key_id="AKIAEXAMPLE", secret_access_key="s")
    with pytest.raises(ValueError, match="must not be the one"):
        AwsSettings(assumer=key, revoker=key)
    with pytest.raises(ValueError, match="must not be the one"):
        AwsSettings(assumer=AwsPrincipal(profile="broker"), revoker=AwsPrincipal(profile="broker"))
    with pytest.raises(ValueError, match="must not be the one"):
        AwsSettings(assumer=AwsPrincipal(), revoker=AwsPrincipal())
    assert "s3cret" not in repr(AwsPrincipal(access_key_id="AKIAEXAMPLE", secret_access_key="s3cret"))
