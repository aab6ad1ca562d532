"""The provider for Vault and OpenBao: database logins at PostgreSQL targets, and scoped tokens."""

from __future__ import annotations

import ssl
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from countersign.domain.lease import Sighting, Standing
from countersign.domain.timestamps import NotATime, read, spell
from countersign.providers.base import Answer, Away, Declined, Issued, LeaseRef, Order, Preview, Reservation, Stray
from countersign.providers.target.client import PostgresTarget
from countersign.providers.vault.database import DatabaseLeases
from countersign.providers.vault.login import AppRole, Broker
from countersign.providers.vault.plan import DatabasePlan, plan, preview
from countersign.providers.vault.rights import unfit_rights
from countersign.providers.vault.scoped import ScopedTokens
from countersign.providers.vault.tokens import Tokens
from countersign.providers.vault.wire import Wire
from countersign.providers.vault.wrapping import LONGEST_S

DATABASE, SCOPED = "postgresql", "openbao"


class VaultProvider:
    """Implements `providers.base.Provider`; safe from several threads.

    Args:
        address: OpenBao's, `https://host:port` (`http` on loopback).
        login: what the broker proves itself with.
        target_dsns: by target id, the DSN of the broker's own account there, password included.
        clock: wall time.
        wrap_ttl_s: how long the requester is told that he can unwrap a credential, 1 to 120.
        address_for_clients: where requesters reach OpenBao, if elsewhere.
        context: TLS trust; the system's by default.
        name: the catalog's name for this provider.
    """

    ends_at_once = 24

    def __init__(
        self,
        *,
        address: str,
        login: AppRole,
        target_dsns: Mapping[str, str],
        clock: Callable[[], datetime],
        wrap_ttl_s: int = 60,
        address_for_clients: str | None = None,
        context: ssl.SSLContext | None = None,
        name: str = "vault",
    ) -> None:
        if not 1 <= wrap_ttl_s <= LONGEST_S:
            raise ValueError(f"wrap_ttl_s must be 1 to {LONGEST_S}")
        self.name = name
        self._clock = clock
        self._wire = Wire(address, context=context)
        self._broker = Broker(self._wire, login)
        self._tokens = Tokens(self._wire, self._broker)
        self._targets = {target_id: PostgresTarget(dsn) for target_id, dsn in target_dsns.items()}
        shown = address_for_clients or self._wire.address
        self._database = DatabaseLeases(
            wire=self._wire,
            tokens=self._tokens,
            targets=self._targets,
            clock=clock,
            wrap_ttl_s=wrap_ttl_s,
            address_for_clients=shown,
        )
        self._scoped = ScopedTokens(tokens=self._tokens, clock=clock, wrap_ttl_s=wrap_ttl_s, address_for_clients=shown)

    def __repr__(self) -> str:
        return f"VaultProvider({self.name!r}, {self._wire.address})"

    def close(self) -> None:
        """Close idle connections; calls after this open new ones."""
        self._wire.close()
        for target in self._targets.values():
            target.close_connections()

    def unfit_rights(self) -> tuple[str, ...]:
        """Say what the broker's login at OpenBao may too much or too little; see `rights.unfit_rights`.

        Raises:
            Away: OpenBao does not say.
        """
        return unfit_rights(self._broker)

    def preview(self, order: Order) -> Preview:
        """Say what the order would give, without calling anybody; see `Provider.preview`."""
        return preview(order)

    def reserve(self, order: Order) -> Reservation:
        """Mint the token that everything hangs on; see `Provider.reserve`."""
        wanted = plan(order)
        if isinstance(wanted, DatabasePlan):
            return self._database.reserve(order, wanted)
        return self._scoped.reserve(order, wanted)

    def issue(self, reservation: Reservation) -> Issued:
        """Make the credential, once; see `Provider.issue`."""
        if reservation.order.target.get("kind") == DATABASE:
            return self._database.issue(reservation)
        return self._scoped.issue(reservation)

    def end(self, ref: LeaseRef) -> Answer:
        """Order the end; see `Provider.end`. With OpenBao away a database lease is ended at the target all the same."""
        return self._database.end(ref) if ref.target.get("kind") == DATABASE else self._scoped.end(ref)

    def look(self, refs: Sequence[LeaseRef]) -> Mapping[str, Sighting]:
        """Look at each lease, one query per target; see `Provider.look`."""
        by_target: defaultdict[tuple[object, str], list[LeaseRef]] = defaultdict(list)
        for ref in refs:
            by_target[ref.target.get("kind"), str(ref.target.get("id"))].append(ref)
        sightings: dict[str, Sighting] = {}
        for (kind, target_id), here in by_target.items():
            if kind == DATABASE:
                sightings.update(self._database.look(target_id, here))
            elif kind == SCOPED:
                sightings.update(self._scoped.look(here))
            else:
                at = self._clock()
                sightings.update(
                    {
                        r.lease_id: Sighting(standing=Standing.UNKNOWN, at=at, seen={"target": "unknown kind"})
                        for r in here
                    }
                )
        return sightings

    def received(self, ref: LeaseRef) -> bool | None:
        """Say whether a wrapped credential was picked up; see `Provider.received`. None once its time is over, or unseen."""
        accessor, until = ref.handle.get("wrapping_accessor"), ref.handle.get("wrapped_until")
        if not accessor or not isinstance(until, str):
            return None
        try:
            if self._tokens.facts(str(accessor)) is not None:
                return False
            return True if self._clock() < read(until) else None
        except (Away, NotATime):
            return None

    def roll_call(self, targets: Sequence[Mapping[str, Any]]) -> Iterator[Stray]:
        """List lease-named roles, sessions of dropped roles, and tokens of our token role; see `Provider.roll_call`.

        Yields what it can see first, and raises `Away` at the end if something could not be seen.
        """
        unseen: list[str] = []
        for target in targets:
            if target.get("kind") == DATABASE:
                try:
                    yield from self._roles_at(str(target.get("id")))
                except (Away, Declined) as error:
                    unseen.append(str(error))
        try:
            for accessor, facts in self._tokens.census().items():
                yield Stray(
                    lease_id=facts.lease_id,
                    target=facts.target_id or "",
                    place="openbao token",
                    ref={"kind": "token", "accessor": accessor},
                )
        except Away as error:
            unseen.append(str(error))
        if unseen:
            raise Away("; ".join(unseen))

    def end_stray(self, stray: Stray) -> Answer:
        """End what `roll_call` found; see `Provider.end_stray`."""
        kind = stray.ref.get("kind")
        try:
            if kind == "token":
                return Answer(said={"token": self._tokens.revoke(str(stray.ref["accessor"]))})
            target = self._target(stray.target)
            if kind == "role" and stray.lease_id is not None:
                said: dict[str, Any] = {"close": target.close(stray.lease_id)}
                said["end"], said["sessions_left"] = target.end(stray.lease_id, stray.ref.get("role_oid"))
                return Answer(said=said)
            if kind == "dangling":
                return Answer(said={"sessions_left": target.end_dangling(int(stray.ref["role_oid"]))})
        except Declined as error:
            raise Away(str(error)) from None
        raise Away(f"{stray.place} is nothing that this provider can end")

    def _roles_at(self, target_id: str) -> Iterator[Stray]:
        for row in self._target(target_id).roster():
            seen: dict[str, Any] = {"role_oid": row.role_oid, "can_login": row.can_login, "sessions": row.sessions}
            if row.last_activity is not None:
                seen["last_activity"] = spell(row.last_activity)
            yield Stray(
                lease_id=row.lease_id,
                target=target_id,
                place="postgresql session of a dropped role" if row.dropped else "postgresql role",
                ref={"kind": "dangling" if row.dropped else "role", **seen},
            )

    def _target(self, target_id: str) -> PostgresTarget:
        target = self._targets.get(target_id)
        if target is None:
            raise Away(f"the broker has no account at target {target_id}")
        return target
