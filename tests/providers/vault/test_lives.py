"""Whole lives of credentials on a real OpenBao and PostgreSQL: made, used, ended, and seen to be dead beside a sibling."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import hvac
import psycopg
import pytest
from hvac.exceptions import InvalidPath, InvalidRequest
from tests.servers import Stack, now, order, ref_of

from countersign.domain.entitlement import Delivery
from countersign.domain.lease import Evidence, Standing
from countersign.providers.base import Away, Credential, Declined, Issued, LeaseRef, OutcomeUnknown, Stray, Unfit
from countersign.providers.vault import VaultProvider

pytestmark = pytest.mark.slow


@pytest.fixture
def provider(openbao_stack: Stack) -> Iterator[VaultProvider]:
    made = openbao_stack.provider()
    yield made
    for stray in made.roll_call([openbao_stack.target()]):
        made.end_stray(stray)
    made.close()


def draw(stack: Stack, provider: VaultProvider, **changes: Any) -> tuple[Issued, LeaseRef]:  # noqa: ANN401 -- as `order`
    reservation = provider.reserve(order(stack, **changes))
    issued = provider.issue(reservation)
    return issued, ref_of(reservation, issued)


def unwrap(stack: Stack, credential: Credential) -> dict[str, Any]:
    """Do what the requester's client does."""
    opened = stack.openbao.client(credential.fields["token"]).sys.unwrap()
    return dict(opened)


def standing(provider: VaultProvider, ref: LeaseRef) -> Standing:
    return provider.look([ref])[ref.lease_id].standing


def is_dead(session: psycopg.Connection[Any]) -> bool:
    try:
        session.execute("SELECT 1")
    except psycopg.OperationalError:
        return True
    return False


def test_a_direct_login_works_is_cut_when_ended_and_leaves_its_sibling_alone(
    openbao_stack: Stack, provider: VaultProvider
) -> None:
    issued, ref = draw(openbao_stack, provider)
    sibling, sibling_ref = draw(openbao_stack, provider)
    fields = issued.credential.fields
    assert issued.credential.kind == "postgresql"
    assert fields["username"] == ref.lease_id
    assert fields["password"] not in fields["dsn"]
    session, other = openbao_stack.login(issued), openbao_stack.login(sibling)
    session.execute("SET ROLE orders_ro")
    assert session.execute("SELECT count(*) FROM orders").fetchone() == (3,)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        session.execute("DELETE FROM orders")
    alive = provider.look([ref])[ref.lease_id]
    assert (alive.standing, alive.seen["sessions"], alive.seen["role"]) == (Standing.LIVE, 1, "login")
    assert "last_activity" in alive.seen

    answer = provider.end(ref)

    assert answer.said["close"] == "closed"
    assert answer.said["end"] == "dropped"
    assert answer.said["token"] == "revoked"
    dead = provider.look([ref])[ref.lease_id]
    assert (dead.standing, dead.evidence) == (Standing.GONE, Evidence.OBSERVED)
    assert dead.seen == {"role": "absent", "sessions": 0, "token": "gone"}
    assert is_dead(session)
    with pytest.raises(psycopg.OperationalError):
        openbao_stack.login(issued)
    assert other.execute("SELECT count(*) FROM orders").fetchone() == (3,)
    openbao_stack.login(sibling).close()
    assert standing(provider, sibling_ref) is Standing.LIVE
    other.close()
    provider.end(sibling_ref)


def test_a_wrapped_login_is_opened_by_the_requester_once_and_ends_the_same(
    openbao_stack: Stack, provider: VaultProvider
) -> None:
    issued, ref = draw(openbao_stack, provider, delivery=Delivery.WRAPPED)
    fields = issued.credential.fields
    assert issued.credential.kind == "wrapped"
    assert (fields["of"], fields["ttl_s"], fields["dbname"]) == ("postgresql", 60, "orders")
    assert fields["unwrap"] == f"POST {openbao_stack.openbao.address}/v1/sys/wrapping/unwrap"
    assert provider.received(ref) is False
    assert issued.receipt_due is not None
    assert timedelta(seconds=55) < issued.receipt_due - now() <= timedelta(seconds=60)
    secret = unwrap(openbao_stack, issued.credential)["data"]
    assert provider.received(ref) is True
    with pytest.raises(InvalidRequest):
        unwrap(openbao_stack, issued.credential)
    assert secret["username"] == ref.lease_id
    session = openbao_stack.login_as(secret["username"], secret["password"])
    session.execute("SET ROLE orders_ro")
    provider.end(ref)
    assert is_dead(session)
    assert standing(provider, ref) is Standing.GONE


