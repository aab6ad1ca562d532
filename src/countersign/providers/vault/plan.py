"""Reads an order for OpenBao: every name judged before any path is built, every parameter used or refused."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from countersign.domain.entitlement import Delivery
from countersign.providers.base import Order, Preview, Unfit
from countersign.providers.vault.dangers import dangers_of, is_endless, why_never

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_ROLE = re.compile(r"[A-Za-z_][A-Za-z0-9_$-]{0,62}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?")
_PATH = re.compile(r"[a-z0-9_-]+(/[a-z0-9_*+-]+)*")
_SCOPED_PREFIX = "countersign-path-"
_HIGHEST_PORT = 65535
_OUTLIVING = {"pki": "a certificate issued", "ssh": "a certificate signed"}
_REMEMBERED = {"kv": "a value read"}
_ENDING = frozenset({"transit", "database"})


@dataclass(frozen=True, kw_only=True, slots=True)
class DatabasePlan:
    """One login role at one PostgreSQL, made by one role of OpenBao's database engine.

    Attributes:
        member_of: groups that the role must turn out to be in, if the entitlement names them.
        connection_limit: the limit that the role must turn out to have, if the entitlement names one.
    """

    target_id: str
    mount: str
    role: str
    host: str
    port: int
    dbname: str
    delivery: Delivery
    member_of: tuple[str, ...] | None
    connection_limit: int | None

    @property
    def policy(self) -> str:
        """The child token's one policy: wrapped delivery has its own, in which OpenBao demands the wrapping."""
        return f"countersign-db-{self.delivery.value}-{self.mount}-{self.role}"

    @property
    def path(self) -> str:
        """The one path the child token may read."""
        return f"{self.mount}/creds/{self.role}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reach:
    """A path that a scoped token opens, and what comes from it.

    Attributes:
        engine: `kv`, `pki`, `ssh`, `transit`, `database` or `other`.
        ttl_s: how long what it gives can outlive the token, for `pki` and `ssh`.
    """

    path: str
    engine: str
    ttl_s: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ScopedPlan:
    """A token of OpenBao's for paths behind policies that its administrators wrote."""

    policies: tuple[str, ...]
    reaches: tuple[Reach, ...]
    delivery: Delivery


def plan(order: Order) -> DatabasePlan | ScopedPlan:
    """Return what the order asks of OpenBao.

    Raises:
        Unfit: a name, a number or a parameter is not allowed; names the field.
    """
    if order.backstop_at < order.not_after:
        raise Unfit("the backstop lies before the end", field="backstop_s")
    kind = order.target.get("kind")
    used: set[str] = set()
    made: DatabasePlan | ScopedPlan
    if kind == "postgresql":
        made = _database(order, used)
    elif kind == "openbao":
        made = _scoped(order, used)
    else:
        raise Unfit("target.kind must be `postgresql` or `openbao`", field="target.kind")
    for name in sorted(order.parameters.keys() - used):
        raise Unfit(f"parameter {name} would narrow nothing here", field=f"parameters.{name}")
    return made


