"""Ending access on somebody's word: handing back, revoking, stopping, disabling a person. None of it gives anything.

What is written here is due at once; the sweep carries it out and looks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from countersign.domain.environment import Environment
from countersign.domain.grant import Grant, GrantEvent
from countersign.domain.ids import STOP
from countersign.domain.lease import Cause
from countersign.domain.people import Principal, Role
from countersign.domain.people_facts import PersonDisabled, TokenRevoked
from countersign.domain.refusals import Invalid, NotEligible, NotFound, NotPermitted, NotYours
from countersign.domain.request import RequestEvent, RequestState, Sealed
from countersign.domain.stop_facts import StopLiftAsked, StopLifted, StopPlaced
from countersign.domain.timestamps import spell
from countersign.service.endings import close_grant, decide_request
from countersign.service.office import Office
from countersign.service.rules import Rules
from countersign.service.sessions import Sessions
from countersign.service.sight import may_see
from countersign.store import Stop, Tx

SCOPES = ("all", "person", "entitlement", "provider")
EVERYTHING = 1_000_000
LONGEST_LOCK = timedelta(days=30)


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How much a stop or a disablement ended."""

    stop: Stop | None
    grants: int
    requests: int


@dataclass(frozen=True, kw_only=True)
class Control:
    """Use cases that only ever take access away, and the lifting of a stop by someone else."""

    office: Office

    def give_back(self, principal: Principal, grant_id: str) -> Grant:
        """Hand a grant back early: nothing more can be drawn, and what was drawn is ended.

        Raises:
            NotYours, NotFound, WrongState: as the grant stands to the principal.
        """
        with self.office.attempt(principal, act="return", subject=grant_id), self.office.store.begin() as tx:
            grant = self._seen(tx, principal, self.office.rules.current(tx), grant_id)
            if grant.person != principal.person:
                raise NotYours(f"{grant.id} was granted to someone else", rule="only the requester returns")
            closed = close_grant(tx, grant, GrantEvent.RETURN, cause=Cause.RETURNED, actor=principal.person)
        self.office.nudge()
        return closed

    def revoke(self, principal: Principal, grant_id: str, *, reason: str) -> Grant:
        """Take a grant away: its requester, who approved it, and operators may.

        Raises:
            NotEligible, NotFound, WrongState: as the grant stands to the principal.
        """
        with self.office.attempt(principal, act="revoke", subject=grant_id), self.office.store.begin() as tx:
            rules = self.office.rules.current(tx)
            grant = self._seen(tx, principal, rules, grant_id)
            signed = tx.granters(grant.request_id)
            if principal.person not in signed | {grant.person} and not self._is_operator(principal, rules):
                raise NotEligible(
                    f"{principal.person} may not revoke {grant.id}",
                    rule="the requester, who approved it, or an operator revokes",
                )
            sealed = self.office.seal(reason, field="reason")
            closed = close_grant(
                tx, grant, GrantEvent.REVOKE, cause=Cause.REVOKED, actor=principal.person, reason=sealed
            )
        self.office.nudge()
        return closed

    def stop(self, principal: Principal, *, scope: str, target: str | None, reason: str) -> Ended:
        """Stop all access, or that of one person, entitlement or provider, until someone else lifts it.

        Raises:
            NotPermitted: neither operator nor on call.
            Invalid: an unknown scope, or one without what it concerns.
        """
        with self.office.attempt(principal, act="stop", subject=target or scope), self.office.store.begin() as tx:
            rules = self.office.rules.current(tx)
            rules.directory.demand(principal, Role.OPERATOR, Role.ON_CALL)
            self._judge_scope(rules, scope, target)
            sealed = self.office.seal(reason, field="reason")
            stop = Stop(
                id=self.office.new_id(STOP),
                scope=scope,
                target=target,
                placed_by=principal.person,
                placed_at=tx.now,
            )
            tx.add_stop(stop)
            ended = self._end_all(
                tx, rules, scope=scope, target=target, cause=Cause.STOPPED, actor=principal.person, reason=sealed
            )
            tx.record(
                StopPlaced(
                    actor=principal.person,
                    subject=stop.id,
                    principal=principal.id,
                    scope=scope if target is None else f"{scope} {target}",
                    reason=sealed,
                    grants_revoked=ended[0],
                    requests_ended=ended[1],
                )
            )
        self.office.nudge()
        return Ended(stop=stop, grants=ended[0], requests=ended[1])

    def lock(self, principal: Principal, *, scope: str, target: str, until: datetime, reason: str, ends: bool) -> Ended:
        """Stop reviews and draws of one person, entitlement or provider until a moment; what lives ends only if told to.

        Raises:
            NotPermitted: neither operator nor on call.
            Invalid: an unknown scope, nothing that it concerns, or a moment that is past or too far off.
        """
        with self.office.attempt(principal, act="lock", subject=target), self.office.store.begin() as tx:
            rules = self.office.rules.current(tx)
            rules.directory.demand(principal, Role.OPERATOR, Role.ON_CALL)
            self._judge_scope(rules, scope, target)
            if scope == "all" or not tx.now < until <= tx.now + LONGEST_LOCK:
                raise Invalid(f"until must lie ahead, by at most {LONGEST_LOCK.days} days", field="until")
            sealed = self.office.seal(reason, field="reason")
            stop = Stop(
                id=self.office.new_id(STOP),
                scope=scope,
                target=target,
                placed_by=principal.person,
                placed_at=tx.now,
                until=until,
            )
            tx.add_stop(stop)
            ended = (0, 0)
            if ends:
                ended = self._end_all(
                    tx, rules, scope=scope, target=target, cause=Cause.STOPPED, actor=principal.person, reason=sealed
                )
            tx.record(
                StopPlaced(
                    actor=principal.person,
                    subject=stop.id,
                    principal=principal.id,
                    scope=f"{scope} {target}",
                    reason=sealed,
                    grants_revoked=ended[0],
                    requests_ended=ended[1],
                    until=until,
                )
            )
        self.office.nudge()
        return Ended(stop=stop, grants=ended[0], requests=ended[1])

    def lift(self, principal: Principal, stop_id: str) -> Stop:
        """Lift a stop that someone else placed; so two people stand behind every lifting.

        A lock on production is lifted by two: the first asks, and another than he and who placed it lifts.

        Raises:
            NotPermitted: not operator nor on call, the one who placed it or asked first, or the person it concerns.
            NotFound: no such stop is in force.
        """
        with self.office.attempt(principal, act="lift", subject=stop_id), self.office.store.begin() as tx:
            rules = self.office.rules.current(tx)
            rules.directory.demand(principal, Role.OPERATOR, Role.ON_CALL)
            stop = next((stop for stop in tx.stops() if stop.id == stop_id), None)
            if stop is None:
                raise NotFound(f"no stop {stop_id[:20]!r} is in force")
            if stop.scope == "person" and stop.target == principal.person:
                raise NotPermitted("nobody lifts a stop of himself", rule="a different person lifts a stop")
            if self._takes_two(rules, stop) and stop.lift_asked_by is None:
                return self._ask_to_lift(tx, principal, stop)
            if principal.person in {stop.placed_by, stop.lift_asked_by}:
                raise NotPermitted(
                    "who placed a stop, or asked first to lift it, does not lift it",
                    rule="a different person lifts a stop",
                    hint=None
                    if stop.until is None
                    else f"another person lifts it; it ends by itself at {spell(stop.until)}",
                )
            tx.lift_stop(stop, by=principal.person)
            tx.record(
                StopLifted(actor=principal.person, subject=stop.id, principal=principal.id, placed_by=stop.placed_by)
            )
        return replace(stop, lift_asked_by=None)

    def _takes_two(self, rules: Rules, stop: Stop) -> bool:
        """Say whether a lock concerns production; what cannot be told does."""
        if stop.until is None:
            return False
        concerned = [
            each
            for each in rules.catalog.entitlements.values()
            if stop.scope == "person" or stop.target in {each.id, each.provider}
        ]
        return not concerned or any(each.environment is Environment.PRODUCTION for each in concerned)

    def _ask_to_lift(self, tx: Tx, principal: Principal, stop: Stop) -> Stop:
        tx.ask_to_lift(stop, by=principal.person)
        tx.record(
            StopLiftAsked(actor=principal.person, subject=stop.id, principal=principal.id, placed_by=stop.placed_by)
        )
        return replace(stop, lift_asked_by=principal.person)

    def stops(self, principal: Principal) -> list[Stop]:
        """Return the stops in force.

        Raises:
            NotPermitted: neither operator, on call nor auditor.
        """
        with self.office.store.read() as tx:
            self.office.rules.current(tx).directory.demand(principal, Role.OPERATOR, Role.ON_CALL, Role.AUDITOR)
            return tx.stops()

    def disable(self, principal: Principal, person: str, *, reason: str) -> Ended:
        """Disable a person for good: tokens, pending requests, open grants and live leases end at once.

        Raises:
            NotPermitted: not an operator, or it is oneself: it cannot be undone.
            Invalid: no such person, or disabled already.
        """
        with self.office.attempt(principal, act="disable", subject=person), self.office.store.begin() as tx:
            rules = self.office.rules.current(tx)
            rules.directory.demand(principal, Role.OPERATOR)
            if person == principal.person:
                raise NotPermitted("nobody disables himself", rule="another operator disables an operator")
            if person not in rules.directory.persons or not tx.disable_person(person):
                raise Invalid(f"there is no active person {person[:63]!r}", field="person")
            sealed = self.office.seal(reason, field="reason")
            for account in rules.directory.principals.values():
                if account.person == person:
                    for token in tx.revoke_tokens(account.id):
                        tx.record(
                            TokenRevoked(actor=principal.person, subject=person, principal=account.id, token=token)
                        )
            Sessions(office=self.office).end_all(tx, tx.sessions_of(person), actor=principal.person, cause="disabled")
            tx.record(PersonDisabled(actor=principal.person, subject=person, principal=principal.id, reason=sealed))
            grants, requests = self._end_all(
                tx, rules, scope="person", target=person, cause=Cause.DISABLED, actor=principal.person, reason=sealed
            )
        self.office.nudge()
        return Ended(stop=None, grants=grants, requests=requests)

    def end_person(self, tx: Tx, rules: Rules, person: str, *, actor: str, reason: Sealed) -> tuple[int, int]:
        """End what a person has who left, within a transaction; return how many grants and pending requests that were.

        The caller records why, and nudges once the transaction is over.
        """
        return self._end_all(tx, rules, scope="person", target=person, cause=Cause.DISABLED, actor=actor, reason=reason)

    def _end_all(
        self, tx: Tx, rules: Rules, *, scope: str, target: str | None, cause: Cause, actor: str, reason: Sealed
    ) -> tuple[int, int]:
        def concerned(person: str, entitlement: str) -> bool:
            found = rules.catalog.entitlements.get(entitlement)
            return (scope, target) in {
                ("all", None),
                ("person", person),
                ("entitlement", entitlement),
                ("provider", found.provider if found else None),
            }

        grants = [g for g in tx.open_grants(scope=scope, target=target) if concerned(g.person, g.entitlement)]
        for grant in grants:
            close_grant(tx, grant, GrantEvent.REVOKE, cause=cause, actor=actor, reason=reason)
        pending = [
            r for r in tx.requests(state=RequestState.PENDING, limit=EVERYTHING) if concerned(r.person, r.entitlement)
        ]
        for request in pending:
            decide_request(tx, request, RequestEvent.WITHDRAW, actor=actor)
        return len(grants), len(pending)

    def _judge_scope(self, rules: Rules, scope: str, target: str | None) -> None:
        if scope not in SCOPES:
            raise Invalid(f"scope must be one of: {', '.join(SCOPES)}", field="scope")
        known = {
            "person": rules.directory.persons.keys(),
            "entitlement": rules.catalog.entitlements.keys(),
            "provider": {e.provider for e in rules.catalog.entitlements.values()},
        }
        if scope == "all" and target is not None:
            raise Invalid("a stop of all takes no id", field="id")
        if scope != "all" and target not in known[scope]:
            raise Invalid(f"there is no {scope} {str(target)[:63]!r}", field="id")

    def _seen(self, tx: Tx, principal: Principal, rules: Rules, grant_id: str) -> Grant:
        grant = tx.grant(grant_id, lock=True)
        if grant is None or not may_see(
            tx, principal, rules, request_id=grant.request_id, owner=grant.person, entitlement=grant.entitlement
        ):
            raise NotFound(f"there is no grant {grant_id[:20]!r} for you")
        return grant

    def _is_operator(self, principal: Principal, rules: Rules) -> bool:
        return Role.OPERATOR in rules.directory.roles_of(principal.person)
