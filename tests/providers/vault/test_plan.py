from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from countersign.domain.entitlement import Delivery
from countersign.providers.base import Order, Unfit
from countersign.providers.vault.plan import DatabasePlan, ScopedPlan, plan, preview, seconds_until

NOW = datetime(2026, 11, 22, 22, 5, tzinfo=UTC)
SETTINGS = {"mount": "database", "host": "db.example", "port": 5432, "dbname": "orders"}


def order(
    *,
    kind: str = "postgresql",
    settings: object = None,
    grants: dict[str, Any] | None = None,
    parameters: dict[str, str] | None = None,
    backstop_s: float = 30,
    delivery: Delivery = Delivery.WRAPPED,
) -> Order:
    default = SETTINGS if kind == "postgresql" else {}
    return Order(
        lease_id="lse_abcdefghij234567",
        grant_id="grt_aaaaaaaaaaaaaaaa",
        request_id="req_aaaaaaaaaaaaaaaa",
        person="alice",
        entitlement="orders-db-read",
        target={"id": "t", "provider": "vault", "kind": kind, "settings": default if settings is None else settings},
        grants={"role": "orders-ro"} if grants is None else grants,
        parameters=parameters or {},
        now=NOW,
        not_after=NOW + timedelta(seconds=60),
        backstop_at=NOW + timedelta(seconds=60 + backstop_s),
        delivery=delivery,
    )


EVIL_NAMES = [
    "",
    ".",
    "..",
    "../config/pg",
    "creds/../config",
    "%2e%2e",
    "a%2fb",
    "a/b",
    "-a",
    "A",
    "a b",
    "a\n",
    "a\x00",
    "a?list=true",
    "a#",
    "a*",
    "a+",
    'a"',
    "a'",
    "a;",
    "{{a}}",
    "${a}",
    "ä",
    "\u212a",
    "a" * 64,
    "x" * 10_000,
    None,
    7,
    True,
    ["a"],
    {"a": "b"},
]


def refused_field(bad: Order) -> str | None:
    with pytest.raises(Unfit) as refusal:
        plan(bad)
    with pytest.raises(Unfit):
        preview(bad)
    return refusal.value.field


@pytest.mark.parametrize("name", EVIL_NAMES)
@pytest.mark.parametrize("key", ["mount", "host", "dbname"])
def test_an_evil_setting_is_refused_by_name(key: str, name: object) -> None:
    if key in {"dbname", "host"} and name in ("A", "-a", "a" * 64):
        return  # a letter is fine there; the rest is tried for all three
    assert refused_field(order(settings={**SETTINGS, key: name})) == f"target.settings.{key}"


@pytest.mark.parametrize("name", EVIL_NAMES)
def test_an_evil_role_or_policy_is_refused_by_name(name: object) -> None:
    if not isinstance(name, dict):
        assert refused_field(order(grants={"role": name})) == "grants.role"
        assert refused_field(order(kind="openbao", grants={"policies": [name]})) == "grants.policies"
    assert refused_field(order(grants={"role": "a", "member_of": [name, "/"]})) == "grants.member_of"


@pytest.mark.parametrize("port", [0, -1, 65536, "5432", True, 5432.0, None])
def test_a_port_is_a_whole_number_in_range(port: object) -> None:
    assert refused_field(order(settings={**SETTINGS, "port": port})) == "target.settings.port"


@pytest.mark.parametrize("limit", [0, -1, True, "5", 1.0])
def test_a_connection_limit_is_a_whole_number_from_one(limit: object) -> None:
    assert refused_field(order(grants={"role": "a", "connection_limit": limit})) == "grants.connection_limit"


@pytest.mark.parametrize("policy", ["root", "default", "countersign-broker", "countersign-db-direct-database-a", "a"])
def test_only_policies_made_for_scoped_tokens_can_be_named(policy: str) -> None:
    assert refused_field(order(kind="openbao", grants={"policies": [policy]})) == "grants.policies"


def test_what_is_not_known_is_refused_by_name() -> None:
    assert refused_field(order(settings={**SETTINGS, "sslmode": "off"})) == "target.settings.sslmode"
    assert refused_field(order(grants={"role": "a", "sql": "GRANT"})) == "grants.sql"
    assert refused_field(order(settings="x")) == "target.settings"
    assert refused_field(order(kind="mysql")) == "target.kind"
    assert refused_field(order(kind="openbao", grants={"policies": []})) == "grants.policies"
    assert refused_field(order(kind="openbao", grants={"policies": "countersign-path-a"})) == "grants.policies"
    assert refused_field(order(kind="openbao", settings={"x": 1}, grants={})) == "target.settings.x"
    assert refused_field(order(backstop_s=-1)) == "backstop_s"


