"""A second opinion on every credential: whether it should exist, judged from the log and the files, not by the broker's code.

It is plain on purpose, and tries every assignment of signers to seats.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

from tests.world import World

from countersign.domain.lease import Cause, LeaseState
from countersign.domain.timestamps import read
from countersign.providers.base import Issued, Order, Reservation
from countersign.providers.fake import FakeProvider

LOST = (Cause.UNDELIVERED, Cause.OUTCOME_UNKNOWN, Cause.FAILED)
"""Why a credential that may still exist for a moment is none that the requester was given."""


class Inline(ThreadPoolExecutor):
    """Does at once, in the caller's thread, what it is given, so that a history is the same each time."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:  # noqa: ANN401 - as the base class
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


@dataclass(kw_only=True)
class Log:
    """The log as plain JSON, as it stands now."""

    world: World
    facts: list[dict[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        with self.world.store.read() as tx:
            self.facts = [json.loads(bytes(row["leaf"])) for row in tx.facts(limit=100_000)]

    def about(self, subject: str, *types: str) -> list[dict[str, Any]]:
        return [f for f in self.facts if f["subject"] == subject and (not types or f["type"] in types)]

    def of(self, *types: str) -> list[dict[str, Any]]:
        return [fact for fact in self.facts if fact["type"] in types]

    def disabled(self) -> set[str]:
        return {fact["subject"] for fact in self.of("person.disabled")}

    def stops(self) -> set[str]:
        lifted = {fact["subject"] for fact in self.of("stop.lifted")}
        return {fact["data"]["scope"] for fact in self.of("stop.placed") if fact["subject"] not in lifted}


@dataclass(kw_only=True)
class People:
    """A directory file, read by a plainer reader."""

    file: dict[str, Any]
    disabled: set[str]

    def members(self, group: str) -> set[str]:
        [found] = [g for g in self.file["group"] if g["id"] == group]
        return set(found["members"]) - self.disabled

    def holders(self, role: str) -> set[str]:
        return {person for g in self.file["group"] if role in g["roles"] for person in self.members(g["id"])}

    def may_ask(self, person: str, item: dict[str, Any]) -> bool:
        return person in self.holders("requester") & {p for group in item["requesters"] for p in self.members(group)}

    def fill(self, review: Sequence[dict[str, Any]], signed: set[str]) -> bool:
        seats = [factor["group"] for factor in review for _ in range(factor["count"])]
        return bool(seats) and any(
            all(person in self.members(group) for person, group in zip(sitting, seats, strict=True))
            for sitting in permutations(sorted(signed & self.holders("approver")), len(seats))
        )


@dataclass(kw_only=True)
class WatchedProvider(FakeProvider):
    """Judges each order at the moment in which a credential comes into the world.

    Attributes:
        pinned: by request, the entitlement as the catalog file had it when it was asked for.
        authors: by entitlement, who changed its rule last.
        began: by grant, the first draw that was not given back.
        complaints: why a credential should not have been made; empty for ever.
    """

    world: World
    pinned: dict[str, dict[str, Any]] = field(default_factory=dict)
    authors: dict[str, set[str]] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)

    def issue(self, reservation: Reservation) -> Issued:
        self.complaints += [f"{reservation.order.lease_id}: {why}" for why in self.against(reservation.order)]
        return super().issue(reservation)

    def against(self, order: Order) -> Iterator[str]:
        log = Log(world=self.world)
        yield from self._intent(order, log)
        [asked] = log.about(order.request_id, "request.submitted")
        statement = asked["data"]["statement"]
        if (order.person, order.entitlement) != (statement["person"], statement["entitlement"]):
            yield "it is not for whom and for what it was asked"
        if dict(order.parameters) != statement["parameters"]:
            yield "its parameters are not those that were signed"
        item = self.pinned[order.request_id]
        if item not in self.world.catalog["entitlement"]:
            yield "the rule that was pinned is no longer in force"
        if order.grants != item["grants"]:
            yield "it gives what the entitlement does not"
        yield from self._times(order, log, statement["duration_s"], item)
        mark = statement.get("emergency")
        if mark is not None and statement["duration_s"] > item["break_glass"]["max_duration_s"]:
            yield "an emergency is longer than one may be"
        if mark is not None and not log.about(order.grant_id, "break-glass.opened"):
            yield "nobody was told of an emergency"
        if mark is not None and mark["envelope"] is not None:
            yield from self._envelope(order, log, item, mark["envelope"])
        else:
            rule = item["review"] if mark is None else item["break_glass"]["review"]
            yield from self._people(order, log, item | {"review": rule}, asked["data"]["digest"])

    def _intent(self, order: Order, log: Log) -> Iterator[str]:
        with self.world.store.read() as tx:
            lease = tx.lease(order.lease_id)
        if lease is None or lease.state is not LeaseState.PREPARED or not lease.handle:
            yield "its handle is not committed"
        if len(log.about(order.lease_id, "lease.prepared", "lease.reserved")) != 2:
            yield "its intent is not in the log"

    def _times(self, order: Order, log: Log, duration_s: int, item: dict[str, Any]) -> Iterator[str]:
        [opened] = log.about(order.grant_id, "grant.opened")
        clock: datetime = self.world.clock()
        if not order.now < order.not_after <= order.now + timedelta(seconds=duration_s):
            yield "it lives longer than what was signed"
        if order.backstop_at != order.not_after + timedelta(seconds=item["backstop_s"]):
            yield "its backstop is not where it should be"
        with self.world.store.read() as tx:
            others = [lease for lease in tx.leases(grant_id=order.grant_id) if lease.id != order.lease_id]
        served = [lease for lease in others if lease.id in self.target.live and lease.cause not in LOST]
        if any(order.not_after > lease.not_after for lease in served):
            yield "a later draw extends what the first began"
        if not others and order.now >= read(opened["at"]) + timedelta(seconds=item["draw_ttl_s"]):
            yield "nobody drew in time"
        if clock + timedelta(seconds=2) < read(log.facts[-1]["at"]):
            yield "the clock ran back"
        concerning = {"all", f"person {order.person}", f"entitlement {order.entitlement}", "provider fake"}
        for scope in log.stops() & concerning:
            yield f"access is stopped: {scope}"

    def _envelope(self, order: Order, log: Log, item: dict[str, Any], name: str) -> Iterator[str]:
        people = People(file=self.world.directory, disabled=log.disabled())
        authors = self.authors.get(order.entitlement, set())
        [proposed] = log.about(name, "envelope.proposed")
        says = proposed["data"]["statement"]
        signed = {fact["actor"] for fact in log.about(name, "envelope.signed")}
        opened = [
            fact["data"]["statement"]
            for fact in log.of("request.submitted")
            if (fact["data"]["statement"].get("emergency") or {}).get("envelope") == name
        ]
        if order.person in {proposed["actor"], *signed} | authors or order.person not in people.holders("on-call"):
            yield f"{order.person} may not open {name}"
        if len(signed - authors) < 2 or not people.fill(item["review"], signed - {order.person} - authors):
            yield f"{sorted(signed)} do not fill {item['review']} by {name}"
        if len(opened) > says["uses"] or any(each["duration_s"] > says["max_duration_s"] for each in opened):
            yield f"{name} was opened too often or for too long"
        if log.about(name, "envelope.revoked"):
            yield f"{name} was revoked"

    def _people(self, order: Order, log: Log, item: dict[str, Any], digest: str) -> Iterator[str]:
        people = People(file=self.world.directory, disabled=log.disabled())
        authors = self.authors.get(order.entitlement, set())
        if order.person in authors or not people.may_ask(order.person, item):
            yield f"{order.person} may not ask for it"
        reviews = log.about(order.request_id, "review.recorded")
        if any(review["data"]["decision"] != "approve" for review in reviews):
            yield "somebody denied it"
        signed = {review["actor"] for review in reviews if review["data"]["digest"] == digest}
        by_machine = {p["id"] for p in self.world.directory["principal"] if not p.get("human", True)}
        if by_machine & {review["data"]["principal"] for review in reviews}:
            yield "a machine signed it"
        if not people.fill(item["review"], signed - {order.person} - authors):
            yield f"{sorted(signed)} do not fill {item['review']}"
