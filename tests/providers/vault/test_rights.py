from __future__ import annotations

from collections.abc import Iterator

import hvac
import pytest
from tests.servers import Stack, now

from countersign.embedded.openbao import EmbeddedOpenBao
from countersign.embedded.provision_vault import policy
from countersign.providers.base import Away
from countersign.providers.vault import AppRole, VaultProvider
from countersign.providers.vault.login import Broker
from countersign.providers.vault.rights import unfit_rights
from countersign.providers.vault.wire import Wire


@pytest.fixture(scope="module")
def rooted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EmbeddedOpenBao, hvac.Client]]:
    """An OpenBao whose root token we still hold, with the broker's login and no policy yet."""
    openbao = EmbeddedOpenBao(tmp_path_factory.mktemp("rooted"))
    try:
        client = openbao.client(openbao.start() or "")
        client.sys.enable_auth_method("approle")
        client.adapter.request(
            "post", "/v1/auth/approle/role/countersign", json={"token_policies": ["countersign-broker"]}
        )
        yield openbao, client
    finally:
        openbao.kill()


def test_the_provisioned_login_has_the_rights_it_needs_and_no_telling_ones(openbao_stack: Stack) -> None:
    provider = openbao_stack.provider()
    assert provider.unfit_rights() == ()
    provider.close()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            policy("broker") + '\npath "database/*" { capabilities = ["read"] }',
            ("has read on database/config/any", "has read on database/creds/any", "has read on database/roles/any"),
        ),
        (
            policy("broker").replace('"list", "sudo"', '"list"'),
            ("lacks sudo on auth/token/accessors",),
        ),
    ],
)
def test_a_login_with_more_or_less_is_found(
    rooted: tuple[EmbeddedOpenBao, hvac.Client], text: str, expected: tuple[str, ...]
) -> None:
    openbao, client = rooted
    client.sys.create_or_update_policy(name="countersign-broker", policy=text)
    role = client.adapter.request("get", "/v1/auth/approle/role/countersign/role-id")["data"]["role_id"]
    secret = client.adapter.request("post", "/v1/auth/approle/role/countersign/secret-id")["data"]["secret_id"]
    wire = Wire(openbao.address)
    assert unfit_rights(Broker(wire, AppRole(role_id=role, secret_id=secret))) == expected
    wire.close()


def test_an_openbao_that_is_away_tells_nothing() -> None:
    provider = VaultProvider(
        address="http://127.0.0.1:1", login=AppRole(role_id="x", secret_id="y"), target_dsns={}, clock=now
    )
    with pytest.raises(Away):
        provider.unfit_rights()
