"""The half that faces providers: a draw, from judged approval to a credential handed over once.

The order is the point: intent is committed before anything exists outside, the handle that kills before anything usable exists,
the outcome before the secret leaves. Whatever goes wrong in between ends in a lease that the sweep kills.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import structlog

from countersign.domain.canonical import digest
from countersign.domain.facts import BROKER
from countersign.domain.grant import Grant
from countersign.domain.ids import LEASE
from countersign.domain.lease import PREPARED_FOR_AT_MOST, Cause, Lease, LeaseState
from countersign.domain.lease_facts import LeaseIssued, LeasePrepared, LeaseReserved
from countersign.domain.people import Principal
from countersign.domain.refusals import (
    AlreadyDelivered,
    Conflict,
    NotCosigned,
    NotFound,
    ProviderAway,
    ProviderRefused,
    Refused,
    Stopped,
)
from countersign.domain.request import Request
from countersign.providers.base import (
    Credential,
    Declined,
    Issued,
    Order,
    Provider,
    ProviderTrouble,
    Reservation,
    Unfit,
)
from countersign.service.bounds import demand_in_time
from countersign.service.cosigning import Cosigning
from countersign.service.endings import NEVER_SERVED, end_lease
from countersign.service.judgement import Judged, demand_as_approved, judge_for_draw
from countersign.service.memory import LogMemory
from countersign.service.office import Office, refuse_if_stopped, remember, replayed
from countersign.service.rules import Rules
from countersign.service.sight import may_see
from countersign.service.trusting import refuse_if_mistrusted
from countersign.service.warrants import Warrant
from countersign.store import Tx

logger = structlog.get_logger(__name__)

COSIGNED_WITHIN_S = 3.0
CLOCK_TOLERANCE = timedelta(seconds=2)
OVERDUE_LIMIT = 20
"""With so many leases of one target past their time and not seen dead, nothing more is issued for it."""


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A lease and its credential, on the way to the requester; the credential is not kept."""

    lease: Lease
    credential: Credential

    @property
    def lease_id(self) -> str:
        """Which lease it is of."""
        return self.lease.id

    def document(self) -> dict[str, Any]:
        """Return what a draw gives, as plain JSON: no model of ours holds the secret, lest an error shows it."""
        return {
            "lease": self.lease.handed(),
            "credential": {**self.credential.fields, "kind": self.credential.kind},
        }


