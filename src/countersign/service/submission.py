"""The one route by which a request comes to be, whoever judges it then: reviewers, or those who signed an envelope before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from countersign.domain.emergency import Emergency
from countersign.domain.entitlement import Entitlement
from countersign.domain.ids import GRANT, LEASE, RANDOM_BYTES, REQUEST, make_id
from countersign.domain.people import Principal
from countersign.domain.refusals import Invalid, Limit
from countersign.domain.request import Request, RequestState
from countersign.domain.request_facts import RequestSubmitted
from countersign.providers.base import Order, Preview, Previewer, Unfit
from countersign.service.granting import demand_may_ask, refuse_while_owed
from countersign.service.office import Office, refuse_if_stopped
from countersign.service.rules import Rules
from countersign.service.signatures import is_required
from countersign.store import Tx

DAY = timedelta(days=1)
COMMIT = "commit"
"""The parameter that binds an approval to what a pipeline deploys."""


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What a requester says; `counters` names the denied request whose counter-proposal it takes up."""

    entitlement: str
    parameters: Mapping[str, object]
    duration_s: int
    reason: str
    ticket: str | None = None
    emergency: Emergency | None = None
    counters: str | None = None

    def body(self) -> dict[str, Any]:
        """Return it as plain JSON, to know a repeated call again."""
        return {
            "entitlement": self.entitlement,
            "parameters": {name: str(value) for name, value in self.parameters.items()},
            "duration_s": self.duration_s,
            "reason": self.reason,
            "ticket": self.ticket,
            "emergency": None if self.emergency is None else self.emergency.document(),
            "counters": self.counters,
        }


@dataclass(frozen=True, kw_only=True)
class Submissions:
    """Judges what is asked from the requester's side, keeps it and records it.

    Attributes:
        previews: by provider name, what an order would give; pure, without provider rights.
    """

    office: Office
    previews: Mapping[str, Previewer]

    def make(self, tx: Tx, principal: Principal, ask: Ask, *, entitlement: Entitlement, rules: Rules) -> Request:
        """Return a new request, kept and recorded; the caller judges what is to become of it, in the same transaction.

        Raises:
            Refused: with the code of the rule that refuses, or `invalid` naming the field.
        """
        refuse_if_stopped(tx, person=principal.person, entitlement=entitlement.id, provider=entitlement.provider)
        demand_may_ask(principal, entitlement, rules)
        entitlement.demand_second_factor(principal)
        _demand_own_commit(principal, ask)
        request = self._draft(tx, principal, entitlement, ask)
        self.preview(request, entitlement)
        self._refuse_beyond_caps(tx, request, entitlement)
        if ask.emergency is not None:
            refuse_while_owed(tx, principal.person, ask.emergency, entitlement)
        tx.add_request(request, target=entitlement.target.id)
        tx.record(
            RequestSubmitted(
                actor=principal.person,
                subject=request.id,
                principal=principal.id,
                digest=request.digest,
                statement=request.statement(),
                lapses_at=request.lapses_at,
                reason=request.reason,
                ticket=request.ticket,
            )
        )
        return request

    def _draft(self, tx: Tx, principal: Principal, entitlement: Entitlement, ask: Ask) -> Request:
        """Return what was asked, judged against the entitlement.

        Raises:
            Invalid: naming the field.
        """
        return Request(
            id=self.office.new_id(REQUEST),
            person=principal.person,
            principal=principal.id,
            entitlement=entitlement.id,
            rule_digest=entitlement.rule_digest,
            parameters=entitlement.judge_parameters(ask.parameters),
            duration=entitlement.judge_duration(ask.duration_s, emergency=ask.emergency),
            reason=self.office.seal(ask.reason, field="reason"),
            ticket=None if ask.ticket is None else self.office.seal(ask.ticket, field="ticket"),
            submitted_at=tx.now,
            lapses_at=tx.now + entitlement.review_ttl,
            emergency=ask.emergency,
            counters=ask.counters,
            behind=principal.behind,
            signed=is_required(entitlement),
        )

    def preview(self, request: Request, entitlement: Entitlement) -> Preview:
        """Return what a request would give, in words and exact privileges.

        Raises:
            Invalid: the provider would not serve it.
        """
        order = Order(
            lease_id=make_id(LEASE, bytes(RANDOM_BYTES)),
            grant_id=make_id(GRANT, bytes(RANDOM_BYTES)),
            request_id=request.id,
            person=request.person,
            entitlement=entitlement.id,
            target=entitlement.document()["target"],
            grants=entitlement.grants,
            parameters=request.parameters,
            now=request.submitted_at,
            not_after=request.submitted_at + request.duration,
            backstop_at=request.submitted_at + request.duration + entitlement.backstop,
            delivery=entitlement.delivery,
        )
        try:
            return _with_idle_end(self.previews[entitlement.provider](order), entitlement)
        except KeyError as missing:
            raise Invalid(
                f"the provider {entitlement.provider} is not configured here", field="entitlement"
            ) from missing
        except Unfit as unfit:
            raise Invalid(str(unfit), field=unfit.field or "entitlement") from unfit

    def _refuse_beyond_caps(self, tx: Tx, request: Request, entitlement: Entitlement) -> None:
        """Refuse what is more than one person, or all together, may hold.

        Raises:
            Limit: naming the cap.
        """
        caps, person, target = entitlement.caps, request.person, entitlement.target.id
        tx.serialise(f"person {person}")
        pending = tx.requests(person=person, state=RequestState.PENDING, limit=caps.pending_per_person)
        if len(pending) >= caps.pending_per_person:
            raise Limit(
                f"{person} has {len(pending)} requests waiting for review",
                rule=f"entitlement {entitlement.id}: caps.pending_per_person = {caps.pending_per_person}",
                hint="withdraw one, or wait for a review",
            )
        if tx.count_open_grants(person=person, entitlement=entitlement.id) >= caps.open_per_person:
            raise Limit(
                f"{person} holds the most open grants of {entitlement.id} that one person may",
                rule=f"entitlement {entitlement.id}: caps.open_per_person = {caps.open_per_person}",
                hint="return one first",
            )
        if tx.count_open_grants(target=target) >= caps.open_per_target:
            raise Limit(
                f"{target} has the most open grants it may have",
                rule=f"entitlement {entitlement.id}: caps.open_per_target = {caps.open_per_target}",
                hint="wait until one ends",
            )
        asked = int(request.duration.total_seconds())
        if tx.granted_seconds(person=person, target=target, since=tx.now - DAY) + asked > caps.seconds_per_person_day:
            raise Limit(
                f"{person} would have more time on {target} within a day than one person may",
                rule=f"entitlement {entitlement.id}: caps.seconds_per_person_day = {caps.seconds_per_person_day}",
                hint="ask for less, or tomorrow",
            )


def _with_idle_end(preview: Preview, entitlement: Entitlement) -> Preview:
    """Return what an order would give, with the line that says when nobody's using it ends it."""
    if entitlement.idle is None:
        return preview
    line = f"each credential ends early once it was not used for {int(entitlement.idle.total_seconds())} s"
    return replace(preview, privileges=(*preview.privileges, line))


def _demand_own_commit(principal: Principal, ask: Ask) -> None:
    """Demand that a pipeline which names a commit names the one that it runs on.

    Raises:
        Invalid: naming `parameters.commit`.
    """
    named = ask.parameters.get(COMMIT)
    if named is not None and principal.revision is not None and named != principal.revision:
        raise Invalid(
            "a pipeline asks for the commit that it runs on",
            field=f"parameters.{COMMIT}",
            rule="the commit is the one that the CI's token names",
        )