def texts_in_memory() -> set[str]:
    """Return every text and byte string that something in this process holds."""
    gc.collect()
    held: list[object] = gc.get_referents(*gc.get_objects())
    found: set[str] = set()
    while held:
        thing = held.pop()
        if isinstance(thing, (str, bytes)) and 20 <= len(thing) < 100_000:
            found.add(thing if isinstance(thing, str) else thing.decode("latin-1"))
        elif isinstance(thing, (dict, tuple)) and not gc.is_tracked(thing):  # holds nothing but plain values
            held += gc.get_referents(thing)
    return found


def test_the_password_of_a_wrapped_login_is_nowhere_in_the_broker_nor_in_any_log(
    openbao_stack: Stack, provider: VaultProvider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    issued, ref = draw(openbao_stack, provider, delivery=Delivery.WRAPPED)
    fields = dict(issued.credential.fields)
    seen_by_broker = texts_in_memory()
    password = unwrap(openbao_stack, issued.credential)["data"]["password"]
    assert len(password) >= 20
    assert fields["token"] in seen_by_broker
    assert not any(password in text for text in seen_by_broker)
    assert password not in caplog.text
    assert password not in repr(fields) + repr(issued) + repr(ref)
    assert password not in openbao_stack.openbao.audit_log.read_text()
    provider.end(ref)


def test_an_unopened_wrapping_is_worth_nothing_after_the_end(openbao_stack: Stack, provider: VaultProvider) -> None:
    issued, ref = draw(openbao_stack, provider, delivery=Delivery.WRAPPED)
    assert provider.end(ref).said["wrapping"] == "revoked"
    with pytest.raises(InvalidRequest):
        unwrap(openbao_stack, issued.credential)
    assert standing(provider, ref) is Standing.GONE


def test_nothing_that_is_printed_or_logged_holds_a_secret(openbao_stack: Stack, provider: VaultProvider) -> None:
    for delivery in Delivery:
        reservation = provider.reserve(order(openbao_stack, delivery=delivery))
        issued = provider.issue(reservation)
        secrets = [issued.credential.fields.get("password"), issued.credential.fields.get("token")]
        secrets += [reservation.secret.token, openbao_stack.vault.secret_id]
        shown = repr([reservation, issued, reservation.handle, issued.handle, issued.details, provider, vars(provider)])
        assert not [secret for secret in secrets if secret and secret in shown]
        provider.end(ref_of(reservation, issued))


def test_the_role_s_last_second_is_the_promised_one_and_refuses_natively(
    openbao_stack: Stack, provider: VaultProvider
) -> None:
    issued, ref = draw(openbao_stack, provider, seconds=1.5)
    openbao_stack.login(issued).close()
    seen = provider.look([ref])[ref.lease_id].seen["valid_until"]
    assert seen == issued.details["valid_until"]
    time.sleep(max(0, (ref.not_after - now()).total_seconds()) + 0.1)
    with pytest.raises(psycopg.OperationalError):
        openbao_stack.login(issued)
    provider.end(ref)


def test_with_nobody_sweeping_openbao_s_own_backstop_ends_login_and_session(
    openbao_stack: Stack, provider: VaultProvider
) -> None:
    issued, ref = draw(openbao_stack, provider, seconds=1, backstop=1.5)
    session = openbao_stack.login(issued)
    session.execute("SET ROLE orders_ro")
    time.sleep(max(0, (ref.not_after - now()).total_seconds()) + 0.2)
    assert not is_dead(session)
    deadline = time.monotonic() + 4
    while standing(provider, ref) is not Standing.GONE and time.monotonic() < deadline:
        time.sleep(0.05)
    assert standing(provider, ref) is Standing.GONE
    assert now() < ref.backstop_at + timedelta(seconds=2)
    assert is_dead(session)


def test_one_lease_is_one_read_a_second_one_makes_nothing(openbao_stack: Stack, provider: VaultProvider) -> None:
    reservation = provider.reserve(order(openbao_stack))
    issued = provider.issue(reservation)
    with pytest.raises(OutcomeUnknown):
        provider.issue(reservation)
    assert [s.lease_id for s in provider.roll_call([openbao_stack.target()]) if s.ref["kind"] == "role"] == [
        reservation.order.lease_id
    ]
    provider.end(ref_of(reservation, issued))


def test_a_revoked_reservation_can_no_longer_be_issued(openbao_stack: Stack, provider: VaultProvider) -> None:
    reservation = provider.reserve(order(openbao_stack))
    ref = ref_of(reservation)
    assert standing(provider, ref) is Standing.LIVE
    assert provider.end(ref).said["token"] == "revoked"
    assert standing(provider, ref) is Standing.GONE
    with pytest.raises(Declined):
        provider.issue(reservation)
    assert standing(provider, ref) is Standing.GONE


def test_a_crash_that_lost_the_handle_is_ended_by_what_the_token_bears(
    openbao_stack: Stack, provider: VaultProvider
) -> None:
    for is_issued in (False, True):
        reservation = provider.reserve(order(openbao_stack))
        issued = provider.issue(reservation) if is_issued else None
        bare = ref_of(reservation, handle={})
        restarted = openbao_stack.provider()
        assert standing(restarted, bare) is Standing.LIVE
        assert restarted.end(bare).said["token"] == "revoked"
        assert standing(restarted, bare) is Standing.GONE
        if issued is not None:
            with pytest.raises(psycopg.OperationalError):
                openbao_stack.login(issued)
        restarted.close()


def test_ending_what_is_gone_or_never_was_succeeds(openbao_stack: Stack, provider: VaultProvider) -> None:
    _, ref = draw(openbao_stack, provider)
    first, again = provider.end(ref), provider.end(ref)
    assert first.said["token"] == "revoked"
    assert again.said == {"close": "absent", "end": "absent", "sessions_left": 0, "token": "absent"}
    never = order(openbao_stack)
    unborn = LeaseRef(
        lease_id=never.lease_id,
        provider="vault",
        target=never.target,
        handle={},
        prepared_at=never.now,
        not_after=never.not_after,
        backstop_at=never.backstop_at,
    )
    assert provider.end(unborn).said["token"] == "absent"
    assert standing(provider, unborn) is Standing.GONE


def test_a_role_that_owns_objects_is_denied_and_then_still_on_the_roll(
    openbao_stack: Stack, provider: VaultProvider
) -> None:
    issued, ref = draw(openbao_stack, provider)
    with openbao_stack.login(issued) as session:
        (oid,) = session.execute("SELECT lo_create(0)").fetchone() or (None,)
    assert provider.end(ref).said["end"] == "owns-objects"
    seen = provider.look([ref])[ref.lease_id]
    assert (seen.standing, seen.seen["role"]) == (Standing.DENIED, "nologin")
    (stray,) = [s for s in provider.roll_call([openbao_stack.target()]) if s.lease_id == ref.lease_id]
    assert (stray.place, stray.ref["can_login"]) == ("postgresql role", False)
    with openbao_stack.owner() as owner:
        owner.execute("SELECT lo_unlink(%s)", [oid])
    assert provider.end_stray(stray).said["end"] in {"dropped", "absent"}  # OpenBao may be dropping it too
    assert standing(provider, ref) is Standing.GONE


def test_a_role_that_outlived_openbao_s_memory_of_it_is_found_by_name_and_ended(
    openbao_stack: Stack, provider: VaultProvider
) -> None:
    name = order(openbao_stack).lease_id
    with openbao_stack.owner() as owner:
        owner.execute("SET ROLE bao_admin")
        owner.execute(f"CREATE ROLE \"{name}\" LOGIN PASSWORD 'throwaway' IN ROLE orders_ro")
    session = openbao_stack.login_as(name, "throwaway")
    (stray,) = list(provider.roll_call([openbao_stack.target()]))
    assert (stray.lease_id, stray.target, stray.place) == (name, "orders-db", "postgresql role")
    assert stray.ref["sessions"] == 1
    assert provider.end_stray(stray).said == {"close": "closed", "end": "dropped", "sessions_left": 0}
    assert is_dead(session)
    assert list(provider.roll_call([openbao_stack.target()])) == []


def test_the_sessions_of_a_role_dropped_by_somebody_else_keep_the_lease_alive_until_cut(
    openbao_stack: Stack, provider: VaultProvider
) -> None:
    issued, ref = draw(openbao_stack, provider)
    session = openbao_stack.login(issued)
    with openbao_stack.owner() as owner:
        owner.execute(f'DROP ROLE "{ref.lease_id}"')
    seen = provider.look([ref])[ref.lease_id]
    assert (seen.standing, seen.seen["role"], seen.seen["sessions"]) == (Standing.LIVE, "absent", 1)
    strays = [stray for stray in provider.roll_call([openbao_stack.target()]) if stray.ref["kind"] == "dangling"]
    assert [(s.lease_id, s.place) for s in strays] == [(ref.lease_id, "postgresql session of a dropped role")]
    assert provider.end(ref).said["end"] == "absent"
    assert is_dead(session)
    assert standing(provider, ref) is Standing.GONE


def test_a_session_of_a_dropped_role_that_nobody_remembers_is_no_proof_of_death_until_it_is_cut(
    openbao_stack: Stack, provider: VaultProvider
) -> None:
    issued, ref = draw(openbao_stack, provider)
    session = openbao_stack.login(issued)
    with openbao_stack.owner() as owner:
        owner.execute(f'DROP ROLE "{ref.lease_id}"')
        owner.execute("DELETE FROM countersign.aligned_roles")
    provider.end(LeaseRef(**{**vars(ref), "handle": {}}))
    forgotten = LeaseRef(**{**vars(ref), "handle": {"accessor": ref.handle["accessor"]}})
    assert standing(provider, forgotten) is Standing.UNKNOWN
    (stray,) = provider.roll_call([openbao_stack.target()])
    assert provider.end_stray(stray).said == {"sessions_left": 0}
    assert is_dead(session)
    assert standing(provider, forgotten) is Standing.GONE


def test_tokens_of_the_token_role_are_on_the_roll_with_what_they_bear(
    openbao_stack: Stack, provider: VaultProvider
) -> None:
    reservation = provider.reserve(order(openbao_stack))
    (stray,) = list(openbao_stack.provider().roll_call([]))
    assert stray == Stray(
        lease_id=reservation.order.lease_id,
        target="orders-db",
        place="openbao token",
        ref={"kind": "token", "accessor": reservation.handle["accessor"]},
    )
    assert provider.end_stray(stray).said == {"token": "revoked"}
    assert list(provider.roll_call([])) == []


def test_twenty_leases_are_judged_apart_in_one_look(openbao_stack: Stack, provider: VaultProvider) -> None:
    refs = [draw(openbao_stack, provider)[1] for _ in range(20)]
    for ref in refs[::2]:
        provider.end(ref)
    seen = provider.look(refs)
    assert [seen[ref.lease_id].standing for ref in refs] == [Standing.GONE, Standing.LIVE] * 10
    for ref in refs[1::2]:
        provider.end(ref)


def test_what_was_made_must_be_what_was_approved(openbao_stack: Stack, provider: VaultProvider) -> None:
    for grants in (
        {"role": "orders-rw", "member_of": ["orders_ro"]},
        {"role": "orders-ro", "connection_limit": 1},
    ):
        reservation = provider.reserve(order(openbao_stack, grants=grants))
        with pytest.raises(OutcomeUnknown, match="approved"):
            provider.issue(reservation)
        provider.end(ref_of(reservation))
        assert standing(provider, ref_of(reservation)) is Standing.GONE
    issued, ref = draw(
        openbao_stack, provider, grants={"role": "orders-rw", "member_of": ["orders_rw"], "connection_limit": 5}
    )
    assert issued.details["member_of"] == ["orders_rw"]
    provider.end(ref)


def test_a_role_without_a_policy_is_declined_and_an_unknown_target_is_unfit(
    openbao_stack: Stack, provider: VaultProvider
) -> None:
    reservation = provider.reserve(order(openbao_stack, grants={"role": "nobody-made-this"}))
    with pytest.raises(Declined, match="403"):
        provider.issue(reservation)
    provider.end(ref_of(reservation))
    with pytest.raises(Unfit) as refusal:
        provider.reserve(order(openbao_stack, target={**openbao_stack.target(), "id": "elsewhere"}))
    assert refusal.value.field == "target.id"
    assert list(provider.roll_call([openbao_stack.target()])) == []


def test_a_window_beyond_the_token_role_s_cap_is_unfit_and_leaves_nothing(
    openbao_stack: Stack, provider: VaultProvider
) -> None:
    with pytest.raises(Unfit) as refusal:
        provider.reserve(order(openbao_stack, seconds=13 * 3600))
    assert refusal.value.field == "duration_s"
    with pytest.raises(Declined, match="over"):
        provider.reserve(order(openbao_stack, seconds=-60))
    assert list(provider.roll_call([openbao_stack.target()])) == []


SCOPED = {"policies": ["countersign-path-orders-config"], "paths": [{"path": "kv/data/orders/config", "engine": "kv"}]}


def scoped(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 -- fields of Order
    target = {"id": "openbao", "provider": "vault", "kind": "openbao", "settings": {}}
    return {"target": target, "grants": SCOPED, **changes}


def read_config(stack: Stack, token: str) -> Any:  # noqa: ANN401 -- untyped JSON
    return stack.openbao.client(token).read("kv/data/orders/config")["data"]["data"]


@pytest.mark.parametrize("delivery", list(Delivery))
def test_a_scoped_token_reads_its_path_and_no_other_and_ends(
    openbao_stack: Stack, provider: VaultProvider, delivery: Delivery
) -> None:
    issued, ref = draw(openbao_stack, provider, **scoped(delivery=delivery))
    sibling, sibling_ref = draw(openbao_stack, provider, **scoped())
    if delivery is Delivery.WRAPPED:
        assert (issued.credential.kind, issued.credential.fields["of"]) == ("wrapped", "openbao-token")
        assert provider.received(ref) is False
        token = unwrap(openbao_stack, issued.credential)["auth"]["client_token"]
        assert provider.received(ref) is True
    else:
        assert issued.credential.kind == "openbao-token"
        token = issued.credential.fields["token"]
    assert issued.expires_at <= ref.not_after
    assert read_config(openbao_stack, token)["region"] == "north"
    for path in ("kv/data/orders/other", "database/creds/orders-ro", "sys/policies/acl/root"):
        with pytest.raises(hvac.exceptions.Forbidden):
            openbao_stack.openbao.client(token).read(path)
    assert standing(provider, ref) is Standing.LIVE
    assert provider.end(ref).said["token"] == "revoked"
    assert standing(provider, ref) is Standing.GONE
    with pytest.raises(hvac.exceptions.Forbidden):
        read_config(openbao_stack, token)
    assert read_config(openbao_stack, sibling.credential.fields["token"])["region"] == "north"
    provider.end(sibling_ref)


def test_a_scoped_token_ends_natively_at_the_promised_second(openbao_stack: Stack, provider: VaultProvider) -> None:
    issued, ref = draw(openbao_stack, provider, **scoped(seconds=2.2))
    token = issued.credential.fields["token"]
    assert read_config(openbao_stack, token)["region"] == "north"
    time.sleep(max(0, (ref.not_after - now()).total_seconds()))
    with pytest.raises(hvac.exceptions.Forbidden):
        read_config(openbao_stack, token)
    assert standing(provider, ref) is Standing.GONE


def test_a_wrapping_whose_time_is_over_tells_nothing_of_its_receipt(openbao_stack: Stack) -> None:
    provider = openbao_stack.provider(wrap_ttl_s=1)
    issued, ref = draw(openbao_stack, provider, delivery=Delivery.WRAPPED)
    assert issued.credential.fields["ttl_s"] == 1
    expired = LeaseRef(**{**vars(ref), "handle": {**ref.handle, "wrapped_until": "2020-01-01T00:00:00.000Z"}})
    provider.end(ref)
    assert provider.received(expired) is None
    direct, direct_ref = draw(openbao_stack, provider)
    assert direct.receipt_due is None
    assert provider.received(direct_ref) is None
    provider.end(direct_ref)


def test_strays_that_no_provider_could_end_are_refused(provider: VaultProvider) -> None:
    for target, ref in (("elsewhere", {"kind": "role"}), ("orders-db", {"kind": "moon"})):
        with pytest.raises(Away):
            provider.end_stray(Stray(lease_id="lse_abcdefghij234567", target=target, place="?", ref=ref))


def test_the_root_token_that_provisioned_it_all_is_gone(openbao_stack: Stack) -> None:
    client = openbao_stack.openbao.client(openbao_stack.vault.inspect_token)
    accessors = client.adapter.request("list", "/v1/auth/token/accessors")["data"]["keys"]
    policies = []
    for accessor in accessors:
        try:
            policies += client.auth.token.lookup_accessor(accessor)["data"]["policies"]
        except (InvalidRequest, InvalidPath):
            continue
    assert "root" not in policies
    with pytest.raises(hvac.exceptions.Forbidden):
        client.auth.token.revoke_accessor(accessors[0])
