"""Ending access on somebody's word: handing back, revoking, stopping, disabling a person. None of it gives anything.

What is written here is due at once; the sweep carries it out and looks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from countersign.domain.grant import Grant, GrantEvent
from countersign.domain.ids import STOP
from countersign.domain.lease import Cause
from countersign.domain.people import Principal, Role
from countersign.domain.people_facts import PersonDisabled, TokenRevoked
from countersign.domain.refusals import Invalid, NotEligible, NotFound, NotPermitted, NotYours
from countersign.domain.request import Sealed
from countersign.domain.stop_facts import StopLiftAsked, StopLifted, StopPlaced
from countersign.domain.timestamps import spell
from countersign.service.endings import close_grant
from countersign.service.office import Office
from countersign.service.reach import Reach, takes_two
from countersign.service.rules import Rules
from countersign.service.sessions import Sessions
from countersign.service.sight import visible_grant
from countersign.store import Stop, Tx

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
            grant = visible_grant(tx, principal, self.office.rules.current(tx), grant_id, lock=True)
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
            grant = visible_grant(tx, principal, rules, grant_id, lock=True)
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
        """Stop all access, or that of one person, entitlement or provider, until someone else lifts it; what lives ends.

        Raises:
            NotPermitted: neither operator nor on call.
            Invalid: an unknown scope, or one without what it concerns.
        """
        with self.office.attempt(principal, act="stop", subject=target or scope), self.office.store.begin() as tx:
            reach = self._reach(tx, principal, scope=scope, target=target)
            placed = self._place(tx, principal, reach, reason=reason, until=None, ends=True)
        self.office.nudge()
        return placed

    def lock(self, principal: Principal, *, scope: str, target: str, until: datetime, reason: str, ends: bool) -> Ended:
        """Stop reviews and draws of one person, entitlement or provider until a moment; what lives ends only if told to.

        Raises:
            NotPermitted: neither operator nor on call.
            Invalid: an unknown scope, nothing that it concerns, or a moment that is past or too far off.
        """
        with self.office.attempt(principal, act="lock", subject=target), self.office.store.begin() as tx:
            reach = self._reach(tx, principal, scope=scope, target=target)
            if scope == "all" or not tx.now < until <= tx.now + LONGEST_LOCK:
                raise Invalid(f"until must lie ahead, by at most {LONGEST_LOCK.days} days", field="until")
            placed = self._place(tx, principal, reach, reason=reason, until=until, ends=ends)
        self.office.nudge()
        return placed

    def lift(self, principal: Principal, stop_id: str) -> Stop:
        """Lift a stop, or ask for it: two people stand behind every lifting, and never the person it concerns.

        A stop is lifted by another than who placed it. A lock on production, and what the self-check stopped, is lifted by two
        who say so one after the other; who placed a lock may be one of them.

        Raises:
            NotPermitted: not operator nor on call; the only one so far who stands behind it; or the person it concerns.
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
            if stop.lift_asked_by is None and takes_two(stop, rules):
                return self._ask_to_lift(tx, principal, stop)
            if principal.person == (stop.lift_asked_by or stop.placed_by):
                raise NotPermitted(
                    "who placed a stop, or asked to lift a lock, does not lift it alone",
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

    def _reach(self, tx: Tx, principal: Principal, *, scope: str, target: str | None) -> Reach:
        rules = self.office.rules.current(tx)
        rules.directory.demand(principal, Role.OPERATOR, Role.ON_CALL)
        reach = Reach(rules=rules, scope=scope, target=target)
        reach.demand_known()
        return reach

    def _place(
        self, tx: Tx, principal: Principal, reach: Reach, *, reason: str, until: datetime | None, ends: bool
    ) -> Ended:
        """Place a stop, with its own end or without; end what lives if told to."""
        sealed = self.office.seal(reason, field="reason")
        stop = Stop(
            id=self.office.new_id(STOP),
            scope=reach.scope,
            target=reach.target,
            placed_by=principal.person,
            placed_at=tx.now,
            until=until,
        )
        tx.add_stop(stop)
        grants, requests = reach.end(tx, cause=Cause.STOPPED, actor=principal.person, reason=sealed) if ends else (0, 0)
        tx.record(
            StopPlaced(
                actor=principal.person,
                subject=stop.id,
                principal=principal.id,
                scope=reach.scope if reach.target is None else f"{reach.scope} {reach.target}",
                reason=sealed,
                grants_revoked=grants,
                requests_ended=requests,
                until=until,
            )
        )
        return Ended(stop=stop, grants=grants, requests=requests)

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
            grants, requests = self.end_person(tx, rules, person, actor=principal.person, reason=sealed)
        self.office.nudge()
        return Ended(stop=None, grants=grants, requests=requests)

    def end_person(self, tx: Tx, rules: Rules, person: str, *, actor: str, reason: Sealed) -> tuple[int, int]:
        """End what a person has who left, within a transaction; return how many grants and pending requests that were.

        The caller records why, and nudges once the transaction is over.
        """
        reach = Reach(rules=rules, scope="person", target=person)
        return reach.end(tx, cause=Cause.DISABLED, actor=actor, reason=reason)

    def _is_operator(self, principal: Principal, rules: Rules) -> bool:
        return Role.OPERATOR in rules.directory.roles_of(principal.person)
