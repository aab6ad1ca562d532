"""Child tokens at OpenBao: minted wrapped through one token role, looked at and revoked by accessor, found by lease."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from countersign.providers.base import Away, Declined, LeaseRef, Order, OutcomeUnknown, Unfit
from countersign.providers.vault.login import Broker
from countersign.providers.vault.plan import seconds_until
from countersign.providers.vault.wire import TOTAL_S, Reply, Wire
from countersign.providers.vault.wrapping import Wrapped, read_wrapped

TOKEN_ROLE = "countersign"  # noqa: S105 -- the name of a role, not a secret
_CREATE = f"auth/token/create/{TOKEN_ROLE}"
_GONE = frozenset({400, 404})
_CLOCKS_MAY_DIFFER = timedelta(seconds=2)
_STEP_S = 4.5
_FENCE_S = 2.0
_REST_S = 2.0
_OWN_WRAP_S = 10
_BEING_REVOKED = -1
_LIST_FROM = 8
_LOOKERS = 8


@dataclass(frozen=True, kw_only=True)
class Child:
    """A child token in the broker's hands. `token` is a secret and never leaves the broker."""

    token: str = field(repr=False)
    accessor: str


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What OpenBao says of a token, looked up by accessor."""

    lease_id: str | None
    target_id: str | None
    role: str | None
    policies: tuple[str, ...]
    ttl_s: int
    explicit_max_ttl_s: int
    orphan: bool
    renewable: bool


class Tokens:
    """Child tokens of one token role; safe from several threads.

    Args:
        wire: to OpenBao.
        broker: the broker's own calls.
        monotonic: seconds for time budgets.
    """

    def __init__(self, wire: Wire, broker: Broker, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wire = wire
        self._broker = broker
        self._monotonic = monotonic
        self._lock = threading.Lock()
        # What an accessor belongs to never changes, so each is looked up once. No secrets: an accessor cannot log in.
        self._known: dict[str, Facts] = {}
        self._rest_until = 0.0

    def mint(self, order: Order, *, policies: Collection[str], ttl_s: int, wrap_s: int) -> Wrapped:
        """Make a child token that bears the lease's id, response-wrapped.

        Raises:
            Declined: OpenBao said no.
            Away: it may or may not exist; nobody holds it, and it dies by itself.
        """
        reply = self._broker.call(
            "POST",
            _CREATE,
            body={
                "policies": sorted(policies),
                "ttl": f"{ttl_s}s",
                "explicit_max_ttl": f"{ttl_s}s",
                "renewable": False,
                "display_name": order.lease_id,
                "meta": {
                    "lease": order.lease_id,
                    "grant": order.grant_id,
                    "request": order.request_id,
                    "target": str(order.target.get("id")),
                },
            },
            wrap_ttl_s=wrap_s,
            within_s=_STEP_S,
        )
        if not reply.ok:
            raise Declined(reply.complaint())
        try:
            wrapped = read_wrapped(reply, creation_path=_CREATE, asked_ttl_s=wrap_s)
        except OutcomeUnknown as odd:
            raise Away(str(odd)) from None
        if wrapped.wrapped_accessor is None:
            raise Away("OpenBao minted a token without naming its accessor")
        return wrapped

    def child(self, order: Order, *, policies: Collection[str], until: datetime, now: datetime) -> Child:
        """Mint a child token that dies at `until`, open it, and compare what was made with what was asked.

        Raises:
            Declined: OpenBao said no, or gave another token than was asked for (which is revoked).
            Unfit: OpenBao's token role does not allow it to live that long.
            Away: it may exist; nobody holds it, and it dies by itself.
        """
        ttl_s = seconds_until(until, now)
        if ttl_s < 1:
            raise Declined("the window is over")
        wrapped = self.mint(order, policies=policies, ttl_s=ttl_s, wrap_s=_OWN_WRAP_S)
        reply = self.unwrap(wrapped)
        auth = reply.table("auth")
        token, accessor, lasts = auth.get("client_token"), auth.get("accessor"), auth.get("lease_duration")
        fits = (
            isinstance(token, str)
            and token
            and accessor == wrapped.wrapped_accessor
            and sorted(auth.get("token_policies") or ()) == sorted(policies)
            and auth.get("renewable") is False
            and auth.get("orphan") is True
            and type(lasts) is int
            and 0 < lasts <= ttl_s
        )
        if fits and lasts == ttl_s:
            return Child(token=str(token), accessor=str(accessor))
        with suppress(Away):
            self.revoke(str(wrapped.wrapped_accessor), within_s=_STEP_S)
        if fits:
            raise Unfit(f"OpenBao's token role lets tokens live {lasts} s, not {ttl_s} s", field="duration_s")
        raise Declined("OpenBao gave another token than was asked for")

    def unwrap(self, wrapped: Wrapped) -> Reply:
        """Open a wrapping, once.

        Raises:
            Away: whether it was opened is not known.
        """
        return self._wire.call("POST", "sys/wrapping/unwrap", token=wrapped.token, within_s=_STEP_S)

    def facts(self, accessor: str, *, within_s: float = TOTAL_S) -> Facts | None:
        """Return what OpenBao says of a token, or None when it knows none, or only until it has swept up after it.

        Raises:
            Away: OpenBao is away, or its answer is none.
        """
        reply = self._broker.call("POST", "auth/token/lookup-accessor", body={"accessor": accessor}, within_s=within_s)
        if reply.status in _GONE:
            return None
        data = reply.table("data")
        if not reply.ok or data.get("accessor") != accessor:
            raise Away(f"OpenBao says nothing of a token: {reply.complaint()}")
        if int(data.get("num_uses") or 0) == _BEING_REVOKED:
            return None
        meta = data.get("meta") or {}
        return Facts(
            lease_id=_text(meta.get("lease")),
            target_id=_text(meta.get("target")),
            role=_text(data.get("role")),
            policies=tuple(sorted(str(name) for name in data.get("policies") or ())),
            ttl_s=int(data.get("ttl") or 0),
            explicit_max_ttl_s=int(data.get("explicit_max_ttl") or 0),
            orphan=bool(data.get("orphan")),
            renewable=bool(data.get("renewable")),
        )

    def revoke(self, accessor: str, *, within_s: float = TOTAL_S) -> str:
        """Order the end of a token: `revoked`, or `absent` when OpenBao knows none. An order, not a proof.

        Raises:
            Away: the order was not taken.
        """
        reply = self._broker.call("POST", "auth/token/revoke-accessor", body={"accessor": accessor}, within_s=within_s)
        if reply.status in _GONE or (reply.ok and reply.warnings):
            return "absent"
        if not reply.ok:
            raise Away(reply.complaint())
        return "revoked"

    def fence(self, ref: LeaseRef) -> dict[str, str]:
        """Revoke a lease's child token, which stops a read that is still under way, and what could still be unwrapped.

        Says under `openbao` what could not be ordered. While OpenBao has just been away it is not asked, so that a slow
        one does not hold up the ends of others.
        """
        said: dict[str, str] = {}
        if self._monotonic() < self._rest_until:
            return {"openbao": "not asked: it was away a moment ago"}
        try:
            accessor, wrapping = ref.handle.get("accessor"), ref.handle.get("wrapping_accessor")
            accessors = [str(accessor)] if accessor else self.of_lease(ref.lease_id, within_s=_FENCE_S)
            answers = {self.revoke(each, within_s=_FENCE_S) for each in accessors}
            said["token"] = "revoked" if "revoked" in answers else "absent"
            if wrapping:
                said["wrapping"] = self.revoke(str(wrapping), within_s=_FENCE_S)
        except Away as error:
            self._rest_until = self._monotonic() + _REST_S
            said["openbao"] = str(error)
        return said

    def living(self, accessors: Collection[str], *, within_s: float = TOTAL_S) -> set[str]:
        """Return which of these tokens exist; many are looked for in one listing.

        Raises:
            Away: that could not be seen.
        """
        until = self._monotonic() + within_s
        if len(accessors) > _LIST_FROM:
            return set(accessors) & self._list(within_s)
        return {a for a in accessors if self.facts(a, within_s=until - self._monotonic()) is not None}

    def look(self, refs: Sequence[LeaseRef], *, now: datetime) -> dict[str, str]:
        """Say of each lease's child token whether it is `live`, `gone`, `unknown`, or `over`.

        `over` is computed: OpenBao cannot be asked, and the token's hard end has passed. A lease whose handle was lost is
        looked for by what its token bears. Never raises.
        """
        accessors = {ref.lease_id: str(ref.handle["accessor"]) for ref in refs if ref.handle.get("accessor")}
        answers: dict[str, str] = {}
        try:
            living = self.living(set(accessors.values()), within_s=_STEP_S)
            answers = {lease: "live" if accessor in living else "gone" for lease, accessor in accessors.items()}
            if lost := [ref.lease_id for ref in refs if ref.lease_id not in accessors]:
                bearing = {facts.lease_id for facts in self.census(within_s=_STEP_S).values()}
                answers.update({lease: "live" if lease in bearing else "gone" for lease in lost})
        except Away:
            for ref in refs:
                answers.setdefault(ref.lease_id, "over" if now >= ref.backstop_at + _CLOCKS_MAY_DIFFER else "unknown")
        return answers

    def of_lease(self, lease_id: str, *, within_s: float) -> list[str]:
        """Return the accessors of a lease's child tokens, found by what they bear.

        Raises:
            Away: not all tokens could be looked at in time; what was learnt is kept for the next try.
        """
        return [accessor for accessor, facts in self.census(within_s=within_s).items() if facts.lease_id == lease_id]

    def census(self, *, within_s: float = TOTAL_S) -> Mapping[str, Facts]:
        """Return every token of our token role by accessor; each is looked up once in this process's life.

        Raises:
            Away: not all could be looked at in time; what was learnt is kept for the next try.
        """
        until = self._monotonic() + within_s
        listed = self._list(within_s)
        with self._lock:
            self._known = {accessor: facts for accessor, facts in self._known.items() if accessor in listed}
            unknown = sorted(listed - self._known.keys())
        if unknown:
            with ThreadPoolExecutor(max_workers=_LOOKERS, thread_name_prefix="census") as lookers:
                complete = all(list(lookers.map(lambda accessor: self._learn(accessor, until), unknown)))
            if not complete:
                raise Away("OpenBao holds more tokens than could be looked at in time")
        with self._lock:
            return {a: f for a, f in self._known.items() if a in listed and f.role == TOKEN_ROLE}

    def _learn(self, accessor: str, until: float) -> bool:
        left = until - self._monotonic()
        if left <= 0:
            return False
        facts = self.facts(accessor, within_s=left)
        if facts is not None:
            with self._lock:
                self._known[accessor] = facts
        return True

    def _list(self, within_s: float) -> set[str]:
        reply = self._broker.call("LIST", "auth/token/accessors", within_s=within_s)
        keys = reply.table("data").get("keys")
        if not reply.ok or not isinstance(keys, list):
            raise Away(f"OpenBao does not list tokens: {reply.complaint()}")
        return {str(key) for key in keys}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
