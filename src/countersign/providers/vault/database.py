"""Database leases: one child token, one read, one login role; ended at the target first, whatever OpenBao says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from countersign.domain.entitlement import Delivery
from countersign.domain.lease import Evidence, Sighting, Standing
from countersign.domain.timestamps import spell
from countersign.providers.base import (
    Answer,
    Away,
    Credential,
    Declined,
    Issued,
    LeaseRef,
    Order,
    OutcomeUnknown,
    Reservation,
    Unfit,
)
from countersign.providers.target.client import Aligned, PostgresTarget, RoleStanding
from countersign.providers.vault.plan import DatabasePlan, plan
from countersign.providers.vault.tokens import Tokens
from countersign.providers.vault.wire import Reply, Wire
from countersign.providers.vault.wrapping import asked_ttl_s, read_wrapped

READ_S = 6.0
"""For the one read of credentials; with aligning at the target it stays within ten seconds."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """What one read of credentials gave. `fields` holds secrets."""

    kind: str
    fields: Mapping[str, Any] = field(repr=False)
    details: Mapping[str, Any]
    handle: Mapping[str, Any] = field(default_factory=dict)
    receipt_due: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class DatabaseLeases:
    """What the vault provider does for targets of kind `postgresql`.

    Attributes:
        targets: our own accounts at the targets, by target id.
        clock: wall time.
        wrap_ttl_s: how long a wrapped credential can be unwrapped.
        address_for_clients: where requesters reach OpenBao.
    """

    wire: Wire
    tokens: Tokens
    targets: Mapping[str, PostgresTarget]
    clock: Callable[[], datetime]
    wrap_ttl_s: int
    address_for_clients: str

    def reserve(self, order: Order, made: DatabasePlan) -> Reservation:
        """Mint the child token whose end is the end of everything read with it."""
        self._target(made.target_id, field="target.id")
        child = self.tokens.child(order, policies=[made.policy], until=order.backstop_at, now=self.clock())
        return Reservation(order=order, handle={"accessor": child.accessor}, secret=child)

    def issue(self, reservation: Reservation) -> Issued:
        """Read the credentials once, align their last second at the target, and compare what was made with what was asked."""
        order = reservation.order
        wanted = plan(order)
        if not isinstance(wanted, DatabasePlan):
            raise Declined("this reservation is not for a database")
        made = self._read(order, wanted, reservation.secret.token)
        aligned = self._align(order, wanted)
        return Issued(
            credential=Credential(kind=made.kind, fields=made.fields),
            expires_at=order.not_after,
            receipt_due=made.receipt_due,
            handle={**made.handle, "role_oid": aligned.role_oid},
            details={
                **made.details,
                "delivery": order.delivery.value,
                "role": order.lease_id,
                "member_of": list(aligned.member_of),
                "connection_limit": aligned.connection_limit,
                "valid_until": spell(order.not_after),
            },
        )

    def end(self, ref: LeaseRef) -> Answer:
        """Close, cut and drop at the target, then fence at OpenBao: the cut waits for nothing that is not the target.

        A role that a late read makes in between is seen by `look`, which judges after this.
        """
        target = self.targets.get(str(ref.target.get("id")))
        said: dict[str, Any] = {}
        trouble: str | None = None
        if target is None:
            trouble = f"the broker has no account at target {ref.target.get('id')}"
        else:
            try:
                said["close"] = target.close(ref.lease_id)
                said["end"], said["sessions_left"] = target.end(ref.lease_id, _role_oid(ref))
            except (Away, Declined) as error:
                trouble = str(error)
        said.update(self.tokens.fence(ref))
        if trouble is not None:
            raise Away(f"{ref.lease_id}: {trouble}")
        return Answer(said=said)

    def look(self, target_id: str, refs: Sequence[LeaseRef]) -> dict[str, Sighting]:
        """Look at the target in one query and at OpenBao's tokens; death needs both."""
        try:
            seen = self._target(target_id).standing({ref.lease_id: _role_oid(ref) for ref in refs})
        except (Away, Declined, Unfit) as error:
            at = self.clock()
            return {
                ref.lease_id: Sighting(standing=Standing.UNKNOWN, at=at, seen={"target": str(error)}) for ref in refs
            }
        tokens = self.tokens.look(refs, now=self.clock())
        at = self.clock()
        return {ref.lease_id: judge(seen.get(ref.lease_id), tokens[ref.lease_id], ref, at) for ref in refs}

    def _read(self, order: Order, wanted: DatabasePlan, token: str) -> Made:
        is_wrapped = order.delivery is Delivery.WRAPPED
        wrap_s = asked_ttl_s(self.wrap_ttl_s) if is_wrapped else None
        try:
            reply = self.wire.call("GET", wanted.path, token=token, wrap_ttl_s=wrap_s, within_s=READ_S)
        except Away as error:
            raise OutcomeUnknown(f"{wanted.path}: {error}") from None
        # OpenBao's complaints may quote the statement it ran, and that holds the password.
        if 400 <= reply.status < 450:  # noqa: PLR2004 -- "no", before anything was made
            raise Declined(f"OpenBao answered {reply.status} to reading {wanted.path}")
        if not reply.ok:
            raise OutcomeUnknown(f"OpenBao answered {reply.status} to reading {wanted.path}")
        where = {"host": wanted.host, "port": wanted.port, "dbname": wanted.dbname}
        if wrap_s is not None:
            return self._wrapped(reply, wanted, wrap_s, where)
        return _direct(reply, order, wanted, where, self.clock())

    def _wrapped(self, reply: Reply, wanted: DatabasePlan, wrap_s: int, where: Mapping[str, Any]) -> Made:
        wrapped = read_wrapped(reply, creation_path=wanted.path, asked_ttl_s=wrap_s)
        now = self.clock()
        return Made(
            kind="wrapped",
            fields={**wrapped.for_client(self.address_for_clients, of="postgresql"), **where},
            handle=wrapped.handle(now),
            receipt_due=wrapped.receipt_due(now),
            details={"wrapped_for_s": wrapped.promised_s},
        )

    def _align(self, order: Order, wanted: DatabasePlan) -> Aligned:
        try:
            aligned = self._target(wanted.target_id).align(order.lease_id, order.not_after)
        except (Away, Declined, Unfit) as error:
            raise OutcomeUnknown(f"the role could not be aligned: {error}") from None
        if aligned.attributes:
            raise OutcomeUnknown(f"the role turned out to be {', '.join(aligned.attributes)}")
        if wanted.member_of is not None and aligned.member_of != wanted.member_of:
            raise OutcomeUnknown("the role turned out to be in other groups than were approved")
        if wanted.connection_limit is not None and aligned.connection_limit != wanted.connection_limit:
            raise OutcomeUnknown("the role turned out to have another connection limit than was approved")
        return aligned

    def _target(self, target_id: str, *, field: str | None = None) -> PostgresTarget:
        target = self.targets.get(target_id)
        if target is None:
            raise Unfit(f"the broker has no account at target {target_id}", field=field)
        return target