def test_a_parameter_that_narrows_nothing_is_refused() -> None:
    assert refused_field(order(parameters={"table": "orders"})) == "parameters.table"


def test_a_parameter_selects_a_name_and_never_becomes_part_of_one() -> None:
    by_access = {"role": {"by": "access", "of": {"read": "orders-ro", "write": "orders-rw"}}}
    chosen = plan(order(grants=by_access, parameters={"access": "write"}))
    assert isinstance(chosen, DatabasePlan)
    assert chosen.role == "orders-rw"
    assert refused_field(order(grants=by_access, parameters={"access": "../config"})) == "parameters.access"
    assert refused_field(order(grants=by_access)) == "grants.role"
    evil = {"role": {"by": "access", "of": {"read": "../config"}}}
    assert refused_field(order(grants=evil, parameters={"access": "read"})) == "grants.role"


def test_the_child_token_s_policy_names_delivery_mount_and_role() -> None:
    wrapped, direct = plan(order()), plan(order(delivery=Delivery.DIRECT))
    assert isinstance(wrapped, DatabasePlan)
    assert isinstance(direct, DatabasePlan)
    assert wrapped.policy == "countersign-db-wrapped-database-orders-ro"
    assert direct.policy == "countersign-db-direct-database-orders-ro"
    assert wrapped.path == "database/creds/orders-ro"


def test_the_preview_of_a_login_says_what_it_may_do_and_what_outlives_the_end() -> None:
    shown = preview(order(grants={"role": "orders-ro", "member_of": ["orders_ro"], "connection_limit": 2}))
    assert shown.privileges == (
        "a new login role at database orders on db.example:5432, named by the lease, at most 2 sessions",
        "everything that orders_ro may do there, and nothing beside it",
    )
    assert shown.residual == ("with the broker down, sessions that are open at the end last up to 30 s longer",)
    assert shown.latest_end_after_not_after_s == 30
    assert preview(order(backstop_s=0.001)).latest_end_after_not_after_s == 1
    without = preview(order(backstop_s=0))
    assert (without.residual, without.latest_end_after_not_after_s) == ((), 0)


def test_the_preview_of_a_scoped_token_says_what_cannot_be_recalled() -> None:
    grants = {
        "policies": ["countersign-path-b", "countersign-path-a"],
        "paths": [
            {"path": "kv/data/orders", "engine": "kv"},
            {"path": "pki/issue/web", "engine": "pki", "ttl_s": 3600},
            {"path": "ssh/sign/ops", "engine": "ssh", "ttl_s": 600},
            {"path": "transit/sign/release", "engine": "transit"},
            {"path": "strange/thing"},
        ],
    }
    made = plan(order(kind="openbao", grants=grants))
    assert isinstance(made, ScopedPlan)
    assert made.policies == ("countersign-path-a", "countersign-path-b")
    shown = preview(order(kind="openbao", grants=grants))
    assert "an OpenBao token with policy countersign-path-a" in shown.privileges
    assert "pki: pki/issue/web" in shown.privileges
    assert shown.residual == (
        "a value read at kv/data/orders stays known until it is changed there",
        "a certificate issued at pki/issue/web stays valid up to 3600 s after the end",
        "a certificate signed at ssh/sign/ops stays valid up to 600 s after the end",
        "what was got at strange/thing is not known to end with the token",
    )
    assert shown.latest_end_after_not_after_s == 3600
    blank = preview(order(kind="openbao", grants={"policies": ["countersign-path-a"]}))
    assert blank.residual == ("what was got through these policies is not known to end with the token",)


@pytest.mark.parametrize(
    "reach",
    [
        {"path": "a/../b"},
        {"path": "a", "engine": "aws"},
        {"path": "a", "engine": "pki"},
        {"path": "a", "engine": "kv", "ttl_s": 5},
        {"path": "a", "ttl_s": -1},
        {"path": "a", "engine": "pki", "ttl_s": True},
        "a",
    ],
)
def test_a_reach_that_says_too_little_or_nonsense_is_refused(reach: object) -> None:
    grants = {"policies": ["countersign-path-a"], "paths": [reach]}
    assert str(refused_field(order(kind="openbao", grants=grants))).startswith("grants.paths")


def test_a_token_s_seconds_are_rounded_down() -> None:
    assert seconds_until(NOW + timedelta(seconds=4.999), NOW) == 4
    assert seconds_until(NOW + timedelta(seconds=-0.1), NOW) < 1
