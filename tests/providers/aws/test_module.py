"""The terraform module and its documents: parsed and filled in, not applied; what it would install is what the tests use."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import hcl2
import pytest

from countersign.embedded.provision_aws import (
    MODULE,
    UNKNOWN_TO_THE_EMULATOR,
    filled_document,
    for_the_emulator,
)
from countersign.providers.aws.box import CANARY_SUFFIX, LEASE_TAG, PERSON_TAG, REQUEST_TAG, SIBLING_PREFIX
from countersign.providers.documents import document

FOLDER = Path(__file__).parents[3] / "terraform" / "modules" / MODULE
DOCUMENTS = sorted(path.name for path in (FOLDER / "policies").glob("*.json"))
VALUES = {
    "partition": "aws",
    "account_id": "111122223333",
    "role_prefix": "countersign-target-",
    "bucket": "orders-reports",
    "assumer_arn": "arn:aws:iam::111122223333:user/countersign-assumer",
}


def parsed() -> dict[str, Any]:
    whole: dict[str, Any] = {}
    for path in sorted(FOLDER.glob("*.tf")):
        with path.open(encoding="utf-8") as text:
            for kind, blocks in hcl2.load(text).items():
                whole.setdefault(kind, []).extend(blocks)
    return whole


def test_the_module_parses_and_declares_what_it_uses() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in FOLDER.glob("*.tf"))
    module = parsed()
    declared = {name.strip('"') for block in module["variable"] for name in block if not name.startswith("__")}
    assert set(re.findall(r"\bvar\.([a-z_]+)", text)) == declared
    for block in module["variable"]:
        for name, body in block.items():
            if not name.startswith("__"):
                assert "description" in body, name
                assert "type" in body, name


@pytest.mark.skipif(shutil.which("terraform") is None, reason="terraform is not installed here")
def test_all_modules_and_examples_are_formatted() -> None:
    program = shutil.which("terraform")
    assert program is not None
    everything = str(FOLDER.parents[1])
    done = subprocess.run(
        [program, "fmt", "-check", "-diff", "-recursive", everything],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout


def test_every_document_is_used_by_the_module_and_every_one_used_is_there() -> None:
    text = (FOLDER / "main.tf").read_text(encoding="utf-8")
    named = set(re.findall(r"policies/([a-z0-9${}.-]+\.json)", text))
    used = {one.replace("${each.key}", part) for one in named for part in ("assumer", "revoker")}
    assert used == set(DOCUMENTS)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_is_plain_json_whose_blanks_are_all_filled(name: str) -> None:
    json.loads(document(MODULE, name))
    filled = filled_document(name, VALUES)
    text = json.dumps(filled)
    assert "${" not in text
    assert filled["Version"] == "2012-10-17"
    assert len(json.dumps(filled, separators=(",", ":"))) <= 2048
    assert all(re.fullmatch(r"[A-Za-z0-9]+", statement["Sid"]) for statement in filled["Statement"])


@pytest.mark.parametrize("value", ["", 'x"', "${y}", "a b", "x\n", "{", "é"])
def test_a_blank_takes_nothing_that_could_break_out(value: str) -> None:
    with pytest.raises(ValueError, match="bucket"):
        filled_document("target-s3-read.json", {**VALUES, "bucket": value})


def test_the_trust_policy_asks_for_what_sessions_carry() -> None:
    assume, tag, name = filled_document("trust.json", VALUES)["Statement"]
    asked = assume["Condition"]["StringLike"]
    assert {key for key in asked if key.startswith("aws:RequestTag/")} == {
        f"aws:RequestTag/{tag}" for tag in (LEASE_TAG, REQUEST_TAG, PERSON_TAG)
    }
    assert asked["sts:SourceIdentity"] == "?*"
    assert asked["sts:RoleSessionName"] == ["lse_*", f"{SIBLING_PREFIX}lse_*"]
    assert CANARY_SUFFIX.startswith("."), "a canary's name begins with the lease id"
    assert sorted(tag["Condition"]["ForAllValues:StringEquals"]["aws:TagKeys"]) == sorted(
        [LEASE_TAG, REQUEST_TAG, PERSON_TAG]
    )
    assert [assume["Action"], tag["Action"], name["Action"]] == [
        "sts:AssumeRole",
        "sts:TagSession",
        "sts:SetSourceIdentity",
    ]


def test_the_two_principals_share_no_right_and_each_boundary_shuts_the_other_ones_door() -> None:
    def allowed(name: str) -> set[str]:
        return {
            action
            for statement in filled_document(name, VALUES)["Statement"]
            if statement["Effect"] == "Allow"
            for action in statement["Action"]
        }

    assert not allowed("assumer.json") & allowed("revoker.json")
    assert allowed("assumer.json") <= allowed("assumer-boundary.json")
    assert allowed("revoker.json") <= allowed("revoker-boundary.json")
    assert not any(action.startswith("iam:") for action in allowed("assumer-boundary.json"))
    assert not any(action.startswith("sts:") for action in allowed("revoker-boundary.json"))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_emulator_gets_the_same_documents_less_two_condition_keys(name: str) -> None:
    whole = filled_document(name, VALUES)
    before = copy.deepcopy(whole)
    loaded = for_the_emulator(whole)
    assert whole == before
    for full, given in zip(whole["Statement"], loaded["Statement"], strict=True):
        assert {k: v for k, v in full.items() if k != "Condition"} == {
            k: v for k, v in given.items() if k != "Condition"
        }
        missing = {
            key
            for operator, keys in full.get("Condition", {}).items()
            for key in keys
            if key not in given.get("Condition", {}).get(operator, {})
        }
        assert missing <= UNKNOWN_TO_THE_EMULATOR


def test_the_roles_right_is_its_boundary_too() -> None:
    roles = {
        name.strip('"'): body
        for block in parsed()["resource"]
        for kind, named in block.items()
        if kind.strip('"') == "aws_iam_role"
        for name, body in named.items()
    }
    attached = (FOLDER / "main.tf").read_text(encoding="utf-8")
    assert "aws_iam_policy.target[each.key].arn" in str(roles["target"]["permissions_boundary"])
    assert attached.count("policy_arn = aws_iam_policy.target[each.key].arn") == 1
    assert "permissions_boundary" in roles["broker"]