def judge(role: RoleStanding | None, token: str, ref: LeaseRef, at: datetime) -> Sighting:
    """Say how a lease stands, from what was seen of its role and its token; in doubt it is not dead.

    Args:
        role: seen at the target.
        token: `gone`, `live`, `unknown` or `over` (OpenBao unreachable, and the token's hard end has passed).
        ref: the lease.
        at: when this was seen.
    """
    if role is None:
        return Sighting(standing=Standing.UNKNOWN, at=at, seen={"role": "not answered for"})
    seen: dict[str, Any] = {
        "role": "absent" if role.role_oid is None else "login" if role.can_login else "nologin",
        "sessions": role.sessions,
        "token": token,
    }
    if role.valid_until is not None:
        seen["valid_until"] = spell(role.valid_until)
    if role.last_activity is not None:
        seen["last_activity"] = spell(role.last_activity)
    if (role.role_oid is not None and role.can_login) or role.sessions or token == "live":  # noqa: S105 -- no secret
        standing = Standing.LIVE
    elif token == "unknown":  # noqa: S105 -- no secret
        standing = Standing.UNKNOWN
    elif role.role_oid is not None:
        standing = Standing.DENIED
    elif role.dangling and _role_oid(ref) is None:
        seen["dangling"] = role.dangling
        standing = Standing.UNKNOWN
    else:
        standing = Standing.GONE
    evidence = Evidence.COMPUTED if token == "over" else Evidence.OBSERVED  # noqa: S105 -- no secret
    return Sighting(standing=standing, at=at, evidence=evidence, seen=seen)


def _direct(reply: Reply, order: Order, wanted: DatabasePlan, where: Mapping[str, Any], now: datetime) -> Made:
    data = reply.table("data")
    username, password, lasts = data.get("username"), data.get("password"), reply.body.get("lease_duration")
    if username != order.lease_id or not isinstance(password, str) or not password or type(lasts) is not int:
        raise OutcomeUnknown(f"OpenBao's answer to reading {wanted.path} is not what was asked for")
    if now + timedelta(seconds=lasts + 1) < order.not_after:
        raise OutcomeUnknown(f"OpenBao's lease lasts {lasts} s, less than what was approved")
    dsn = f"host={wanted.host} port={wanted.port} dbname={wanted.dbname} user={username}"
    return Made(
        kind="postgresql",
        fields={"username": username, "password": password, "dsn": dsn, **where},
        details={"openbao_lease_s": lasts},
    )


def _role_oid(ref: LeaseRef) -> int | None:
    oid = ref.handle.get("role_oid")
    return oid if type(oid) is int else None