@dataclass(frozen=True, kw_only=True)
class Issuer:
    """Draws. The only use case that brings a credential into the world."""

    office: Office
    providers: Mapping[str, Provider]
    cosigning: Cosigning
    memory: LogMemory = field(default_factory=LogMemory)

    def draw(
        self, principal: Principal, grant_id: str, *, key: str | None = None, warrant: Warrant | None = None
    ) -> Drawn:
        """Redeem a grant for one set of credentials.

        Args:
            principal: who draws.
            grant_id: under which.
            key: his idempotency key.
            warrant: what was found out about his order, where the half that took it is not believed.

        Raises:
            Refused: with the code of the rule that refuses; `provider-away` or `provider-refused` when no credential came
                of it (the draw is given back).
        """
        with self.office.attempt(principal, act="draw", subject=grant_id):
            self.memory.wake(self.office.store)
            # 1. Judge everything again and commit the intent, under the id that whatever comes to exist will bear.
            lease, order, cosigned = self._intend(principal, grant_id, key, warrant)
            provider = self.providers[lease.provider]
            if cosigned:
                self._demand_cosigned(lease)
            # 2. Set up the handle that kills, and commit it: nothing usable exists yet.
            reservation = self._reserve(provider, lease, order)
            lease = self._commit_handle(lease, reservation)
            # 3. The only dangerous act, once.
            issued = self._issue(provider, lease, reservation)
            # 4. Outcome: only now may the secret leave the building.
            lease = self._commit_outcome(lease, issued)
        return Drawn(lease=lease, credential=issued.credential)

    def undelivered(self, lease_id: str) -> None:
        """Revoke a credential whose answer was lost on the way, and give the draw back."""
        with self.office.store.begin() as tx:
            lease = tx.lease(lease_id)
            if lease is None or lease.state is not LeaseState.ACTIVE:
                return
            end_lease(tx, lease, cause=Cause.UNDELIVERED, actor=f"{BROKER}/delivery", give_back=True)
        self.office.nudge()

    def _intend(
        self, principal: Principal, grant_id: str, key: str | None, warrant: Warrant | None
    ) -> tuple[Lease, Order, bool]:
        with self.office.store.begin() as tx:
            grant = tx.grant(grant_id, lock=True)
            # Behind the lock, so that whoever drew under the grant before is in what is read here.
            rules = self._rules(tx)
            if warrant is not None:
                rules = warrant.grounds(tx, rules, self.memory)
            grant, request = self._granted(tx, principal, rules, grant, named=grant_id)
            grant = self.memory.as_logged(grant)
            self._refuse_replay(tx, principal, key, grant)
            if tx.clock_behind > CLOCK_TOLERANCE:
                raise Stopped(
                    "the clock is behind what was already written; issuing stops, ending goes on",
                    rule="a clock that disagrees stops issuing",
                    hint="mend the clock",
                )
            refuse_if_mistrusted(self.office.configured, rules.catalog.trust)
            prepared = grant.prepare(principal, tx.now)
            judged = judge_for_draw(tx, request, granted_digest=grant.request_digest, rules=rules)
            demand_as_approved(grant, request, judged.entitlement)
            self.memory.demand_opened(grant)
            self.memory.demand_envelope_opened(tx, request)
            demand_in_time(prepared, request, judged.entitlement, now=tx.now)
            if warrant is not None:
                warrant.judge(tx, grant, request, judged)
            entitlement = judged.entitlement
            rules.demand_account(principal, entitlement)
            entitlement.demand_second_factor(principal)
            refuse_if_stopped(tx, person=grant.person, entitlement=entitlement.id, provider=entitlement.provider)
            self._refuse_while_overdue(tx, entitlement.target.id)
            if entitlement.provider not in self.providers:
                raise ProviderAway(f"the provider {entitlement.provider} is not configured here")
            lease = self._prepare_lease(tx, prepared, judged)
            tx.move_grant(grant, prepared)
            tx.add_lease(lease)
            remember(tx, principal, key, call="draw", body=grant.id, result=lease.id)
            if warrant is not None:
                tx.record(warrant.accepted(principal, lease.id))
            tx.record(
                LeasePrepared(
                    actor=principal.person,
                    subject=lease.id,
                    principal=principal.id,
                    grant=grant.id,
                    request=request.id,
                    digest=request.digest,
                    person=grant.person,
                    approvers=judged.approvers,
                    provider=lease.provider,
                    target=entitlement.target.id,
                    generation=lease.generation,
                    not_after=lease.not_after,
                    backstop_at=lease.backstop_at,
                    delivery=entitlement.delivery.value,
                )
            )
            order = Order(
                lease_id=lease.id,
                grant_id=grant.id,
                request_id=request.id,
                person=grant.person,
                entitlement=entitlement.id,
                target=lease.target,
                grants=entitlement.grants,
                parameters=request.parameters,
                now=tx.now,
                not_after=lease.not_after,
                backstop_at=lease.backstop_at,
                delivery=entitlement.delivery,
            )
        return lease, order, entitlement.cosigned

    def _rules(self, tx: Tx) -> Rules:
        """Return the rules in force, once they rest on what the log said of them."""
        self.memory.demand_growth(tx)
        rules = self.office.rules.current(tx)
        if not self.memory.is_told(rules):  # a key may have been enrolled between those two looks
            self.memory.demand_growth(tx)
            rules = self.office.rules.current(tx)
        self.memory.demand_told(rules)
        return self.memory.judged(rules)

    def _demand_cosigned(self, lease: Lease) -> None:
        """Wait until somebody elsewhere has seen the intent: from then on it cannot be made unhappened, whoever issues."""
        try:
            with self.office.store.read() as tx:
                size = tx.head().size
            if self.cosigning.is_cosigned(size, within_s=COSIGNED_WITHIN_S):
                return
        except BaseException:
            self._abandon(lease, Cause.FAILED)
            raise
        self._abandon(lease, Cause.FAILED)
        raise NotCosigned(
            f"the witnesses did not vouch for the intent within {COSIGNED_WITHIN_S:.0f} s; no credential was made",
            rule=f"entitlement {lease.entitlement}: cosigned",
            hint="draw again when they answer; the draw was given back",
        )

    def _granted(
        self, tx: Tx, principal: Principal, rules: Rules, grant: Grant | None, *, named: str
    ) -> tuple[Grant, Request]:
        request = None if grant is None else tx.request(grant.request_id)
        if (
            grant is None
            or request is None
            or not may_see(
                tx, principal, rules, request_id=request.id, owner=grant.person, entitlement=grant.entitlement
            )
        ):
            raise NotFound(f"there is no grant {named[:20]!r} for you")
        return grant, request

    def _refuse_replay(self, tx: Tx, principal: Principal, key: str | None, grant: Grant) -> None:
        before = replayed(tx, principal, key, call="draw", body=grant.id)
        lease = None if before is None else tx.lease(before)
        if lease is not None and lease.cause not in NEVER_SERVED:
            raise AlreadyDelivered(
                f"this draw was answered with {lease.id}; a secret is handed over once and not kept",
                rule="a secret is handed over once",
                hint="draw again with a new key if draws are left, or return the grant",
            )

    def _refuse_while_overdue(self, tx: Tx, target: str) -> None:
        overdue = tx.count_overdue(target=target)
        if overdue >= OVERDUE_LIMIT:
            raise Stopped(
                f"{overdue} credentials at {target} are past their time and not seen dead",
                rule=f"at most {OVERDUE_LIMIT - 1} overdue at a target",
                hint="the operator is told; issuing resumes by itself when they are seen dead",
            )

    def _prepare_lease(self, tx: Tx, grant: Grant, judged: Judged) -> Lease:
        if grant.not_after is None:
            raise Conflict(f"{grant.id} has no end")
        entitlement = judged.entitlement
        return Lease(
            id=self.office.new_id(LEASE),
            grant_id=grant.id,
            request_id=grant.request_id,
            person=grant.person,
            entitlement=entitlement.id,
            provider=entitlement.provider,
            target=entitlement.document()["target"],
            prepared_at=tx.now,
            not_after=grant.not_after,
            backstop_at=grant.not_after + entitlement.backstop,
            due=min(tx.now + PREPARED_FOR_AT_MOST, grant.not_after),
            idle_s=None if entitlement.idle is None else int(entitlement.idle.total_seconds()),
        )

    def _reserve(self, provider: Provider, lease: Lease, order: Order) -> Reservation:
        try:
            return provider.reserve(order)
        except ProviderTrouble as trouble:
            self._abandon(lease, Cause.FAILED)
            raise _refusal(trouble) from trouble
        except BaseException:
            self._abandon(lease, Cause.FAILED)
            raise

    def _commit_handle(self, lease: Lease, reservation: Reservation) -> Lease:
        reserved = lease.reserved(reservation.handle)
        try:
            with self.office.store.begin() as tx:
                self.memory.demand_growth(tx)
                tx.move_lease(lease, reserved)
                tx.record(
                    LeaseReserved(
                        actor=f"{BROKER}/issuer",
                        subject=lease.id,
                        handle=digest("countersign/handle/v1", dict(reserved.handle)),
                    )
                )
            self.memory.keep()  # from here on the intent is remembered, whatever becomes of the database
        except Refused:
            self._abandon(lease, Cause.FAILED)
            raise
        return reserved

    def _issue(self, provider: Provider, lease: Lease, reservation: Reservation) -> Issued:
        try:
            return provider.issue(reservation)
        except ProviderTrouble as trouble:
            self._abandon(lease, Cause.FAILED if isinstance(trouble, Declined) else Cause.OUTCOME_UNKNOWN)
            raise _refusal(trouble) from trouble
        except BaseException:
            self._abandon(lease, Cause.OUTCOME_UNKNOWN)
            raise

    def _commit_outcome(self, lease: Lease, issued: Issued) -> Lease:
        active = lease.issued(issued.handle, receipt_due=issued.receipt_due)
        try:
            with self.office.store.begin() as tx:
                tx.move_lease(lease, active)
                tx.record(
                    LeaseIssued(
                        actor=f"{BROKER}/issuer",
                        subject=lease.id,
                        grant=lease.grant_id,
                        expires_at=issued.expires_at,
                        details=issued.details,
                    )
                )
        except Refused:
            self._abandon(lease, Cause.OUTCOME_UNKNOWN)
            raise
        return active

    def _abandon(self, lease: Lease, cause: Cause) -> None:
        """Send a lease to its death and give the draw back; if even that cannot be written, the lease is due by itself."""
        try:
            with self.office.store.begin() as tx:
                now = tx.lease(lease.id)
                if now is not None and now.state is LeaseState.PREPARED:
                    end_lease(tx, now, cause=cause, actor=f"{BROKER}/issuer", give_back=True)
        except Refused as trouble:
            logger.warning("an abandoned lease is left to the sweep", lease=lease.id, code=trouble.code)
        self.office.nudge()


def _refusal(trouble: ProviderTrouble) -> Refused:
    if isinstance(trouble, Declined | Unfit):
        return ProviderRefused(
            f"the provider said no: {trouble}", hint="tell the entitlement's owner; the draw was given back"
        )
    return ProviderAway(
        f"the provider did not serve: {trouble}; no credential is left standing",
        hint="draw again; the draw was given back",
    )
