"""What the halves are at AWS, by the module's documents on an emulator that enforces IAM: one is two roles, the other nobody."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.aws_server import Cloud, now, running_cloud
from tests.hcl_files import named, read_hcl

from countersign.embedded.ministack import ACCOUNT, REGION
from countersign.embedded.provision_aws import filled_document, for_the_emulator
from countersign.providers.aws import AwsPrincipal, AwsProvider, AwsSettings
from countersign.providers.documents import document

FOLDER = Path(__file__).parents[3] / "terraform" / "modules" / "aws-broker"
ISSUER = "oidc.example.test/cluster"
SUBJECTS = {"issuer": "system:serviceaccount:countersign:issuer", "people": "system:serviceaccount:countersign:people"}
AUDIENCES = {"assumer": "countersign-assumer", "revoker": "countersign-revoker"}
PARTS = tuple(AUDIENCES)


def arn(kind: str, name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:{kind}/{name}"


def filled(name: str, **values: str) -> str:
    """Return a document as `templatefile` fills it in."""
    return Template(document("aws-broker", name)).substitute(values)


def token(subject: str, audience: str) -> str:
    """Return a token as a cluster makes them; the emulator reads it and checks no signature."""
    parts = [{"alg": "RS256"}, {"iss": f"https://{ISSUER}", "sub": subject, "aud": audience, "exp": 4102444800}]
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*encoded, "c2lnbmF0dXJl"])


def install(cloud: Cloud) -> None:
    """Make what the two modules make: the workload roles, and the principals of aws-target as roles that trust them."""
    iam = cloud.admin("iam")
    for part in PARTS:
        rights = iam.create_policy(
            PolicyName=f"countersign-workload-{part}",
            PolicyDocument=filled("act.json", principal_arn=arn("role", f"countersign-{part}")),
        )["Policy"]["Arn"]
        trust = filled(
            "trust.json",
            provider_arn=arn("oidc-provider", ISSUER),
            issuer=ISSUER,
            subject=SUBJECTS["issuer"],
            audience=AUDIENCES[part],
        )
        _role(iam, f"countersign-workload-{part}", trust, rights, boundary=rights)
        values = {"partition": "aws", "account_id": ACCOUNT, "role_prefix": "countersign-target-"}
        limits = iam.create_policy(
            PolicyName=f"{part}-role-boundary", PolicyDocument=_loaded(f"{part}-boundary.json", values)
        )
        allowed = iam.create_policy(PolicyName=f"{part}-role", PolicyDocument=_loaded(f"{part}.json", values))
        trusting = json.dumps(_trust_of_a_principal(arn("role", f"countersign-workload-{part}")))
        _role(iam, f"countersign-{part}", trusting, allowed["Policy"]["Arn"], boundary=limits["Policy"]["Arn"])
    target = filled_document("trust.json", {"assumer_arn": arn("role", "countersign-assumer")})
    iam.update_assume_role_policy(
        RoleName="countersign-target-reports", PolicyDocument=json.dumps(for_the_emulator(target))
    )


def _role(iam: Any, name: str, trust: str, rights: str, *, boundary: str) -> None:  # noqa: ANN401 -- boto3 clients have no types
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust, PermissionsBoundary=boundary)
    iam.attach_role_policy(RoleName=name, PolicyArn=rights)


def _loaded(name: str, values: Mapping[str, str]) -> str:
    return json.dumps(for_the_emulator(filled_document(name, values)))


def _trust_of_a_principal(trusted: str) -> dict[str, Any]:
    """Return what the statement of aws-target's `broker_trust` says, as it stands there."""
    (trust,) = [
        block["aws_iam_policy_document"]["broker_trust"]
        for block in read_hcl(FOLDER.parent / "aws-target" / "main.tf")["data"]
        if "aws_iam_policy_document" in block
    ]
    (statement,) = trust["statement"]
    (principals,) = statement["principals"]
    assert principals["identifiers"] == "${each.value}"
    said = {"Effect": "Allow", "Action": statement["actions"], "Principal": {principals["type"]: trusted}}
    return {"Version": "2012-10-17", "Statement": [said]}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("two-halves-aws")) as made:
        install(made)
        yield made


