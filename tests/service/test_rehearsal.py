"""What a catalog gives is rehearsed when it is proposed: its author hears at once what a requester would hear, and more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.cli.desk import run_here
from tests.cli.test_digests import toml
from tests.world import CATALOG, World, entitlement

from countersign.config.catalog import parse_catalog
from countersign.domain.refusals import Invalid
from countersign.providers.previews import make_previews
from countersign.service.rehearsal import Rehearsal
from countersign.service.rule_changes import ProposalView

ALL = Rehearsal(previews=make_previews())
DATABASE = {
    "id": "db",
    "provider": "vault",
    "kind": "postgresql",
    "settings": {"mount": "database", "host": "db.example", "port": 5432, "dbname": "orders"},
}
TOKENS = {"id": "config", "provider": "vault", "kind": "openbao"}
ACCOUNT = {
    "id": "account",
    "provider": "aws",
    "kind": "aws-role",
    "settings": {
        "role_arn": "arn:aws:iam::123456789012:role/orders",
        "probe": {"action": "s3:GetObject", "resource": "arn:aws:s3:::reports/probe"},
    },
}


def database(**grants: object) -> dict[str, Any]:
    said = {"role": "orders-ro", "member_of": ["orders_ro"]} | grants
    return entitlement(
        "it", provider="vault", target="db", grants={name: value for name, value in said.items() if value is not None}
    )


def account(actions: list[str], resources: list[str], **more: Any) -> dict[str, Any]:  # noqa: ANN401 - keys of an entitlement
    grants = {"statements": [{"actions": actions, "resources": resources}]}
    return entitlement("it", provider="aws", target="account", grants=grants, **more)


def catalog(*items: dict[str, Any]) -> dict[str, Any]:
    return {"schema": 1, "target": [DATABASE, TOKENS, ACCOUNT], "entitlement": list(items)}


def remarks(item: dict[str, Any]) -> list[str]:
    return [str(remark) for remark in ALL.remarks(parse_catalog(catalog(item)))]


def test_what_fits_a_task_is_remarked_on_by_nobody() -> None:
    assert remarks(database()) == []
    assert remarks(account(["s3:GetObject"], ["arn:aws:s3:::reports/*"])) == []
    year = {"year": {"pattern": "20[0-9]{2}"}}
    assert remarks(account(["s3:GetObject"], ["arn:aws:s3:::reports/{year}/*"], parameters=year)) == []


@pytest.mark.parametrize(
    "group", ["postgres", "Postgres", "rds_superuser", "pg_execute_server_program", "pg_write_server_files"]
)
def test_membership_by_which_an_end_could_be_undone_is_never_given(group: str) -> None:
    [remark] = remarks(database(member_of=["orders_ro", group]))
    assert remark.startswith('error: entitlement "it": grants.member_of: ' + group)
    assert "never given" in remark


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (database(member_of=["pg_read_all_data"]), "pg_read_all_data: reads every table"),
        (database(member_of=["pg_of_a_later_version"]), "predefined role"),
        (database(member_of=None), "member_of is not named"),
        (account(["s3:*"], ["arn:aws:s3:::reports/*"]), "s3:*: every act of s3 on what is named"),
        (account(["s3:*"], ["*"]), "s3:*: every act of s3 on everything"),
        (account(["ec2:StopInstances"], ["*"]), "ec2:StopInstances on *"),
        (account(["s3:GetObject"], ["*"], max_duration_s=7200), "max_duration_s is more than can be had"),
    ],
)
def test_what_is_wider_than_it_looks_is_said(item: dict[str, Any], said: str) -> None:
    [remark] = remarks(item)
    assert remark.startswith('warning: entitlement "it": ')
    assert said in remark


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (account(["iam:PassRole"], ["*"]), "could undo or escape the end"),
        (account(["s3:GetObject"], ["arn:aws:s3:::reports/{month}/*"]), "names the parameter month"),
        (account(["s3:GetObject"], ["*"], delivery="wrapped"), "AWS wraps no credentials"),
        (account(["s3:GetObject"], ["*"], min_duration_s=7200, max_duration_s=7200), "more than AWS gives"),
        (database(superuser=True), "grants.superuser is not known"),
        (
            entitlement(
                "it",
                provider="vault",
                target="config",
                delivery="wrapped",
                grants={"policies": ["countersign-path-a"], "paths": [{"path": "auth/token/create"}]},
            ),
            "makes or changes access itself",
        ),
        (
            entitlement(
                "it",
                provider="vault",
                target="db",
                parameters={"access": {"values": ["read", "write"]}},
                grants={"member_of": ["orders_ro"], "role": {"by": "access", "of": {"read": "orders-ro"}}},
            ),
            "with access=write: parameters.access selects nothing",
        ),
    ],
)
def test_what_could_never_be_served_is_an_error(item: dict[str, Any], said: str) -> None:
    [remark] = remarks(item)
    assert remark.startswith("error: ")
    assert said in remark


def test_a_proposal_is_refused_with_every_reason_and_dangers_are_shown_to_both_authors(world: World) -> None:
    rulemaking = replace(world.broker.rulemaking, rehearsal=ALL)

    def propose(*items: dict[str, Any]) -> ProposalView:
        rules = CATALOG | {"target": [*CATALOG["target"], DATABASE], "entitlement": [*CATALOG["entitlement"], *items]}
        return rulemaking.propose(world.principal("frank"), catalog=rules, directory=None, reason="more")

    with pytest.raises(Invalid, match="postgres is an administrator") as refusal:
        propose(database(member_of=["postgres"]), database(superuser=True) | {"id": "that"})
    assert len(refusal.value.detail.splitlines()) == 2
    view = propose(database(member_of=["pg_read_all_data"]))
    for seen in (view, rulemaking.proposal(world.principal("grace"), view.proposal.id)):
        assert [line for line in seen.warnings if "pg_read_all_data" in line]
    adopted = rulemaking.approve(world.principal("grace"), view.proposal.id, digest=view.proposal.digest)
    assert [line for line in adopted.warnings if "pg_read_all_data" in line]


def test_an_author_asks_without_a_broker(tmp_path: Path) -> None:
    file = tmp_path / "catalog.toml"
    file.write_text(toml(catalog(database(member_of=["postgres"]), account(["s3:*"], ["*"]) | {"id": "that"})))
    ran = run_here(["catalog", "check", str(file)], {})
    errors, warnings, last = ran.out.splitlines()
    assert (ran.code, errors[:5], warnings[:7], last) == (2, "error", "warning", f"{file}: errors 1, warnings 1")
    file.write_text(toml(catalog(database(member_of=["pg_read_all_data"]))))
    ran = run_here(["catalog", "check", str(file), "--json"], {})
    assert (ran.code, ran.json()["ok"], len(ran.json()["problems"])) == (0, True, 1)
    file.write_text("schema = 1\nentitlement = 3\n")
    assert run_here(["catalog", "check", str(file)], {}).code == 2
