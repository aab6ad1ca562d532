"""Rendering of parameters and statements: pure, so these tests prove what we would send, not what AWS makes of it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.aws_server import TARGET

from countersign.providers.aws.grants import UNDOING, Allowed, render, residuals
from countersign.providers.aws.settings import RoleTarget
from countersign.providers.base import Unfit

ROLE = RoleTarget.of(TARGET, default_region="us-east-1")
BUCKET = "arn:aws:s3:::orders-reports/{prefix}/*"

CORPUS = [
    "",
    "..",
    ".",
    "../payroll",
    "2026/../payroll",
    "2026/./x",
    "2026//x",
    "/2026",
    "2026/",
    "%2e%2e%2f",
    "2026%2f",
    "2026%00",
    "*",
    "20*",
    "202?",
    "${aws:username}",
    "${*}",
    "$",
    "{prefix}",
    "}",
    '"',
    "'",
    "`",
    '2026/*","arn:aws:s3:::payroll-records/*',
    '2026"}],"Resource":"*',
    "\\",
    "2026\\u002a",
    "2026,2027",
    "a b",
    " 2026",
    "2026\t",
    "2026\n",
    "2026\r\nx",
    "2026\x00",
    "2026\x7f",
    "2026\u202e",
    "2026\u200b",
    "２０２６",  # noqa: RUF001 -- full-width digits are the point
    "2026é",
    "2026\u0430",
    "arn:aws:s3:::payroll-records",
    "a:b",
    "<script>",
    "#",
    "~",
    "a" * 129,
    "a" * 10_240,
    "\ud800",
]


def rendered(
    parameters: dict[str, Any], *, resource: str = BUCKET, action: str = "s3:GetObject"
) -> tuple[Allowed, ...]:
    return render({"statements": [{"actions": [action], "resources": [resource]}]}, parameters, ROLE)


@pytest.mark.parametrize("value", CORPUS)
def test_no_value_of_the_injection_corpus_is_rendered_and_the_parameter_is_named(value: str) -> None:
    with pytest.raises(Unfit) as refused:
        rendered({"prefix": value})
    assert refused.value.field == "parameters.prefix"
    assert value == "" or len(value) < 3 or value not in str(refused.value), "a refusal repeats no hostile text"


@pytest.mark.parametrize("value", CORPUS)
def test_a_parameter_that_no_statement_uses_is_judged_all_the_same(value: str) -> None:
    with pytest.raises(Unfit) as refused:
        rendered({"prefix": "2026", "note": value})
    assert refused.value.field == "parameters.note"


@pytest.mark.parametrize("value", [None, 7, True, ["2026"], {"a": "b"}])
def test_a_value_that_is_no_text_is_refused(value: Any) -> None:  # noqa: ANN401 -- whatever
    with pytest.raises(Unfit) as refused:
        rendered({"prefix": value})
    assert refused.value.field == "parameters.prefix"


@given(value=st.text(max_size=140))
def test_what_is_rendered_is_one_literal_name_below_the_bucket(value: str) -> None:
    try:
        (allowed,) = rendered({"prefix": value})
    except Unfit:
        return
    assert allowed.resources == (f"arn:aws:s3:::orders-reports/{value}/*",)
    assert re.fullmatch(r"[A-Za-z0-9._/=@-]{1,128}", value, re.ASCII)
    assert ".." not in value
    assert json.loads(json.dumps(allowed.resources[0])) == allowed.resources[0]


def test_a_value_with_a_slash_cannot_choose_a_bucket() -> None:
    with pytest.raises(Unfit) as refused:
        rendered({"bucket": "payroll-records/x"}, resource="arn:aws:s3:::{bucket}/*")
    assert refused.value.field == "parameters.bucket"
    assert rendered({"bucket": "orders"}, resource="arn:aws:s3:::{bucket}/*")[0].resources == ("arn:aws:s3:::orders/*",)


def test_values_are_put_in_once_and_never_read_as_placeholders_again() -> None:
    (allowed,) = rendered({"a": "x", "b": "y"}, resource="arn:aws:s3:::orders-reports/{a}-{b}/{a}")
    assert allowed.resources == ("arn:aws:s3:::orders-reports/x-y/x",)


def test_every_name_that_the_catalog_gives_a_parameter_can_be_a_placeholder() -> None:
    (allowed,) = rendered({"due-day.2": "x"}, resource="arn:aws:s3:::orders-reports/{due-day.2}")
    assert allowed.resources == ("arn:aws:s3:::orders-reports/x",)


def test_a_placeholder_without_a_parameter_is_refused_by_name() -> None:
    with pytest.raises(Unfit) as refused:
        rendered({}, resource=BUCKET)
    assert refused.value.field == "parameters.prefix"


@pytest.mark.parametrize(
    "action",
    [
        "*",
        "s3",
        "s3:",
        "S3:GetObject",
        "s3:{prefix}",
        "s3:Get Object",
        "s3:GetObject,iam:PassRole",
        "**",
        "*:*",
        "s3:Get?bject",
        "iam:PassRole",
        "iam:*",
        "i*:*",
        "sts:AssumeRole",
        "sts:*",
        "sts:assumerole",
        "sts:AssumeRoleWithWebIdentity",
        "sts:GetFederationToken",
        "sts:GetSessionToken",
        "sts:Assume*",
        "sts:*Role",
        "organizations:LeaveOrganization",
        "iam:get*",
    ],
)
def test_actions_that_are_malformed_or_could_undo_the_end_are_never_given(action: str) -> None:
    with pytest.raises(Unfit) as refused:
        rendered({"prefix": "2026"}, action=action)
    assert refused.value.field == "grants.statements[0].actions"


@pytest.mark.parametrize(
    "resource",
    [
        "orders-reports",
        "arn:aws:s3",
        "arn:aws:s3:::",
        "arn:aws-cn:s3:::orders-reports",
        "arn:aws:sqs:us-east-1:999999999999:queue",
        "arn:aws:sqs:*:111122223333:queue",
        "arn:aws:sqs:us-east-1:*:queue",
        "arn:*:s3:::orders",
        "arn:aws:*:::orders",
        "arn:aws:{prefix}:::orders",
        "arn:aws:s3:::orders/${aws:username}",
        "arn:aws:s3:::orders/{prefix",
        'arn:aws:s3:::orders"',
        "arn:aws:s3:::orders/é",
    ],
)
def test_resources_elsewhere_or_malformed_are_refused(resource: str) -> None:
    with pytest.raises(Unfit) as refused:
        rendered({"prefix": "2026"}, resource=resource)
    assert refused.value.field == "grants.statements[0].resources"


@pytest.mark.parametrize(
    "resource", ["*", "arn:aws:sqs:us-east-1:111122223333:orders-*", "arn:aws:s3:::orders-reports"]
)
def test_resources_of_the_same_account_are_taken_as_written(resource: str) -> None:
    assert rendered({}, resource=resource)[0].resources == (resource,)


@pytest.mark.parametrize(
    "grants",
    [
        {},
        {"statements": []},
        {"statements": "s3:*"},
        {"statements": [{}]},
        {"statements": [7]},
        {"statements": [{"actions": ["s3:GetObject"]}]},
        {"statements": [{"actions": [], "resources": ["*"]}]},
        {"statements": [{"actions": "s3:GetObject", "resources": ["*"]}]},
        {"statements": [{"actions": ["s3:GetObject"], "resources": [7]}]},
        {"statements": [{"actions": ["s3:GetObject"], "resources": ["*"], "NotAction": ["x"]}]},
        {"statements": [{"actions": ["s3:GetObject"], "resources": ["*"], "conditions": ["x"]}]},
        {"statements": [{"actions": ["s3:GetObject"], "resources": ["*"], "conditions": {"StringLike": "x"}}]},
        {"statements": [{"actions": ["s3:GetObject"], "resources": ["*"], "conditions": {"$x": {"s3:prefix": "x"}}}]},
        {
            "statements": [
                {"actions": ["s3:GetObject"], "resources": ["*"], "conditions": {"StringLike": {"prefix": "x"}}}
            ]
        },
        {
            "statements": [
                {
                    "actions": ["s3:GetObject"],
                    "resources": ["*"],
                    "conditions": {"DateLessThan": {"aws:CurrentTime": "2099-01-01T00:00:00Z"}},
                }
            ]
        },
        {
            "statements": [
                {
                    "actions": ["s3:GetObject"],
                    "resources": ["*"],
                    "conditions": {"DateLessThan": {"aws:currenttime": "2099-01-01T00:00:00Z"}},
                }
            ]
        },
        {"statements": [{"actions": ["s3:GetObject"], "resources": ["*"]}], "policy": "{}"},
    ],
)
def test_grants_of_another_shape_are_refused(grants: dict[str, Any]) -> None:
    with pytest.raises(Unfit) as refused:
        render(grants, {}, ROLE)
    assert refused.value.field is not None
    assert refused.value.field.startswith("grants.statements")


def test_conditions_take_parameters_and_are_told_to_the_approver() -> None:
    grants = {
        "statements": [
            {
                "actions": ["s3:ListBucket"],
                "resources": ["arn:aws:s3:::orders-reports"],
                "conditions": {"StringLike": {"s3:prefix": ["{prefix}/*", "{prefix}"]}},
            }
        ]
    }
    (allowed,) = render(grants, {"prefix": "2026"}, ROLE)
    assert allowed.conditions == {"StringLike": {"s3:prefix": ("2026/*", "2026")}}
    assert allowed.lines() == [
        "s3:ListBucket on arn:aws:s3:::orders-reports if s3:prefix StringLike 2026/*, 2026",
    ]


@pytest.mark.parametrize(
    ("action", "seconds", "word"),
    [
        ("ecr:GetAuthorizationToken", 43_200, "registry token"),
        ("ecr:*", 43_200, "registry token"),
        ("ecr:getauthorizationtoken", 43_200, "registry token"),
        ("codeartifact:Get*", 43_200, "repository token"),
        ("rds-db:connect", 900, "login token"),
        ("redshift:GetClusterCredentialsWithIAM", 3600, "database password"),
        ("s3express:CreateSession", 300, "bucket session"),
        ("ssm:StartSession", 86_400, "shell"),
        ("ec2:RunInstances", 0, "without end"),
        ("secretsmanager:GetSecretValue", 0, "is known"),
    ],
)
def test_what_outlives_the_box_is_told_with_its_time(action: str, seconds: int, word: str) -> None:
    lines, longest = residuals([Allowed(actions=(action,), resources=("*",), conditions={})])
    assert longest == seconds
    assert any(line.startswith(f"box not enforceable for {action}: ") and word in line for line in lines)


def test_what_the_box_holds_has_no_residual() -> None:
    assert residuals([Allowed(actions=("sqs:SendMessage", "s3:ListBucket"), resources=("*",), conditions={})]) == (
        (),
        0,
    )


def test_the_list_of_what_could_undo_the_end_covers_roles_tokens_and_policies() -> None:
    assert set(UNDOING) >= {"sts:AssumeRole*", "iam:*"}