def preview(order: Order) -> Preview:
    """Say what the order would give.

    Raises:
        Unfit: it could never be served.
    """
    made = plan(order)
    backstop_s = -int((order.not_after - order.backstop_at).total_seconds() // 1)
    if isinstance(made, ScopedPlan):
        return _preview_scoped(made)
    groups = ", ".join(made.member_of) if made.member_of is not None else f"the groups of OpenBao's role {made.role}"
    limit = "" if made.connection_limit is None else f", at most {made.connection_limit} sessions"
    return Preview(
        privileges=(
            f"a new login role at database {made.dbname} on {made.host}:{made.port}, named by the lease{limit}",
            f"everything that {groups} may do there, and nothing beside it",
        ),
        residual=(f"with the broker down, sessions that are open at the end last up to {backstop_s} s longer",)
        if backstop_s
        else (),
        latest_end_after_not_after_s=backstop_s,
        dangers=dangers_of(made.member_of, role=made.role),
    )


def _preview_scoped(made: ScopedPlan) -> Preview:
    residual: list[str] = []
    for reach in made.reaches:
        if reach.engine in _OUTLIVING:
            residual.append(
                f"{_OUTLIVING[reach.engine]} at {reach.path} stays valid up to {reach.ttl_s} s after the end"
            )
        elif reach.engine in _REMEMBERED:
            residual.append(f"{_REMEMBERED[reach.engine]} at {reach.path} stays known until it is changed there")
        elif reach.engine not in _ENDING:
            residual.append(f"what was got at {reach.path} is not known to end with the token")
    if not made.reaches:
        residual.append("what was got through these policies is not known to end with the token")
    return Preview(
        privileges=tuple(
            [f"an OpenBao token with policy {name}" for name in made.policies]
            + [f"{reach.engine}: {reach.path}" for reach in made.reaches]
        ),
        residual=tuple(residual),
        latest_end_after_not_after_s=max((reach.ttl_s for reach in made.reaches), default=0),
    )


def _database(order: Order, used: set[str]) -> DatabasePlan:
    settings, grants = _table(order.target.get("settings"), "target.settings"), order.grants
    _only(settings, {"mount", "host", "port", "dbname"}, "target.settings")
    _only(grants, {"role", "member_of", "connection_limit"}, "grants")
    member_of, limit, port = grants.get("member_of"), grants.get("connection_limit"), settings.get("port")
    if member_of is not None:
        member_of = tuple(
            sorted(_match(_ROLE, name, "grants.member_of") for name in _list(member_of, "grants.member_of"))
        )
        for why, group in ((why_never(group), group) for group in member_of):
            if why is not None:
                raise Unfit(f"grants.member_of: {group} {why}, and is never given", field="grants.member_of")
    if limit is not None and (type(limit) is not int or limit < 1):
        raise Unfit("grants.connection_limit must be a whole number from 1", field="grants.connection_limit")
    if type(port) is not int or not 1 <= port <= _HIGHEST_PORT:
        raise Unfit("target.settings.port must be a port", field="target.settings.port")
    return DatabasePlan(
        target_id=str(order.target.get("id")),
        mount=_match(_NAME, settings.get("mount"), "target.settings.mount"),
        role=_match(_NAME, _by_parameter(grants.get("role"), "grants.role", order.parameters, used), "grants.role"),
        host=_match(_HOST, settings.get("host"), "target.settings.host"),
        port=port,
        dbname=_match(_ROLE, settings.get("dbname"), "target.settings.dbname"),
        delivery=order.delivery,
        member_of=member_of,
        connection_limit=limit,
    )


def _scoped(order: Order, used: set[str]) -> ScopedPlan:
    _only(_table(order.target.get("settings"), "target.settings"), set(), "target.settings")
    _only(order.grants, {"policies", "paths"}, "grants")
    policies = []
    for entry in _list(order.grants.get("policies"), "grants.policies"):
        name = _match(_NAME, _by_parameter(entry, "grants.policies", order.parameters, used), "grants.policies")
        if not name.startswith(_SCOPED_PREFIX):
            raise Unfit(f"grants.policies: {name} does not begin with {_SCOPED_PREFIX}", field="grants.policies")
        policies.append(name)
    if not policies:
        raise Unfit("grants.policies is empty", field="grants.policies")
    return ScopedPlan(
        policies=tuple(sorted(set(policies))),
        reaches=tuple(_reach(entry) for entry in _list(order.grants.get("paths", ()), "grants.paths")),
        delivery=order.delivery,
    )


def _reach(entry: object) -> Reach:
    table = _table(entry, "grants.paths")
    _only(table, {"path", "engine", "ttl_s"}, "grants.paths")
    engine, ttl_s = table.get("engine", "other"), table.get("ttl_s", 0)
    if engine not in {*_OUTLIVING, *_REMEMBERED, *_ENDING, "other"}:
        raise Unfit("grants.paths: unknown engine", field="grants.paths")
    if type(ttl_s) is not int or ttl_s < 0 or (engine in _OUTLIVING) != (ttl_s > 0):
        raise Unfit("grants.paths: ttl_s says how long a pki or ssh certificate lasts", field="grants.paths")
    path = _match(_PATH, table.get("path"), "grants.paths")
    if is_endless(path):
        raise Unfit(f"grants.paths: {path} makes or changes access itself, and is never given", field="grants.paths")
    return Reach(path=path, engine=engine, ttl_s=ttl_s)


def _by_parameter(value: object, field: str, parameters: Mapping[str, str], used: set[str]) -> object:
    """Resolve `{by = "access", of = {read = "orders-ro"}}`: a parameter selects a name, and never becomes part of one."""
    if not isinstance(value, Mapping):
        return value
    _only(value, {"by", "of"}, field)
    name, names = value.get("by"), _table(value.get("of"), field)
    if not isinstance(name, str) or name not in parameters:
        raise Unfit(f"{field} depends on a parameter that is not given", field=field)
    used.add(name)
    if parameters[name] not in names:
        raise Unfit(f"parameters.{name} selects nothing", field=f"parameters.{name}")
    return names[parameters[name]]


def _match(pattern: re.Pattern[str], value: object, field: str) -> str:
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise Unfit(f"{field} is not a name that is allowed here", field=field)
    return value


def _table(value: object, field: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise Unfit(f"{field} must be a table", field=field)
    return value


def _list(value: object, field: str) -> Sequence[object]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise Unfit(f"{field} must be a list", field=field)
    return value


def _only(table: Mapping[str, Any], allowed: set[str], field: str) -> None:
    for key in sorted(table.keys() - allowed):
        raise Unfit(f"{field}.{key} is not known", field=f"{field}.{key}")


def seconds_until(moment: datetime, now: datetime) -> int:
    """Return whole seconds, rounded down, that a token made now may live without outliving `moment`."""
    return int((moment - now).total_seconds() // 1)
