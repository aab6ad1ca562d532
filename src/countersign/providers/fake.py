"""A provider in memory, with faults to order: it keeps the contract of `base` so that tests can break everything around it.

It stands for a provider whose objects outlive the broker: give the same `FakeTarget` to a new `FakeProvider` after a "crash".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from threading import Lock
from typing import Any

from countersign.domain.entitlement import Delivery
from countersign.domain.lease import Sighting, Standing
from countersign.providers.base import (
    Answer,
    Away,
    Credential,
    Declined,
    Issued,
    LeaseRef,
    Order,
    OutcomeUnknown,
    Preview,
    Reservation,
    Stray,
)


class Fault(StrEnum):
    """What can be ordered to go wrong at the next call of a kind."""

    AWAY = "away"
    DECLINED = "declined"
    ANSWER_LOST = "answer-lost"
    CRASH = "crash"
    LIES = "lies"


class Crash(BaseException):
    """The process died here; nothing in it may clean up."""


@dataclass(kw_only=True)
class FakeTarget:
    """What exists outside the broker.

    Attributes:
        live: credentials that work, by lease id, with their native end.
        reserved: handles that were set up.
        issued: how often a credential was made for a lease.
    """

    live: dict[str, datetime] = field(default_factory=dict)
    reserved: set[str] = field(default_factory=set)
    fenced: set[str] = field(default_factory=set)
    issued: dict[str, int] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)


@dataclass(kw_only=True)
class FakeProvider:
    """The provider.

    Attributes:
        clock: what time the target thinks it is.
        faults: fault by call name (`reserve`, `issue`, `end`, `look`), used once each.
        picked_up: what `received` answers.
    """

    clock: Callable[[], datetime]
    target: FakeTarget = field(default_factory=FakeTarget)
    name: str = "fake"
    ends_at_once: int = 96
    faults: dict[str, Fault] = field(default_factory=dict)
    picked_up: bool | None = None

    def preview(self, order: Order) -> Preview:
        """Say what the order would give."""
        return Preview(privileges=(f"everything that {order.target['id']} has to give, in memory",))

    def reserve(self, order: Order) -> Reservation:
        """Set up a handle."""
        self._before("reserve")
        with self.target.lock:
            self.target.reserved.add(order.lease_id)
        self._after("reserve")
        return Reservation(order=order, handle={"reserved": order.lease_id})

    def issue(self, reservation: Reservation) -> Issued:
        """Make a credential unless its handle was revoked in the meantime."""
        order = reservation.order
        self._before("issue")
        with self.target.lock:
            if order.lease_id in self.target.fenced:
                raise Declined("the handle was revoked")
            self.target.live[order.lease_id] = order.backstop_at
            self.target.issued[order.lease_id] = self.target.issued.get(order.lease_id, 0) + 1
        self._after("issue")
        wrapped = order.delivery is Delivery.WRAPPED
        return Issued(
            credential=Credential(
                kind="wrapped" if wrapped else "postgresql",
                fields={"token": f"secret-of-{order.lease_id}"} if wrapped else self._login(order),
            ),
            expires_at=order.not_after,
            receipt_due=self.clock() if wrapped else None,
        )

    def end(self, ref: LeaseRef) -> Answer:
        """Fence the handle and remove the credential, unless ordered to lie."""
        fault = self._before("end")
        with self.target.lock:
            self.target.fenced.add(ref.lease_id)
            if fault is not Fault.LIES:
                self.target.live.pop(ref.lease_id, None)
        self._after("end")
        return Answer(said={"removed": True})

    def look(self, refs: Sequence[LeaseRef]) -> Mapping[str, Sighting]:
        """Say which credentials work."""
        now = self.clock()
        if self.faults.pop("look", None) is not None:
            return {ref.lease_id: Sighting(standing=Standing.UNKNOWN, at=now) for ref in refs}
        with self.target.lock:
            return {
                ref.lease_id: Sighting(
                    standing=Standing.LIVE if self.works(ref.lease_id) else Standing.GONE,
                    at=now,
                    seen={"login": self.works(ref.lease_id)},
                )
                for ref in refs
            }

    def received(self, ref: LeaseRef) -> bool | None:
        """Say what was ordered to be said."""
        del ref
        return self.picked_up

    def roll_call(self, targets: Sequence[Mapping[str, Any]]) -> Iterable[Stray]:
        """List every credential that works."""
        if not targets:
            return
        for lease_id in sorted(self.target.live):
            if self.works(lease_id):
                yield Stray(lease_id=lease_id, target=targets[0]["id"], place="memory", ref={"lease": lease_id})

    def end_stray(self, stray: Stray) -> Answer:
        """Remove it."""
        with self.target.lock:
            self.target.live.pop(stray.ref["lease"], None)
        return Answer(said={"removed": True})

    def works(self, lease_id: str) -> bool:
        """Say whether a credential works now, by the target's own clock."""
        until = self.target.live.get(lease_id)
        return until is not None and self.clock() < until

    def _login(self, order: Order) -> dict[str, Any]:
        return {"username": order.lease_id, "password": f"secret-of-{order.lease_id}", "host": "memory", "port": 0}

    def _before(self, call: str) -> Fault | None:
        match self.faults.get(call):
            case Fault.AWAY:
                del self.faults[call]
                raise Away("nobody answers")
            case Fault.DECLINED:
                del self.faults[call]
                raise Declined("no")
            case fault:
                return fault

    def _after(self, call: str) -> None:
        match self.faults.pop(call, None):
            case Fault.ANSWER_LOST:
                raise OutcomeUnknown("no answer") if call == "issue" else Away("no answer")
            case Fault.CRASH:
                raise Crash
            case _:
                return
