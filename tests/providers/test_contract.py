"""Every provider keeps the contract: the one in memory, OpenBao's three ways, AWS, and the example in the documentation."""

from __future__ import annotations

import importlib.util
import secrets
import socket
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import hvac
import psycopg
import pytest
from tests.aws_server import READ, Cloud, Drawn, running_cloud
from tests.aws_server import order as aws_order
from tests.aws_server import ref_of as aws_ref_of
from tests.providers import contract
from tests.providers.contract import ProviderContract
from tests.servers import Stack
from tests.servers import order as vault_order

from countersign.domain.entitlement import Delivery
from countersign.domain.ids import LEASE, RANDOM_BYTES, make_id
from countersign.domain.lease import Sighting, Standing
from countersign.providers.aws import AwsProvider
from countersign.providers.base import Answer, Credential, Issued, LeaseRef, Order, Provider, Reservation, Stray
from countersign.providers.fake import FakeProvider, FakeTarget, Fault
from countersign.providers.vault import AppRole, VaultProvider

ROOT = Path(__file__).parents[2]


def now() -> datetime:
    return datetime.now(UTC)


def sleep_until(moment: datetime) -> None:
    time.sleep(max(0.0, (moment - now()).total_seconds()) + 0.1)


@contextmanager
def nobody_listens() -> Iterator[int]:
    """Hand out a port of 127.0.0.1 that refuses connections for as long as the block lasts."""
    with closing(socket.socket()) as held:
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])


def plain_order(target: dict[str, Any], *, at: datetime, seconds: float) -> Order:
    return Order(
        lease_id=make_id(LEASE, secrets.token_bytes(RANDOM_BYTES)),
        grant_id="grt_aaaaaaaaaaaaaaaa",
        request_id="req_aaaaaaaaaaaaaaaa",
        person="alice",
        entitlement="anything",
        target=target,
        grants={},
        parameters={},
        now=at,
        not_after=at + timedelta(seconds=seconds),
        backstop_at=at + timedelta(seconds=seconds),
        delivery=Delivery.DIRECT,
    )


@dataclass(kw_only=True)
class FakeRig:
    """The provider in memory, on a clock that is moved by hand."""

    at: datetime = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
    target: FakeTarget = field(default_factory=FakeTarget)
    lists_leases = True
    ends_reservations = True
    shortest_s = 60.0

    def provider(self) -> FakeProvider:
        return FakeProvider(clock=self.now, target=self.target)

    def order(self, *, seconds: float = 300) -> Order:
        return plain_order({"id": "memory", "provider": "fake", "kind": "memory"}, at=self.at, seconds=seconds)

    def works(self, credential: Credential) -> bool:
        return self.provider().works(credential.fields["username"])

    def now(self) -> datetime:
        return self.at

    def wait_until(self, moment: datetime) -> None:
        self.at = moment

    @contextmanager
    def away(self) -> Iterator[Provider]:
        cut_off = self.provider()
        cut_off.faults = dict.fromkeys(("reserve", "issue", "end", "look"), Fault.AWAY)
        yield cut_off


class TestFake(ProviderContract):
    @pytest.fixture
    def rig(self) -> FakeRig:
        return FakeRig()


