"""The files printed in the documentation are right, and the documentation names every key."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from countersign.config.catalog import parse_catalog
from countersign.config.catalog_file import (
    BreakGlassTable,
    CapsTable,
    EntitlementTable,
    ParameterTable,
    TargetTable,
)
from countersign.config.crosscheck import check_together
from countersign.config.directory import GroupTable, PersonTable, PrincipalTable, parse_directory
from countersign.config.issuer_file import IssuerTable
from countersign.config.matching import FactorTable, RuleTable
from countersign.config.patterns import fault_of
from countersign.config.problems import ConfigError
from countersign.config.signing_file import PasskeyTable, SigningTable
from countersign.config.trust_file import TrustTable
from countersign.domain.people import Role
from countersign.providers.aws.sessions import preview as preview_aws
from countersign.providers.base import Order, Preview
from countersign.providers.vault.plan import preview as preview_vault

DOCS = Path(__file__).parents[2] / "docs"


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", (DOCS / name).read_text(), re.DOTALL | re.MULTILINE)


def example(name: str) -> dict[str, Any]:
    (block,) = blocks(name, "toml")
    return tomllib.loads(block)


def rows(name: str, heading: str) -> list[list[str]]:
    """Return the cells of the first table under a heading, without its head."""
    part = (DOCS / name).read_text().split(f"\n{heading}", 1)[1]
    lines = re.search(r"(?:^\|.*\n)+", part, re.MULTILINE)
    assert lines is not None
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[0].splitlines()[2:]]


def test_the_printed_files_are_right_and_fit_each_other() -> None:
    catalog, directory = parse_catalog(example("catalog.md")), parse_directory(example("directory.md"))
    assert check_together(catalog, directory) == []
    assert list(catalog.entitlements) == ["orders-db-write", "reports-read"]
    assert {principal.person for principal in directory.principals.values()} == set(directory.persons)


PREVIEWS: dict[str, Callable[[Order], Preview]] = {
    "vault": preview_vault,
    "aws": lambda order: preview_aws(order, default_region="us-east-1"),
}


def test_the_providers_would_serve_the_printed_entitlements() -> None:
    now = datetime(2026, 11, 22, 22, 5, tzinfo=UTC)
    lines: list[str] = []
    for item in parse_catalog(example("catalog.md")).entitlements.values():
        order = Order(
            lease_id="lse_aaaaaaaaaaaaaaaa",
            grant_id="grt_aaaaaaaaaaaaaaaa",
            request_id="req_aaaaaaaaaaaaaaaa",
            person="alice",
            entitlement=item.id,
            target=item.document()["target"],
            grants=item.grants,
            parameters=item.judge_parameters({"day": "2026-11-22"} if item.parameters else {}),
            now=now,
            not_after=now + item.max_duration,
            backstop_at=now + item.max_duration + item.backstop,
            delivery=item.delivery,
        )
        lines += PREVIEWS[item.provider](order).privileges
    assert any("orders_rw" in line for line in lines)
    assert "s3:GetObject on arn:aws:s3:::reports/daily/2026-11-22/*" in lines


def test_the_first_entitlement_prints_every_key() -> None:
    file = example("catalog.md")
    keys = set(file["entitlement"][0]) | {"parameters"}
    assert keys == set(EntitlementTable.model_fields)
    assert set(file["entitlement"][0]["caps"]) == set(CapsTable.model_fields)
    assert set(file["entitlement"][0]["break_glass"]) == set(BreakGlassTable.model_fields)
    assert set(file["target"][0]) == set(TargetTable.model_fields)


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("### `[trust]`", TrustTable),
        ("### `[[trust.issuer]]`", IssuerTable),
        ("### `[[target]]`", TargetTable),
        ("### `[[entitlement]]`", EntitlementTable),
        ("### `[[rule]]`", RuleTable),
        ("### `caps`", CapsTable),
        ("### `break_glass`", BreakGlassTable),
    ],
)
def test_every_key_of_the_catalog_is_explained_with_its_default(heading: str, model: type[BaseModel]) -> None:
    explained = {cells[0].strip("`"): cells for cells in rows("catalog.md", heading)}
    assert set(explained) == set(model.model_fields)
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if isinstance(default, int | str) and default != "":
            assert explained[name][1].strip('`"') == str(default)


def test_the_keys_of_small_tables_are_mentioned() -> None:
    text = (DOCS / "catalog.md").read_text()
    for model in (FactorTable, ParameterTable, SigningTable, PasskeyTable):
        assert all(name in text for name in model.model_fields)


def test_every_key_and_role_of_the_directory_is_explained() -> None:
    explained = [cells[1].strip("`") for cells in rows("directory.md", "## Keys")]
    assert explained == [name for model in (PersonTable, PrincipalTable, GroupTable) for name in model.model_fields]
    assert {cells[0].strip("`") for cells in rows("directory.md", "## Roles")} == {role.value for role in Role}


def test_the_printed_patterns_match_what_is_said() -> None:
    printed = rows("catalog.md", "A pattern is a row of parts")
    assert len(printed) == 3
    for pattern, text in printed:
        assert fault_of(pattern.strip("`")) is None
        assert re.fullmatch(pattern.strip("`"), text.strip("`"), re.ASCII)


def test_the_printed_messages_are_the_real_ones() -> None:
    file = example("catalog.md")
    file["entitlement"][0]["review"][0]["count"] = 0
    file["entitlement"][1]["delivery"] = "mail"
    with pytest.raises(ConfigError) as caught:
        parse_catalog(file)
    printed, _rehearsed = blocks("catalog.md", "text")
    assert printed.splitlines() == str(caught.value).splitlines()