def asked(cloud: Cloud, part: str, *, subject: str, audience: str) -> str:
    """Return `let in`, or AWS's error code, for a workload that shows a token for one of the two roles."""
    sts = boto3.client(
        "sts", endpoint_url=cloud.aws.endpoint_url, region_name=REGION, config=Config(signature_version="unsigned")
    )
    try:
        sts.assume_role_with_web_identity(
            RoleArn=arn("role", f"countersign-workload-{part}"),
            RoleSessionName="x1",
            WebIdentityToken=token(subject, audience),
        )
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "let in"


def test_each_token_of_the_issuing_half_opens_its_own_role_and_no_token_of_the_other_half_opens_any(
    cloud: Cloud,
) -> None:
    answers = {
        (half, held, part): asked(cloud, part, subject=SUBJECTS[half], audience=AUDIENCES[held])
        for half in SUBJECTS
        for held in PARTS
        for part in PARTS
    }
    let_in = {key for key, answer in answers.items() if answer == "let in"}
    assert let_in == {("issuer", "assumer", "assumer"), ("issuer", "revoker", "revoker")}
    assert {answer for answer in answers.values() if answer != "let in"} == {"AccessDenied"}


@pytest.fixture
def profiles(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be the issuing half's container: its configuration file, its tokens, no key anywhere."""
    for part in PARTS:
        (tmp_path / part).write_text(token(SUBJECTS["issuer"], AUDIENCES[part]), encoding="utf-8")
    arns = {f"{part}_arn": arn("role", f"countersign-{part}") for part in PARTS}
    workloads = {f"{part}_workload_arn": arn("role", f"countersign-workload-{part}") for part in PARTS}
    files = {f"{part}_token_file": str(tmp_path / part) for part in PARTS}
    (tmp_path / "config").write_text(filled("aws-config.ini", **arns, **workloads, **files), encoding="utf-8")
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    # Only for botocore's own questions on the way to a session: where AWS is said to be.
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", cloud.aws.endpoint_url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)


@pytest.mark.usefixtures("profiles")
def test_the_issuing_half_draws_and_ends_with_tokens_alone_through_the_modules_configuration(cloud: Cloud) -> None:
    settings = AwsSettings(
        assumer=AwsPrincipal(profile="countersign-assumer"),
        revoker=AwsPrincipal(profile="countersign-revoker"),
        region=REGION,
        endpoint_url=cloud.aws.endpoint_url,
    )
    provider = AwsProvider(settings, now=now)
    drawn = cloud.draw(provider, target=cloud.target(chained=True))
    assert drawn.read() == "read"
    provider.end(drawn.ref)
    assert drawn.read() == "AccessDenied"


@pytest.mark.usefixtures("profiles")
@pytest.mark.parametrize("part", PARTS)
def test_a_workload_role_acts_as_its_own_principal_and_as_nothing_else(cloud: Cloud, part: str) -> None:
    session = boto3.Session(profile_name=f"countersign-workload-{part}", region_name=REGION)
    sts = session.client("sts", endpoint_url=cloud.aws.endpoint_url)
    other = next(each for each in PARTS if each != part)
    sts.assume_role(RoleArn=arn("role", f"countersign-{part}"), RoleSessionName="own")
    for beyond in (f"countersign-{other}", "countersign-target-reports", f"countersign-workload-{other}"):
        with pytest.raises(ClientError, match="AccessDenied"):
            sts.assume_role(RoleArn=arn("role", beyond), RoleSessionName="beyond")
    for service, call in (("iam", "list_roles"), ("s3", "list_buckets")):
        with pytest.raises(ClientError, match="AccessDenied"):
            getattr(session.client(service, endpoint_url=cloud.aws.endpoint_url), call)()


def test_the_module_parses_declares_what_it_uses_and_gives_the_other_half_nothing() -> None:
    texts = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.tf")}
    declared = set(named(read_hcl(FOLDER / "variables.tf")["variable"]))
    assert set(re.findall(r"\bvar\.([a-z_]+)", "\n".join(texts.values()))) == declared
    # It stands in one validation, as what must differ, and in nothing that is made.
    assert "people" not in texts["main.tf"].partition('data "')[2]
    assert "people" not in texts["outputs.tf"]
    assert "issuer_subject != var.workload_identity.people_subject" in texts["variables.tf"]
    used = set(re.findall(r"policies/([a-z.-]+)", texts["main.tf"] + texts["outputs.tf"]))
    assert used == {path.name for path in (FOLDER / "policies").iterdir()}