@dataclass(kw_only=True)
class VaultRig:
    """OpenBao and PostgreSQL. What is wrapped can be opened once, so what came out of it is kept for the next try."""

    stack: Stack
    kind: str
    delivery: Delivery
    opened: dict[str, dict[str, Any]] = field(default_factory=dict)
    started: list[VaultProvider] = field(default_factory=list)
    lists_leases = True
    ends_reservations = True
    shortest_s = 3.0

    def provider(self) -> VaultProvider:
        self.started.append(self.stack.provider())
        return self.started[-1]

    def order(self, *, seconds: float = 300) -> Order:
        scoped = {
            "target": {"id": "openbao", "provider": "vault", "kind": "openbao", "settings": {}},
            "grants": {
                "policies": ["countersign-path-orders-config"],
                "paths": [{"path": "kv/data/orders/config", "engine": "kv"}],
            },
        }
        return vault_order(
            self.stack, seconds=seconds, delivery=self.delivery, **(scoped if self.kind == "scoped" else {})
        )

    def works(self, credential: Credential) -> bool:
        try:
            fields = self._opened(credential)
            if "client_token" in fields or "token" in fields:
                self.stack.openbao.client(fields.get("client_token") or fields["token"]).read("kv/data/orders/config")
            else:
                self.stack.login_as(fields["username"], fields["password"]).close()
        except (psycopg.OperationalError, hvac.exceptions.Forbidden, hvac.exceptions.InvalidRequest):
            return False
        return True

    def now(self) -> datetime:
        return now()

    def wait_until(self, moment: datetime) -> None:
        sleep_until(moment)

    @contextmanager
    def away(self) -> Iterator[Provider]:
        with nobody_listens() as port:
            cut_off = VaultProvider(
                address=f"http://127.0.0.1:{port}",
                login=AppRole(role_id="nobody", secret_id="nothing"),
                target_dsns={"orders-db": f"host=127.0.0.1 port={port} dbname=orders user=nobody password=nothing"},
                clock=now,
            )
            yield cut_off

    def _opened(self, credential: Credential) -> dict[str, Any]:
        fields = dict(credential.fields)
        if credential.kind != "wrapped":
            return fields
        token = fields["token"]
        if token not in self.opened:
            answer = self.stack.openbao.client(token).sys.unwrap()
            self.opened[token] = dict(answer.get("auth") or answer["data"])
        return self.opened[token]

    def clear(self) -> None:
        """Leave nothing to the tests that come after, and close what was opened."""
        sweeper = self.stack.provider()
        for stray in sweeper.roll_call([self.stack.target()]):
            sweeper.end_stray(stray)
        for provider in [*self.started, sweeper]:
            provider.close()


@pytest.mark.slow
class TestVault(ProviderContract):
    @pytest.fixture(
        params=[
            ("database", Delivery.DIRECT),
            ("database", Delivery.WRAPPED),
            ("scoped", Delivery.DIRECT),
            ("scoped", Delivery.WRAPPED),
        ],
        ids=["database-direct", "database-wrapped", "scoped-direct", "scoped-wrapped"],
    )
    def rig(self, request: pytest.FixtureRequest, openbao_stack: Stack) -> Iterator[VaultRig]:
        kind, delivery = request.param
        made = VaultRig(stack=openbao_stack, kind=kind, delivery=delivery)
        yield made
        made.clear()


@dataclass(kw_only=True)
class AwsRig:
    """AWS on an emulator that enforces IAM. It has no listing of sessions, and a reservation there is only arithmetic."""

    cloud: Cloud
    lists_leases = False
    ends_reservations = False
    shortest_s = 4.0

    def provider(self) -> AwsProvider:
        return self.cloud.provider()

    def order(self, *, seconds: float = 300) -> Order:
        return aws_order(self.cloud.target(), seconds=seconds)

    def works(self, credential: Credential) -> bool:
        made = self.order()
        issued = Issued(credential=credential, expires_at=made.not_after)
        return Drawn(order=made, issued=issued, ref=aws_ref_of(made)).read() == READ

    def now(self) -> datetime:
        return now()

    def wait_until(self, moment: datetime) -> None:
        sleep_until(moment)

    @contextmanager
    def away(self) -> Iterator[Provider]:
        with nobody_listens() as port:
            settings = replace(self.cloud.provisioned.settings, endpoint_url=f"http://127.0.0.1:{port}")
            yield AwsProvider(settings, now=now)


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("aws")) as started:
        yield started


@pytest.mark.slow
class TestAws(ProviderContract):
    @pytest.fixture
    def rig(self, cloud: Cloud) -> AwsRig:
        return AwsRig(cloud=cloud)


