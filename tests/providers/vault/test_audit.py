"""OpenBao's audit device, as the real server writes it: what is matched to leases, and that it holds no secret of theirs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hvac.exceptions import Forbidden, InternalServerError, InvalidRequest
from tests.servers import Stack, order, ref_of

from countersign.domain.entitlement import Delivery
from countersign.domain.records import Act, Outcome, Record
from countersign.providers.followed_file import UNREADABLE
from countersign.providers.vault.audit import OpenBaoAudit, record_of


class Follower:
    """Follows the stack's audit device from now on."""

    def __init__(self, stack: Stack) -> None:
        self.source = OpenBaoAudit(stack.openbao.audit_log)
        self.cursor: Mapping[str, Any] = self.source.begin()

    def read(self, lease_id: str | None = None) -> list[Record]:
        batch = self.source.read(self.cursor, [])
        assert not batch.gaps
        self.cursor = batch.cursor
        return [record for record in batch.records if lease_id is None or record.lease_id == lease_id]


def scoped(stack: Stack, **more: Any) -> Any:  # noqa: ANN401 -- fields of Order
    target = {"id": "kv", "provider": "vault", "kind": "openbao", "settings": {}}
    return order(stack, target=target, grants={"policies": ["countersign-path-orders-config"]}, **more)


def test_a_draw_is_one_read_that_names_its_lease_and_a_second_one_is_told_apart(openbao_stack: Stack) -> None:
    follower, provider = Follower(openbao_stack), openbao_stack.provider()
    made = order(openbao_stack)
    reservation = provider.reserve(made)
    issued = provider.issue(reservation)
    reads = [record for record in follower.read(made.lease_id) if record.act is Act.READ]
    assert [(r.outcome, r.what, r.place) for r in reads] == [
        (Outcome.DONE, "read database/creds/orders-ro", "database")
    ]
    thief = openbao_stack.openbao.client(reservation.secret.token)
    with pytest.raises(InternalServerError):
        thief.read("database/creds/orders-ro")
    with pytest.raises(Forbidden):
        thief.read("database/creds/orders-rw")
    again = follower.read(made.lease_id)
    assert [(r.act, r.outcome) for r in again] == [(Act.READ, Outcome.FAILED), (Act.READ, Outcome.REFUSED)]
    assert len({record.mark for record in (*reads, *again)}) == 3
    provider.end(ref_of(reservation, issued))


def test_a_wrapped_delivery_is_known_by_its_pseudonym_when_it_is_opened_and_opened_again(openbao_stack: Stack) -> None:
    follower, provider = Follower(openbao_stack), openbao_stack.provider()
    made = order(openbao_stack, delivery=Delivery.WRAPPED)
    reservation = provider.reserve(made)
    issued = provider.issue(reservation)
    [read] = [record for record in follower.read(made.lease_id) if record.act is Act.READ]
    assert read.wrapping is not None
    holder = openbao_stack.openbao.client(issued.credential.fields["token"])
    holder.sys.unwrap()
    with pytest.raises(InvalidRequest):
        holder.sys.unwrap()
    opened, failed = [record for record in follower.read() if record.act is Act.DELIVERY]
    assert (opened.outcome, failed.outcome) == (Outcome.DONE, Outcome.FAILED)
    assert opened.wrapping == failed.wrapping == read.wrapping
    provider.end(ref_of(reservation, issued))


@pytest.mark.parametrize("error", [None, "wrapping token is not valid or does not exist"])
def test_a_wrapping_that_another_caller_names_in_the_body_is_the_one_that_counts(error: str | None) -> None:
    entry = {
        "type": "request" if error else "response",
        "time": "2026-11-23T03:02:39.601549764Z",
        "auth": {"client_token": "hmac-sha256:caller", "display_name": "token-lse-aaaaaaaaaaaaaaaa", "token_ttl": 9},
        "request": {"id": "1", "path": "sys/wrapping/unwrap", "data": {"token": "hmac-sha256:wrapping"}},
    } | ({"error": error} if error else {})
    record = record_of(json.dumps(entry).encode())
    assert record is not None
    assert (record.wrapping, record.lease_id) == ("hmac-sha256:wrapping", None)


def test_every_use_of_a_scoped_token_names_its_lease_and_whether_it_was_refused(openbao_stack: Stack) -> None:
    follower, provider = Follower(openbao_stack), openbao_stack.provider()
    made = scoped(openbao_stack)
    reservation = provider.reserve(made)
    issued = provider.issue(reservation)
    holder = openbao_stack.openbao.client(issued.credential.fields["token"])
    holder.read("kv/data/orders/config")
    with pytest.raises(Forbidden):
        holder.read("kv/data/payroll")
    used = [record for record in follower.read(made.lease_id) if record.act is Act.USE]
    assert [(record.what, record.outcome) for record in used] == [
        ("read kv/data/orders/config", Outcome.DONE),
        ("read kv/data/payroll", Outcome.REFUSED),
    ]
    provider.end(ref_of(reservation, issued))


def test_nothing_of_ours_in_the_audit_file_is_a_secret_and_records_show_none(openbao_stack: Stack) -> None:
    follower, provider = Follower(openbao_stack), openbao_stack.provider()
    made = order(openbao_stack)
    reservation = provider.reserve(made)
    issued = provider.issue(reservation)
    secrets = [issued.credential.fields["password"], reservation.secret.token, reservation.secret.accessor]
    text = openbao_stack.openbao.audit_log.read_text(encoding="utf-8")
    assert not [secret for secret in secrets if secret in text]
    assert not [secret for secret in secrets if secret in repr(follower.read())]
    assert openbao_stack.openbao.audit_log.stat().st_mode & 0o777 == 0o600
    provider.end(ref_of(reservation, issued))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"type":"response"}',
        b'{"type":"other","request":{"path":"sys/health"}}',
        b'{"type":"response","time":"yesterday","request":{"path":"sys/wrapping/unwrap"}}',
        b'{"type":"response","time":"2026-11-23T03:02:39","request":{"path":"sys/wrapping/unwrap"}}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_what_is_no_entry_is_counted_as_unread(line: bytes) -> None:
    with pytest.raises(UNREADABLE):
        record_of(line)


def test_a_hostile_path_stays_on_one_short_line() -> None:
    path = "kv/data/\n\x1b[31m" + "x" * 5000 + "\N{RIGHT-TO-LEFT OVERRIDE}"
    entry = {
        "type": "response",
        "time": "2026-11-23T03:02:39.601549764Z",
        "auth": {"display_name": "token-lse-aaaaaaaaaaaaaaaa"},
        "request": {"id": "1", "operation": "read", "path": path},
    }
    record = record_of(json.dumps(entry).encode())
    assert record is not None
    assert len(record.what) <= 200
    assert record.what.isprintable()
    assert record.what.isascii()


def test_an_application_s_own_read_at_the_engine_names_no_lease() -> None:
    entry = {
        "type": "response",
        "time": "2026-11-23T03:02:39Z",
        "auth": {"display_name": "approle", "policies": ["reports"]},
        "request": {"id": "1", "operation": "read", "path": "database/creds/orders-ro", "mount_type": "database"},
        "response": {"secret": {"lease_id": "database/creds/orders-ro/abc"}},
    }
    record = record_of(json.dumps(entry).encode())
    assert record is not None
    assert (record.lease_id, record.place) == (None, "database")
