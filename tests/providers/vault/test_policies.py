"""What the broker may not do at OpenBao, tried with the broker's own login against the policies that terraform installs."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any

import hcl2
import hvac
import pytest
from hvac.exceptions import Forbidden, InvalidRequest, VaultError
from tests.servers import Stack, order, ref_of

from countersign.domain.entitlement import Delivery
from countersign.providers.documents import document
from countersign.providers.vault.tokens import Tokens

LEASE = "lse_abcdefghij234567"
GOOD: Mapping[str, Any] = {
    "policies": ["countersign-db-wrapped-database-orders-ro"],
    "explicit_max_ttl": "30s",
    "ttl": "30s",
    "renewable": False,
    "meta": {"lease": LEASE},
    "display_name": LEASE,
}


@pytest.fixture
def broker(openbao_stack: Stack) -> hvac.Client:
    client = openbao_stack.openbao.client()
    client.token = client.auth.approle.login(openbao_stack.vault.role_id, openbao_stack.vault.secret_id)["auth"][
        "client_token"
    ]
    return client


def create(
    client: hvac.Client, body: Mapping[str, Any], *, wrap: str | None = "30s", role: str = "/countersign"
) -> Any:  # noqa: ANN401 -- untyped JSON
    headers = {} if wrap is None else {"X-Vault-Wrap-TTL": wrap}
    return client.adapter.request("post", f"/v1/auth/token/create{role}", json=dict(body), headers=headers)


@pytest.mark.parametrize(("address", "status"), [("127.0.0.1", 200), ("127.0.0.2", 400)])
def test_the_brokers_ids_open_nothing_from_elsewhere_such_as_the_half_that_faces_people(
    openbao_stack: Stack, address: str, status: int
) -> None:
    vault = openbao_stack.vault
    line = http.client.HTTPConnection("127.0.0.1", openbao_stack.openbao.port, source_address=(address, 0), timeout=10)
    body = json.dumps({"role_id": vault.role_id, "secret_id": vault.secret_id})
    line.request("POST", "/v1/auth/approle/login", body=body)
    answer = line.getresponse()
    assert answer.status == status
    assert (b"client_token" in answer.read()) == (status == 200)
    line.close()


def test_the_control_a_token_as_the_broker_makes_it_is_made(broker: hvac.Client) -> None:
    made = create(broker, GOOD)["wrap_info"]
    broker.auth.token.revoke_accessor(made["wrapped_accessor"])


@pytest.mark.parametrize("wrap", [None, "600s", "121s"])
def test_no_token_without_a_short_wrapping(broker: hvac.Client, wrap: str | None) -> None:
    with pytest.raises(Forbidden):
        create(broker, GOOD, wrap=wrap)


@pytest.mark.parametrize("missing", ["policies", "explicit_max_ttl", "meta", "display_name"])
def test_no_token_that_lacks_what_binds_it(broker: hvac.Client, missing: str) -> None:
    with pytest.raises(Forbidden):
        create(broker, {key: value for key, value in GOOD.items() if key != missing})


@pytest.mark.parametrize(
    "more",
    [
        {"period": "1h"},
        {"id": "chosen"},
        {"no_parent": True},
        {"renewable": True},
        {"num_uses": 1},
        {"type": "batch"},
        {"entity_alias": "somebody"},
        {"no_default_policy": False},
    ],
)
def test_no_token_with_more_than_was_foreseen(broker: hvac.Client, more: dict[str, Any]) -> None:
    with pytest.raises(Forbidden):
        create(broker, {**GOOD, **more})


@pytest.mark.parametrize("policy", ["root", "default", "countersign-broker", "countersign-inspect"])
def test_no_token_with_a_policy_beyond_those_for_leases(broker: hvac.Client, policy: str) -> None:
    with pytest.raises(InvalidRequest):
        create(broker, {**GOOD, "policies": [policy]})
    with pytest.raises(InvalidRequest):
        create(broker, {**GOOD, "policies": [*GOOD["policies"], policy]})


@pytest.mark.parametrize("role", ["", "/other"])
def test_no_token_through_any_other_door(broker: hvac.Client, role: str) -> None:
    with pytest.raises(Forbidden):
        create(broker, GOOD, role=role)
    with pytest.raises(Forbidden):
        broker.adapter.request("post", "/v1/auth/token/create-orphan", json=dict(GOOD))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "database/creds/orders-ro"),
        ("get", "database/roles/orders-ro"),
        ("post", "database/roles/orders-ro"),
        ("post", "database/roles/mine"),
        ("get", "database/config/orders"),
        ("post", "database/config/orders"),
        ("post", "database/rotate-root/orders"),
        ("list", "database/roles"),
        ("get", "kv/data/orders/config"),
        ("list", "kv/metadata"),
        ("get", "transit/export/signing-key/audit"),
        ("get", "sys/policies/acl/countersign-broker"),
        ("post", "sys/policies/acl/countersign-broker"),
        ("post", "sys/policies/acl/countersign-db-direct-database-mine"),
        ("list", "sys/policies/acl"),
        ("get", "sys/mounts"),
        ("post", "sys/mounts/mine"),
        ("get", "sys/audit"),
        ("delete", "sys/audit/main"),
        ("post", "sys/seal"),
        ("list", "sys/leases/lookup/database/creds/orders-ro"),
        ("post", "sys/leases/revoke"),
        ("post", "sys/leases/revoke-prefix/database"),
        ("post", "sys/leases/revoke-force/database"),
        ("post", "auth/token/roles/countersign"),
        ("get", "auth/token/roles/countersign"),
        ("post", "auth/token/lookup"),
        ("post", "auth/token/revoke"),
        ("post", "auth/token/renew-accessor"),
        ("post", "auth/approle/role/countersign"),
        ("post", "auth/approle/role/countersign/secret-id"),
        ("post", "identity/entity"),
    ],
)
def test_no_path_beside_the_broker_s_work(broker: hvac.Client, method: str, path: str) -> None:
    with pytest.raises(Forbidden):
        broker.adapter.request(method, f"/v1/{path}", json={} if method == "post" else None)


def test_a_wrapped_lease_s_token_cannot_be_read_in_the_clear_nor_wrapped_for_long(openbao_stack: Stack) -> None:
    provider = openbao_stack.provider()
    reservation = provider.reserve(order(openbao_stack, delivery=Delivery.WRAPPED))
    child = openbao_stack.openbao.client(reservation.secret.token)
    for wrap in (None, "121s", "600s"):
        with pytest.raises(Forbidden):
            child.read("database/creds/orders-ro", wrap_ttl=wrap)
    for path in ("database/creds/orders-rw", "kv/data/orders/config", "auth/token/lookup-self"):
        with pytest.raises(Forbidden):
            child.read(path, wrap_ttl="30s")
    with pytest.raises(Forbidden):
        child.auth.token.renew_self()
    with pytest.raises(Forbidden):
        child.auth.token.create()
    provider.end(ref_of(reservation))
    provider.close()


def test_a_token_s_second_read_is_refused_by_the_target_as_long_as_the_role_stands(openbao_stack: Stack) -> None:
    provider = openbao_stack.provider()
    reservation = provider.reserve(order(openbao_stack))
    issued = provider.issue(reservation)
    with pytest.raises(VaultError, match="already exists"):
        openbao_stack.openbao.client(reservation.secret.token).read("database/creds/orders-ro")
    provider.end(ref_of(reservation, issued))
    provider.close()


def test_the_inspector_looks_and_changes_nothing(openbao_stack: Stack) -> None:
    inspector = openbao_stack.openbao.client(openbao_stack.vault.inspect_token)
    accessors = inspector.adapter.request("list", "/v1/auth/token/accessors")["data"]["keys"]
    assert accessors
    assert inspector.adapter.request("post", "/v1/sys/audit-hash/main", json={"input": "x"})["data"]["hash"]
    for method, path in (
        ("post", "auth/token/create"),
        ("post", "auth/token/revoke-accessor"),
        ("post", "sys/leases/revoke"),
        ("get", "database/creds/orders-ro"),
        ("get", "kv/data/orders/config"),
    ):
        with pytest.raises(Forbidden):
            inspector.adapter.request(method, f"/v1/{path}", json={"accessor": accessors[0]})


@pytest.mark.parametrize("name", ["broker", "db-wrapped", "db-direct", "kv-read", "inspect"])
def test_every_policy_document_is_hcl_and_names_no_star_for_the_broker(name: str) -> None:
    parsed = hcl2.loads(document("vault", f"{name}.hcl"))
    assert parsed["path"]
    if name != "inspect":
        assert "*" not in "".join(str(path) for block in parsed["path"] for path in block)


def test_a_document_is_found_by_plain_names_only() -> None:
    for module, name in (("vault", "../main.tf"), ("..", "x"), ("vault", "/etc/passwd"), ("vault", "missing.hcl")):
        with pytest.raises(FileNotFoundError):
            document(module, name)


def test_the_token_role_s_name_is_the_one_that_the_broker_mints_through(openbao_stack: Stack) -> None:
    provider = openbao_stack.provider()
    reservation = provider.reserve(order(openbao_stack))
    tokens: Tokens = provider._tokens
    facts = tokens.facts(reservation.handle["accessor"])
    assert facts is not None
    assert (facts.role, facts.orphan, facts.renewable) == ("countersign", True, False)
    assert facts.policies == ("countersign-db-direct-database-orders-ro",)
    provider.end(ref_of(reservation))
    provider.close()