def example() -> ModuleType:
    """Load the example as whoever copies it would."""
    spec = importlib.util.spec_from_file_location("passwd_file", ROOT / "docs" / "examples" / "passwd_file.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["passwd_file"] = module
    spec.loader.exec_module(module)
    return module


EXAMPLE = example()


@dataclass(kw_only=True)
class PasswdRig:
    """The example, on a file of its own."""

    path: Path
    lists_leases = True
    ends_reservations = True
    shortest_s = 1.0

    def provider(self) -> Provider:
        made: Provider = EXAMPLE.PasswdFile(clock=now)
        return made

    def order(self, *, seconds: float = 300) -> Order:
        target = {"id": "files", "provider": "passwd", "kind": "passwd", "settings": {"path": str(self.path)}}
        return plain_order(target, at=now(), seconds=seconds)

    def works(self, credential: Credential) -> bool:
        fields = credential.fields
        return bool(EXAMPLE.may_log_in(self.path, fields["username"], fields["password"], now=now()))

    def now(self) -> datetime:
        return now()

    def wait_until(self, moment: datetime) -> None:
        sleep_until(moment)

    @contextmanager
    def away(self) -> Iterator[Provider]:
        elsewhere = self.path.with_name("unmounted")
        self.path.rename(elsewhere)
        try:
            yield self.provider()
        finally:
            elsewhere.rename(self.path)


class TestExample(ProviderContract):
    @pytest.fixture
    def rig(self, tmp_path: Path) -> PasswdRig:
        path = tmp_path / "passwd"
        path.touch(mode=0o600)
        return PasswdRig(path=path)


def test_the_example_is_no_longer_than_the_documentation_promises() -> None:
    assert len((ROOT / "docs" / "examples" / "passwd_file.py").read_text(encoding="utf-8").splitlines()) <= 150


class Forgetful(FakeProvider):
    """Says that it ended a lease, and did not."""

    def end(self, ref: LeaseRef) -> Answer:
        self.faults["end"] = Fault.LIES
        return super().end(ref)


class Talkative(FakeProvider):
    """Puts the secret where it is logged."""

    def issue(self, reservation: Reservation) -> Issued:
        issued = super().issue(reservation)
        return replace(issued, details={"login": issued.credential.fields["password"]})


class Credulous(FakeProvider):
    """Takes no answer for an end."""

    def look(self, refs: Sequence[LeaseRef]) -> Mapping[str, Sighting]:
        if self.faults.pop("look", None) is None:
            return super().look(refs)
        return {ref.lease_id: Sighting(standing=Standing.GONE, at=self.clock()) for ref in refs}


class Sweeping(FakeProvider):
    """Ends everybody's lease with one."""

    def end(self, ref: LeaseRef) -> Answer:
        self.target.live.clear()
        return super().end(ref)


class Unfenced(FakeProvider):
    """Issues under a handle that was revoked."""

    def issue(self, reservation: Reservation) -> Issued:
        self.target.fenced.clear()
        return super().issue(reservation)


class Endless(FakeProvider):
    """Makes credentials that do not end by themselves."""

    def issue(self, reservation: Reservation) -> Issued:
        later = reservation.order.backstop_at + timedelta(days=1)
        return super().issue(replace(reservation, order=replace(reservation.order, backstop_at=later)))


class Hoarding(FakeProvider):
    """Lists what is dead."""

    def roll_call(self, targets: Sequence[Mapping[str, Any]]) -> Iterable[Stray]:
        for lease_id in self.target.issued if targets else ():
            yield Stray(lease_id=lease_id, target="memory", place="memory", ref={"lease": lease_id})


@pytest.mark.parametrize(
    ("broken", "caught_by"),
    [
        (Forgetful, "test_what_is_issued_works_until_it_is_ended_and_its_sibling_after"),
        (Forgetful, "test_after_a_crash_the_committed_handle_is_enough"),
        (Talkative, "test_nothing_but_the_credential_holds_the_secret"),
        (Credulous, "test_a_look_never_raises_and_without_the_target_nothing_is_known"),
        (Sweeping, "test_what_is_issued_works_until_it_is_ended_and_its_sibling_after"),
        (Unfenced, "test_a_reservation_is_a_handle_and_nothing_usable"),
        (Endless, "test_it_ends_at_its_second_with_nobody_calling"),
        (Hoarding, "test_the_roll_holds_the_living_and_not_the_dead_and_strays_are_ended"),
    ],
)
def test_a_provider_that_breaks_the_contract_is_caught(
    broken: type[FakeProvider], caught_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contract, "DEATH_WITHIN_S", 0.1)

    class Rigged(FakeRig):
        def provider(self) -> FakeProvider:
            return broken(clock=self.now, target=self.target)

    rig = Rigged()
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        getattr(ProviderContract(), caught_by)(rig, *([] if "crash" in caught_by else [rig.provider()]))
