"""The log's key at a real OpenBao: it signs what verifies, may do nothing else, and being away stops no grant."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.quick import quick_world
from tests.world import CATALOG, World

from countersign.auditlog.checkpoint import open_checkpoint
from countersign.auditlog.note import Ed25519Verifier
from countersign.auditlog.signer import CannotSign, Ed25519Signer
from countersign.embedded.openbao import EmbeddedOpenBao
from countersign.embedded.provision_vault import policy
from countersign.providers.vault.login import AppRole, Broker
from countersign.providers.vault.transit import TransitSigner
from countersign.providers.vault.wire import Wire
from countersign.service.checkpoints import Checkpoints

ORIGIN, KEY = "test.example/log", "countersign-log"


class Kept:
    """OpenBao with the log's key in it, provisioned as the module says."""

    def __init__(self, server: EmbeddedOpenBao, root: str) -> None:
        self.server, self.root = server, server.client(root)
        self.write("sys/mounts/transit", type="transit")
        self.write(f"transit/keys/{KEY}", type="ed25519")
        self.write(
            "sys/policies/acl/countersign-log-key", policy=policy("log-key", mount="transit", key=KEY, version="1")
        )
        self.write("sys/auth/approle", type="approle")
        self.write(
            "auth/approle/role/log",
            token_policies=["countersign-log-key"],
            token_no_default_policy=True,
            token_period="20m",
        )
        role = self.root.read("auth/approle/role/log/role-id")["data"]["role_id"]
        self.login = AppRole(role_id=role, secret_id=self.write("auth/approle/role/log/secret-id")["data"]["secret_id"])

    def write(self, path: str, **values: Any) -> Any:  # noqa: ANN401 - untyped JSON
        return self.root.adapter.request("post", f"/v1/{path}", json=values)

    def public(self, version: int = 1) -> Ed25519Verifier:
        keys = self.root.read(f"transit/keys/{KEY}")["data"]["keys"]
        return Ed25519Verifier(name=ORIGIN, public_key=base64.b64decode(keys[str(version)]["public_key"]))

    def broker(self) -> Broker:
        return Broker(Wire(self.server.address), self.login)

    def signer(self, *, version: int = 1, pinned: Ed25519Verifier | None = None) -> TransitSigner:
        return TransitSigner(
            self.broker(), mount="transit", key=KEY, version=version, pinned=pinned or self.public(version)
        )


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    server = EmbeddedOpenBao(tmp_path_factory.mktemp("transit"))
    root = server.start()
    assert root is not None
    yield Kept(server, root)
    server.kill()


@pytest.fixture
def world() -> Iterator[World]:
    with quick_world() as made:
        yield made


def with_key(world: World, signer: Any) -> Checkpoints:  # noqa: ANN401 - a signer
    world.signer = signer
    world.restart()
    return world.issuing.checkpoints


def test_what_openbao_signs_is_a_checkpoint_of_the_log_s_own_key(kept: Kept, world: World) -> None:
    checkpoints = with_key(world, kept.signer())
    note = checkpoints.sign()
    assert note is not None
    opened = open_checkpoint(note.encode(), [kept.public()])
    with world.store.read() as tx:
        assert opened.checkpoint.size == tx.head().size
    assert world.broker.publication.key() == kept.public().vkey()


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", f"transit/keys/{KEY}", None),
        ("POST", f"transit/keys/{KEY}/rotate", {}),
        ("POST", f"transit/keys/{KEY}/config", {"deletion_allowed": True}),
        ("GET", f"transit/export/signing-key/{KEY}", None),
        ("GET", f"transit/backup/{KEY}", None),
        ("POST", "transit/sign/another", {"input": "eA==", "key_version": 1}),
        ("POST", f"transit/sign/{KEY}", {"input": "eA==", "key_version": 1, "prehashed": True}),
        ("POST", "auth/token/create", {}),
    ],
)
def test_the_login_may_sign_with_this_key_and_nothing_else(
    kept: Kept, method: str, path: str, body: dict[str, object] | None
) -> None:
    with pytest.raises(Exception, match="refuses the broker"):
        kept.broker().call(method, path, body=body)


def test_with_openbao_away_checkpoints_lag_and_grants_go_on(kept: Kept, world: World) -> None:
    checkpoints = with_key(world, kept.signer())
    before = checkpoints.sign()
    kept.server.stop()
    try:
        with capture_logs() as logged:
            drawn = world.draw(world.granted())
            assert checkpoints.sign() == before == world.broker.publication.checkpoint()
        assert drawn.credential.fields
        assert [line["event"] for line in logged] == ["the log's key cannot be used; checkpoints lag"]
    finally:
        kept.server.start()
    after = checkpoints.sign()
    assert after is not None
    with world.store.read() as tx:
        assert open_checkpoint(after.encode(), [kept.public()]).checkpoint.size == tx.head().size


def test_another_key_than_the_pinned_one_signs_nothing(kept: Kept) -> None:
    stranger = Ed25519Signer.generate(ORIGIN).verifier()
    with pytest.raises(CannotSign, match="another key"):
        kept.signer(pinned=stranger).sign(b"x\n")
    with pytest.raises(CannotSign):
        kept.signer(version=7, pinned=kept.public()).sign(b"x\n")


def test_a_key_that_was_not_countersigned_signs_nothing_and_the_countersigned_one_goes_on(world: World) -> None:
    old, new = (Ed25519Signer.generate(ORIGIN) for _ in range(2))
    checkpoints = with_key(world, old)
    world.adopt(catalog=CATALOG | {"trust": {"log_keys": [old.verifier().vkey()]}})
    before = checkpoints.sign()
    changed = with_key(world, new)
    world.ask()
    assert changed.sign() == before
    # Two people name the new key; that they did stands in the log, which the old key covers.
    old_again = with_key(world, old)
    keys = [old.verifier().vkey(), new.verifier().vkey()]
    world.adopt(catalog=CATALOG | {"trust": {"log_keys": keys}})
    covered = old_again.sign()
    after = with_key(world, new)
    world.ask("dave")
    note = after.sign()
    assert covered is not None
    assert note is not None
    assert (
        open_checkpoint(note.encode(), [new.verifier()]).checkpoint.size
        > open_checkpoint(covered.encode(), [old.verifier()]).checkpoint.size
    )
