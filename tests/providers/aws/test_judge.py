"""A second, independent opinion on the documents we render: an evaluator of IAM policies that shares no code with the emulator.

Runs where `COUNTERSIGN_IAM_SIMULATE` names a folder whose `node_modules` holds `@cloud-copilot/iam-simulate` (a tool for tests
under another licence, not part of this project) and `node` is installed. It judges documents, not AWS. On a resource
policy that names the session itself it is stricter than AWS's documentation; `test_life` shows that one on the emulator.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.aws_server import ROLE, order

from countersign.embedded.provision_aws import filled_document
from countersign.providers.aws.box import session_policy
from countersign.providers.aws.ended_list import EndedList
from countersign.providers.aws.sessions import plan

FOLDER, NODE = os.environ.get("COUNTERSIGN_IAM_SIMULATE"), shutil.which("node")
pytestmark = pytest.mark.skipif(
    not FOLDER or NODE is None, reason="COUNTERSIGN_IAM_SIMULATE names no folder with the evaluator, or node is missing"
)

PROGRAM = """
const { createRequire } = require("module");
const { runSimulation } = createRequire(process.argv[1] + "/x.js")("@cloud-copilot/iam-simulate");
(async () => {
  const cases = JSON.parse(require("fs").readFileSync(0, "utf8"));
  const results = [];
  for (const one of cases) {
    const result = await runSimulation(one, {});
    results.push(result.overallResult ?? JSON.stringify(result));
  }
  console.log(JSON.stringify(results));
})();
"""
ACCOUNT = "111122223333"
END = datetime(2026, 11, 22, 22, 5, tzinfo=UTC)
BEFORE, AT, AFTER = END - timedelta(seconds=1), END, END + timedelta(hours=1)
VALUES = {"partition": "aws", "account_id": ACCOUNT, "role_prefix": "countersign-target-", "bucket": "orders-reports"}
INSIDE = "arn:aws:s3:::orders-reports/2026/11/orders.csv"
BESIDE = "arn:aws:s3:::orders-reports/2025/12/orders.csv"
ALLOWED, IMPLICIT, EXPLICIT = "Allowed", "ImplicitlyDenied", "ExplicitlyDenied"

MADE = order()
POLICY = json.loads(session_policy(plan(MADE).allowed, END))
DENY = json.loads(EndedList().with_entry(MADE.lease_id, AFTER).document() or "")


def case(
    *,
    action: str = "s3:GetObject",
    resource: str = INSIDE,
    at: datetime = BEFORE,
    session: str = MADE.lease_id,
    ended: bool = False,
    resource_policy: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    rights: list[dict[str, Any]] = [{"name": "rights", "policy": filled_document("target-s3-read.json", VALUES)}]
    if ended:
        rights.append({"name": "CountersignEnded", "policy": DENY})
    principal = f"arn:aws:sts::{ACCOUNT}:assumed-role/{ROLE.rpartition('/')[2]}/{session}"
    simulation: dict[str, Any] = {
        "request": {
            "principal": principal,
            "action": action,
            "resource": {"resource": resource, "accountId": ACCOUNT},
            "contextVariables": {
                "aws:CurrentTime": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "aws:EpochTime": str(int(at.timestamp())),
                "aws:userid": f"AROAEXAMPLEEXAMPLE123:{session}",
                "aws:PrincipalArn": ROLE,
            },
        },
        "identityPolicies": rights,
        "sessionPolicy": POLICY,
        "serviceControlPolicies": [],
        "resourceControlPolicies": [],
        "permissionBoundaryPolicies": [{"name": "boundary", "policy": filled_document("target-s3-read.json", VALUES)}],
    }
    if resource_policy is not None:
        simulation["resourcePolicy"] = resource_policy
    return simulation


def judged(cases: Sequence[Mapping[str, Any]]) -> list[str]:
    assert NODE is not None
    assert FOLDER is not None
    done = subprocess.run(
        [NODE, "-e", PROGRAM, str(Path(FOLDER).absolute())],
        input=json.dumps(list(cases)),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return list(json.loads(done.stdout))


def names_the_session() -> dict[str, Any]:
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/{ROLE.rpartition('/')[2]}/{MADE.lease_id}"
    statement = {"Effect": "Allow", "Principal": {"AWS": session}, "Action": "s3:*", "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def test_the_evaluator_agrees_on_scope_time_early_end_siblings_and_escapes() -> None:
    sibling, canary = "lse_siblingsiblings"[:20], f"{MADE.lease_id}.canary"
    table: list[tuple[dict[str, Any], set[str]]] = [
        (case(), {ALLOWED}),
        (case(resource=BESIDE), {IMPLICIT}),
        (case(resource="arn:aws:s3:::payroll-records/2026/x"), {IMPLICIT}),
        (case(action="s3:PutObject"), {IMPLICIT}),
        (case(at=AT), {EXPLICIT}),
        (case(at=AFTER), {EXPLICIT}),
        (case(ended=True), {EXPLICIT}),
        (case(ended=True, session=canary), {EXPLICIT}),
        (case(ended=True, session=sibling), {ALLOWED}),
        (case(ended=True, session=f"sibling.{MADE.lease_id}"), {ALLOWED}),
        (case(action="iam:DeleteRolePolicy", resource=ROLE), {EXPLICIT}),
        (case(action="sts:AssumeRole", resource=ROLE), {EXPLICIT}),
        (case(resource=BESIDE, at=AFTER, resource_policy=names_the_session()), {EXPLICIT}),
        (case(resource=BESIDE, ended=True, resource_policy=names_the_session()), {EXPLICIT}),
    ]
    results = judged([one for one, _ in table])
    assert [
        (index, result)
        for index, (result, (_, expected)) in enumerate(zip(results, table, strict=True))
        if result not in expected
    ] == []


def test_control_the_evaluator_lets_a_session_without_a_box_go_on() -> None:
    unboxed = case(at=AFTER)
    unboxed["sessionPolicy"] = {
        **POLICY,
        "Statement": [{k: v for k, v in POLICY["Statement"][0].items() if k != "Condition"}],
    }
    assert judged([unboxed]) == [ALLOWED]
