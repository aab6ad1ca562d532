"""A real IAM-enforcing AWS emulator for tests, provisioned as the embedded stack does it, and what a test does with it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from countersign.domain.entitlement import Delivery
from countersign.domain.ids import LEASE, REQUEST, make_id
from countersign.embedded.ministack import REGION, EmbeddedAws
from countersign.embedded.provision_aws import ProvisionedAws, provision
from countersign.providers.aws import AwsProvider
from countersign.providers.base import Issued, LeaseRef, Order

READ = "read"
INSIDE, BESIDE, SECRET = "2026/11/orders.csv", "2025/12/orders.csv", "2026/salaries.csv"
GRANTS: Mapping[str, Any] = {
    "statements": [{"actions": ["s3:GetObject"], "resources": ["arn:aws:s3:::orders-reports/{prefix}/*"]}]
}
ROLE = "arn:aws:iam::111122223333:role/countersign-target-reports"
TARGET: Mapping[str, Any] = {
    "id": "aws-reports",
    "provider": "aws",
    "kind": "aws-role",
    "settings": {"role_arn": ROLE, "account": "111122223333", "region": REGION},
}


def now() -> datetime:
    return datetime.now(UTC)


def order(target: Mapping[str, Any] = TARGET, **changes: Any) -> Order:  # noqa: ANN401 -- fields of Order, and seconds
    moment = changes.pop("now", None) or now()
    values: dict[str, Any] = {
        "lease_id": make_id(LEASE, secrets.token_bytes(10)),
        "grant_id": "grt_aaaaaaaaaaaaaaaa",
        "request_id": make_id(REQUEST, secrets.token_bytes(10)),
        "person": "alice",
        "entitlement": "reports-read",
        "target": target,
        "grants": GRANTS,
        "parameters": {"prefix": "2026"},
        "now": moment,
        "not_after": moment + timedelta(seconds=changes.pop("seconds", 300)),
        "backstop_at": moment + timedelta(seconds=900),
        "delivery": Delivery.DIRECT,
    }
    return Order(**{**values, **changes})


def ref_of(made: Order, handle: Mapping[str, Any] | None = None) -> LeaseRef:
    """Return the lease as the database knows it; without a handle, as a crash leaves it."""
    return LeaseRef(
        lease_id=made.lease_id,
        provider="aws",
        target=made.target,
        handle=handle or {},
        prepared_at=made.now,
        not_after=made.not_after,
        backstop_at=made.backstop_at,
    )


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """One lease as a test holds it."""

    order: Order
    issued: Issued
    ref: LeaseRef

    def client(self, service: str) -> Any:  # noqa: ANN401 -- boto3 clients have no types
        """Return what the requester has: unchanged boto3 with the keys that were handed over."""
        fields = self.issued.credential.fields
        return boto3.client(
            service,
            endpoint_url=fields["endpoint_url"],
            region_name=fields["region"],
            aws_access_key_id=fields["access_key_id"],
            aws_secret_access_key=fields["secret_access_key"],
            aws_session_token=fields["session_token"],
            config=Config(retries={"total_max_attempts": 1}, proxies={}, s3={"addressing_style": "path"}),
        )

    def read(self, key: str = INSIDE, bucket: str = "orders-reports") -> str:
        """Return `read`, or AWS's error code."""
        s3 = self.client("s3")
        return attempt(lambda: s3.get_object(Bucket=bucket, Key=key))


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """The emulator and what was provisioned in it."""

    aws: EmbeddedAws
    provisioned: ProvisionedAws

    def target(self, name: str = "reports", **settings: Any) -> dict[str, Any]:  # noqa: ANN401 -- settings of a target
        plain = self.provisioned.target(name)
        return {**plain, "settings": {**plain["settings"], **settings}}

    def provider(self, clock: Callable[[], datetime] = now) -> AwsProvider:
        return AwsProvider(self.provisioned.settings, now=clock)

    def draw(self, provider: AwsProvider, **changes: Any) -> Drawn:  # noqa: ANN401 -- fields of Order, and seconds
        made = order(**{"target": self.target(), **changes})
        reservation = provider.reserve(made)
        issued = provider.issue(reservation)
        return Drawn(order=made, issued=issued, ref=ref_of(made, {**reservation.handle, **issued.handle}))

    def admin(self, service: str) -> Any:  # noqa: ANN401 -- boto3 clients have no types
        return self._client(service, self.aws.admin_access_key_id, self.aws.admin_secret_access_key)

    def as_principal(self, part: str, service: str) -> Any:  # noqa: ANN401 -- as above
        """Return a client of the broker's own `assumer` or `revoker`."""
        principal = getattr(self.provisioned.settings, part)
        return self._client(service, principal.access_key_id, principal.secret_access_key)

    def _client(self, service: str, key: str | None, secret: str | None) -> Any:  # noqa: ANN401 -- as above
        return boto3.client(
            service,
            endpoint_url=self.aws.endpoint_url,
            region_name=REGION,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=Config(retries={"total_max_attempts": 1}, proxies={}, s3={"addressing_style": "path"}),
        )


def attempt(call: Callable[[], object]) -> str:
    """Return `read` where the call went through, else AWS's error code."""
    try:
        call()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return READ


@contextmanager
def running_cloud(folder: Path) -> Iterator[Cloud]:
    """Start and provision an emulator, and stop it at the end."""
    with EmbeddedAws(folder=folder) as aws:
        yield Cloud(aws=aws, provisioned=provision(aws))
