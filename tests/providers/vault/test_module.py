"""The terraform module and the embedded stack say the same: both load one set of policies, and the rest is compared here."""

from __future__ import annotations

from pathlib import Path

import hcl2
import pytest
from tests.hcl_files import read_hcl

from countersign.embedded import provision_vault
from countersign.providers.vault import tokens

MODULE = Path(__file__).parents[3] / "terraform" / "modules" / "vault"


@pytest.mark.parametrize("name", ["main.tf", "variables.tf", "outputs.tf", "versions.tf"])
def test_every_file_of_the_module_is_hcl(name: str) -> None:
    assert hcl2.loads((MODULE / name).read_text())


def test_logins_are_made_named_and_ended_as_in_the_embedded_stack() -> None:
    text = (MODULE / "main.tf").read_text().replace('\\"', '"')
    text = text.replace("${each.value.connection_limit}", "$limit").replace("${each.value.group}", "$group")
    assert provision_vault.CREATE.template in text
    assert provision_vault.REVOKE in text
    assert provision_vault.USERNAME in text


def test_the_token_role_is_the_one_that_the_broker_mints_through() -> None:
    (role,) = [
        block["vault_token_auth_backend_role"]["countersign"]
        for block in read_hcl(MODULE / "main.tf")["resource"]
        if "vault_token_auth_backend_role" in block
    ]
    assert role["role_name"] == tokens.TOKEN_ROLE == provision_vault.TOKEN_ROLE
    assert role["allowed_policies_glob"] == provision_vault.LEASE_POLICIES
    assert (role["orphan"], role["renewable"], role["token_no_default_policy"]) == (True, False, True)


def test_every_policy_document_is_installed_by_the_module() -> None:
    text = (MODULE / "main.tf").read_text().replace("${delivery}", "wrapped") + (
        MODULE / "main.tf"
    ).read_text().replace("${delivery}", "direct")
    for policy in (MODULE / "policies").glob("*.hcl"):
        assert f"policies/{policy.name}" in text
