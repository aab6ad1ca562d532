"""Sets up the embedded AWS as `terraform/modules/aws-target` would: two principals of ours, bounded roles, and something to read.

The policies are the module's own documents, filled in by walking their JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

from countersign.embedded.ministack import ACCOUNT, REGION, EmbeddedAws
from countersign.providers.aws import AwsPrincipal, AwsSettings
from countersign.providers.documents import document

MODULE = "aws-target"
ROLE_PREFIX = "countersign-target-"
BUCKET, FORBIDDEN_BUCKET = "orders-reports", "payroll-records"
OBJECTS = {
    "2026/11/orders.csv": b"order,amount\n1001,12.50\n1002,7.00\n",
    "2026/10/orders.csv": b"order,amount\n0901,3.10\n",
    "2025/12/orders.csv": b"order,amount\n0001,1.00\n",
    "countersign-probe": b"ok\n",
}
UNKNOWN_TO_THE_EMULATOR = frozenset({"sts:SourceIdentity", "iam:PermissionsBoundary"})
"""Condition keys that ministack does not fill in; only these are left out when documents are loaded into it."""

_PLACEHOLDER = re.compile(r"\$\{([a-z_]+)\}")
_FIT_FOR_A_DOCUMENT = re.compile(r"[A-Za-z0-9:/_.*=@+,-]+", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class ProvisionedAws:
    """What the broker and a demo need to know.

    Attributes:
        settings: for `AwsProvider`.
        roles: the target roles' ARNs, by short name (`reports`).
    """

    settings: AwsSettings
    roles: Mapping[str, str]
    bucket: str = BUCKET
    forbidden_bucket: str = FORBIDDEN_BUCKET

    def target(self, name: str = "reports") -> dict[str, Any]:
        """Return the target as it stands in the catalog."""
        return {
            "id": f"aws-{name}",
            "provider": "aws",
            "kind": "aws-role",
            "settings": {
                "role_arn": self.roles[name],
                "account": ACCOUNT,
                "region": REGION,
                "probe": {"action": "s3:GetObject", "resource": f"arn:aws:s3:::{self.bucket}/countersign-probe"},
            },
        }


def provision(aws: EmbeddedAws) -> ProvisionedAws:
    """Make users, boundaries, roles, buckets and objects, and return what is needed to act as the two principals."""
    iam, s3 = _client(aws, "iam"), _client(aws, "s3")
    values = {"partition": "aws", "account_id": ACCOUNT, "role_prefix": ROLE_PREFIX, "bucket": BUCKET}
    assumer = _user(iam, "countersign-assumer", "assumer", values)
    revoker = _user(iam, "countersign-revoker", "revoker", values)
    values["assumer_arn"] = f"arn:aws:iam::{ACCOUNT}:user/countersign-assumer"
    roles = {name: _role(iam, name, values) for name in ("reports", "archive")}
    for bucket in (BUCKET, FORBIDDEN_BUCKET):
        s3.create_bucket(Bucket=bucket)
    for key, body in OBJECTS.items():
        s3.put_object(Bucket=BUCKET, Key=key, Body=body)
    s3.put_object(Bucket=FORBIDDEN_BUCKET, Key="2026/salaries.csv", Body=b"person,salary\n")
    return ProvisionedAws(
        settings=AwsSettings(assumer=assumer, revoker=revoker, region=REGION, endpoint_url=aws.endpoint_url),
        roles=roles,
    )


def filled_document(name: str, values: Mapping[str, str]) -> dict[str, Any]:
    """Return a document of the module with its `${…}` filled in, node by node.

    Raises:
        ValueError: a value that is missing or has no place in a policy.
    """
    filled = _walk(json.loads(document(MODULE, name)), values)
    if not isinstance(filled, dict):
        raise ValueError(f"{name} is not a policy")  # noqa: TRY004 - the document is the value at fault
    return filled


def for_the_emulator(policy: Mapping[str, Any]) -> dict[str, Any]:
    """Return the policy without the condition keys that the emulator does not know; all else stays."""
    statements = []
    for statement in policy["Statement"]:
        kept = {
            operator: {key: value for key, value in keys.items() if key not in UNKNOWN_TO_THE_EMULATOR}
            for operator, keys in statement.get("Condition", {}).items()
        }
        kept = {operator: keys for operator, keys in kept.items() if keys}
        without = {name: value for name, value in statement.items() if name != "Condition"}
        statements.append({**without, "Condition": kept} if kept else without)
    return {**policy, "Statement": statements}


def _walk(node: Any, values: Mapping[str, str]) -> Any:  # noqa: ANN401 - JSON
    if isinstance(node, dict):
        return {key: _walk(value, values) for key, value in node.items()}
    if isinstance(node, list):
        return [_walk(item, values) for item in node]
    if isinstance(node, str):
        return _PLACEHOLDER.sub(lambda match: _value(match.group(1), values), node)
    return node


def _value(name: str, values: Mapping[str, str]) -> str:
    value = values.get(name, "")
    if _FIT_FOR_A_DOCUMENT.fullmatch(value) is None:
        raise ValueError(f"{name} is missing or does not fit a policy document")
    return value


def _loaded(name: str, values: Mapping[str, str]) -> str:
    return json.dumps(for_the_emulator(filled_document(name, values)))


def _user(iam: Any, name: str, part: str, values: Mapping[str, str]) -> AwsPrincipal:  # noqa: ANN401 - boto3 clients have no types
    boundary = iam.create_policy(PolicyName=f"{name}-boundary", PolicyDocument=_loaded(f"{part}-boundary.json", values))
    rights = iam.create_policy(PolicyName=name, PolicyDocument=_loaded(f"{part}.json", values))
    iam.create_user(UserName=name, PermissionsBoundary=boundary["Policy"]["Arn"])
    iam.attach_user_policy(UserName=name, PolicyArn=rights["Policy"]["Arn"])
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return AwsPrincipal(access_key_id=key["AccessKeyId"], secret_access_key=key["SecretAccessKey"])


def _role(iam: Any, name: str, values: Mapping[str, str]) -> str:  # noqa: ANN401 - as above
    """Make a target role. Its rights are also its boundary, so that nothing written into it later gives it more."""
    full_name = f"{ROLE_PREFIX}{name}"
    rights = iam.create_policy(PolicyName=full_name, PolicyDocument=_loaded("target-s3-read.json", values))
    role = iam.create_role(
        RoleName=full_name,
        AssumeRolePolicyDocument=_loaded("trust.json", values),
        PermissionsBoundary=rights["Policy"]["Arn"],
        MaxSessionDuration=3600,
    )
    iam.attach_role_policy(RoleName=full_name, PolicyArn=rights["Policy"]["Arn"])
    return str(role["Role"]["Arn"])


def _client(aws: EmbeddedAws, service: str) -> Any:  # noqa: ANN401 - as above
    return boto3.client(
        service,
        endpoint_url=aws.endpoint_url,
        region_name=REGION,
        aws_access_key_id=aws.admin_access_key_id,
        aws_secret_access_key=aws.admin_secret_access_key,
        config=Config(
            connect_timeout=2, read_timeout=8, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}
        ),
    )
