"""An OpenBao that lies, redirects, drips or breaks off: what is made of its answers, and that the truth is found anyway."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from tests.providers.vault.proxy import Body, Lie, Proxy, proxy_to
from tests.servers import Stack, order, ref_of

from countersign.domain.entitlement import Delivery
from countersign.domain.lease import Standing
from countersign.providers.base import Away, Declined, OutcomeUnknown, Unfit
from countersign.providers.vault import VaultProvider

CREDS, UNWRAP, CREATE = "/creds/orders-ro", "/wrapping/unwrap", "/create/countersign"
REVOKE, LOOKUP, LIST, LOGIN = "/revoke-accessor", "/lookup-accessor", "/accessors", "/approle/login"


@pytest.fixture
def proxy(openbao_stack: Stack) -> Iterator[Proxy]:
    with proxy_to(openbao_stack.vault.address) as server:
        yield server


@pytest.fixture
def provider(openbao_stack: Stack, proxy: Proxy) -> Iterator[VaultProvider]:
    made = openbao_stack.provider(address=proxy.address)
    yield made
    made.close()
    honest = openbao_stack.provider()
    for stray in honest.roll_call([openbao_stack.target()]):
        honest.end_stray(stray)
    honest.close()


def put(*path: str, value: object) -> Callable[[Body], None]:
    """Return a twist that sets one value deep in an answer."""

    def twist(body: Body) -> None:
        inner: Any = body
        for key in path[:-1]:
            inner = (
                inner.setdefault(key, {}) if inner.get(key) is not None else inner.__setitem__(key, {}) or inner[key]
            )
        inner[path[-1]] = value

    return twist


def drip(handler: BaseHTTPRequestHandler) -> None:
    with suppress(OSError):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(200):
            handler.wfile.write(b" ")
            time.sleep(0.1)


def drip_headers(handler: BaseHTTPRequestHandler) -> None:
    with suppress(OSError):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        for _ in range(200):
            handler.wfile.write(b"x")
            time.sleep(0.1)


def break_off(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"data": {"username"')


def hang_up(_: BaseHTTPRequestHandler) -> None:
    """Write nothing at all."""


@pytest.mark.parametrize(
    "lie",
    [
        Lie(answer=(307, b""), headers={"Location": "/v1/database/config/orders"}),
        Lie(answer=(302, b""), headers={"Location": "https://example.invalid/"}),
        Lie(answer=(200, b"<html>hello</html>")),
        Lie(answer=(200, b"")),
        Lie(answer=(204, b"")),
        Lie(answer=(200, b"[]")),
        Lie(answer=(200, {"data": None})),
        Lie(answer=(500, {"errors": ["CREATE ROLE x PASSWORD 'hunter2hunter2'"]})),
        Lie(answer=(503, {"errors": ["Vault is sealed"]})),
        Lie(answer=(429, {})),
        Lie(twist=put("data", "username", value="postgres")),
        Lie(twist=put("data", "password", value="")),
        Lie(twist=put("data", "password", value=None)),
        Lie(twist=put("lease_duration", value=5)),
        Lie(twist=put("lease_duration", value="43200")),
        Lie(twist=put("lease_duration", value=None)),
        Lie(raw=break_off),
        Lie(raw=hang_up),
    ],
)
def test_an_odd_answer_to_the_read_is_unknown_and_the_role_it_may_have_made_is_ended(
    openbao_stack: Stack, proxy: Proxy, provider: VaultProvider, lie: Lie
) -> None:
    reservation = provider.reserve(order(openbao_stack))
    proxy.lies[CREDS] = lie
    with pytest.raises(OutcomeUnknown) as trouble:
        provider.issue(reservation)
    assert "hunter2" not in str(trouble.value)
    assert sum(CREDS in call for call in proxy.seen) == 1
    assert not any("config" in call for call in proxy.seen)
    ref = ref_of(reservation)
    provider.end(ref)
    assert provider.look([ref])[ref.lease_id].standing is Standing.GONE


@pytest.mark.parametrize(
    "lie",
    [
        Lie(twist=put("wrap_info", value=None)),
        Lie(twist=put("wrap_info", "ttl", value=600)),
        Lie(twist=put("wrap_info", "ttl", value=True)),
        Lie(twist=put("wrap_info", "token", value="")),
        Lie(twist=put("wrap_info", "accessor", value=None)),
        Lie(twist=put("wrap_info", "creation_path", value="database/creds/orders-rw")),
        Lie(twist=put("data", "password", value="in the clear")),
    ],
)
def test_an_answer_that_is_not_the_wrapping_asked_for_is_unknown(
    openbao_stack: Stack, proxy: Proxy, provider: VaultProvider, lie: Lie
) -> None:
    reservation = provider.reserve(order(openbao_stack, delivery=Delivery.WRAPPED))
    proxy.lies[CREDS] = lie
    with pytest.raises(OutcomeUnknown):
        provider.issue(reservation)
    provider.end(ref_of(reservation))


@pytest.mark.parametrize("raw", [drip, drip_headers])
def test_a_dripping_answer_is_given_up_in_time(
    openbao_stack: Stack, proxy: Proxy, provider: VaultProvider, raw: Callable[[BaseHTTPRequestHandler], None]
) -> None:
    reservation = provider.reserve(order(openbao_stack))
    proxy.lies[CREDS] = Lie(raw=raw)
    began = time.monotonic()
    with pytest.raises(OutcomeUnknown):
        provider.issue(reservation)
    assert 5 < time.monotonic() - began < 7
    provider.end(ref_of(reservation))


def test_a_plain_no_is_declined_without_its_text(openbao_stack: Stack, proxy: Proxy, provider: VaultProvider) -> None:
    reservation = provider.reserve(order(openbao_stack))
    proxy.lies[CREDS] = Lie(answer=(400, {"errors": ["PASSWORD 'hunter2hunter2'"]}))
    with pytest.raises(Declined) as refusal:
        provider.issue(reservation)
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize(
    ("lie", "trouble"),
    [
        (put("auth", "lease_duration", value=86400), Declined),
        (put("auth", "lease_duration", value=5), Unfit),
        (put("auth", "token_policies", value=["root"]), Declined),
        (put("auth", "renewable", value=True), Declined),
        (put("auth", "orphan", value=False), Declined),
        (put("auth", "accessor", value="another"), Declined),
        (put("auth", "client_token", value=None), Declined),
    ],
)
def test_another_token_than_was_asked_for_is_revoked_before_anything_is_read_with_it(
    openbao_stack: Stack, proxy: Proxy, provider: VaultProvider, lie: Callable[[Body], None], trouble: type[Exception]
) -> None:
    proxy.lies[UNWRAP] = Lie(twist=lie)
    with pytest.raises(trouble):
        provider.reserve(order(openbao_stack))
    assert list(openbao_stack.provider().roll_call([openbao_stack.target()])) == []


@pytest.mark.parametrize("path", [LOGIN, CREATE, UNWRAP])
@pytest.mark.parametrize(
    "lie",
    [
        Lie(answer=(307, b""), headers={"Location": "/v1/sys/seal"}),
        Lie(answer=(200, b"not json")),
        Lie(answer=(503, {})),
        Lie(raw=hang_up),
    ],
)
def test_trouble_before_the_read_is_away_and_follows_no_redirect(
    openbao_stack: Stack, proxy: Proxy, provider: VaultProvider, path: str, lie: Lie
) -> None:
    proxy.lies[path] = lie
    with pytest.raises(Away):
        provider.reserve(order(openbao_stack))
    assert not any("seal" in call for call in proxy.seen)
    assert sum(path in call for call in proxy.seen) == 1


def test_a_login_that_is_refused_is_away_and_tells_no_secret(
    openbao_stack: Stack, proxy: Proxy, provider: VaultProvider
) -> None:
    proxy.lies[LOGIN] = Lie(answer=(400, {"errors": ["invalid role or secret ID"]}))
    with pytest.raises(Away) as trouble:
        provider.reserve(order(openbao_stack))
    assert openbao_stack.vault.secret_id not in str(trouble.value)


def test_a_403_leads_to_one_new_login_and_then_to_away(
    openbao_stack: Stack, proxy: Proxy, provider: VaultProvider
) -> None:
    proxy.lies[CREATE] = Lie(answer=(403, {"errors": ["permission denied"]}))
    with pytest.raises(Away, match="policy"):
        provider.reserve(order(openbao_stack))
    assert [sum(path in call for call in proxy.seen) for path in (LOGIN, CREATE)] == [2, 2]


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        (Lie(answer=(204, b"")), "revoked"),
        (Lie(answer=(200, {"warnings": ["No token found with this accessor"]})), "absent"),
        (Lie(answer=(400, {"errors": ["invalid accessor"]})), "absent"),
    ],
)
def test_a_revocation_without_effect_is_not_taken_for_death(
    openbao_stack: Stack, proxy: Proxy, provider: VaultProvider, lie: Lie, said: str
) -> None:
    reservation = provider.reserve(order(openbao_stack))
    ref = ref_of(reservation, provider.issue(reservation))
    proxy.lies[REVOKE] = lie
    assert provider.end(ref).said["token"] == said
    seen = provider.look([ref])[ref.lease_id]
    assert (seen.standing, seen.seen["role"], seen.seen["token"]) == (Standing.LIVE, "absent", "live")
    del proxy.lies[REVOKE]
    provider.end(ref)
    assert provider.look([ref])[ref.lease_id].standing is Standing.GONE


@pytest.mark.parametrize(
    "lie",
    [
        Lie(answer=(200, {"data": {"accessor": "of somebody else"}})),
        Lie(answer=(200, {})),
        Lie(answer=(204, b"")),
        Lie(answer=(307, b""), headers={"Location": "/"}),
        Lie(raw=hang_up),
    ],
)
def test_a_look_that_is_answered_oddly_sees_nothing(
    openbao_stack: Stack, proxy: Proxy, provider: VaultProvider, lie: Lie
) -> None:
    reservation = provider.reserve(order(openbao_stack))
    ref = ref_of(reservation, provider.issue(reservation))
    provider.end(ref)
    proxy.lies[LOOKUP] = lie
    assert provider.look([ref])[ref.lease_id].standing is Standing.UNKNOWN


def test_a_listing_that_is_none_makes_the_roll_call_incomplete(
    openbao_stack: Stack, proxy: Proxy, provider: VaultProvider
) -> None:
    proxy.lies[LIST] = Lie(answer=(200, {"data": {}}))
    with pytest.raises(Away):
        list(provider.roll_call([openbao_stack.target()]))


def test_a_connection_that_died_while_idle_costs_no_draw(
    openbao_stack: Stack, proxy: Proxy, provider: VaultProvider
) -> None:
    proxy.lies[LOOKUP] = Lie(headers={"Connection": "close"})
    for _ in range(3):
        reservation = provider.reserve(order(openbao_stack))
        provider.issue(reservation)
        ref = ref_of(reservation)
        assert provider.look([ref])[ref.lease_id].standing is Standing.LIVE
        provider.end(ref)
