"""What was done: the records of targets and providers brought to a grant, beside what was granted and what nobody could tell.

It is other people's word, matched to leases by name. What no declared source tells, what was lost, and what is not told yet is
said in the answer: an empty list of uses means that nothing was done only where nothing is missing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from countersign.domain.grant import Grant
from countersign.domain.lease import Lease
from countersign.domain.people import Principal, Role
from countersign.domain.reading_facts import AuditAsked
from countersign.domain.records import Outcome, SourceState, Use
from countersign.domain.records_facts import RecordsGap
from countersign.domain.refusals import Invalid, NotFound
from countersign.domain.request import Request
from countersign.domain.timestamps import read, spell
from countersign.providers.records import RecordSource
from countersign.service.office import Office
from countersign.service.records import SEEN_AGAIN_EVERY
from countersign.service.submission import Submissions
from countersign.store import Tx

MOST_GAPS = 1000


@dataclass(frozen=True, kw_only=True)
class Told:
    """A source that could tell of a grant's leases.

    Attributes:
        declared: whether this broker's settings still name it.
        state: how far it was followed; None if it never was.
    """

    name: str
    declared: bool
    state: SourceState | None


@dataclass(frozen=True, kw_only=True)
class Done:
    """What was granted, what was done with it as far as anybody told, and what is missing.

    Attributes:
        privileges: what the entitlement gives, exactly; empty when its rule has changed since.
        missing: what is not known, a line each; empty when all was told.
    """

    grant: Grant
    request: Request
    privileges: tuple[str, ...]
    leases: Sequence[Lease]
    uses: Sequence[Use]
    sources: Sequence[Told]
    missing: Sequence[str]

    @property
    def refused(self) -> list[Use]:
        """Attempts outside of the task: what the target refused."""
        return [use for use in self.uses if use.outcome is Outcome.REFUSED]

    @property
    def outside(self) -> list[Use]:
        """Uses outside of the window: before the draw, or after the end."""
        return [use for use in self.uses if use.outside]


@dataclass(frozen=True, kw_only=True)
class Doings:
    """The question of auditors and operators what was done under a grant; asking is recorded."""

    office: Office
    submissions: Submissions
    sources: Sequence[RecordSource]

    def done(self, principal: Principal, grant_id: str) -> Done:
        """Return what was done under a grant.

        Raises:
            NotPermitted: neither auditor nor operator.
            NotFound: there is no such grant.
        """
        with self.office.store.begin() as tx:
            rules = self.office.rules.current(tx)
            rules.directory.demand(principal, Role.AUDITOR, Role.OPERATOR)
            grant = tx.grant(grant_id)
            request = None if grant is None else tx.request(grant.request_id)
            if grant is None or request is None:
                raise NotFound(f"there is no grant {grant_id[:20]!r}")
            leases = tx.leases(grant_id=grant.id)
            uses = tx.uses([lease.id for lease in leases])
            told = self._told(tx, leases, uses)
            found = Done(
                grant=grant,
                request=request,
                privileges=self._privileges(tx, request),
                leases=leases,
                uses=uses,
                sources=told,
                missing=[*self._missing(tx, leases, told), *_lost(tx, leases, told)],
            )
            tx.record(
                AuditAsked(
                    actor=principal.person,
                    subject=grant.id,
                    principal=principal.id,
                    question="done",
                    about={"missing": len(found.missing)},
                    count=sum(use.count for use in uses),
                )
            )
        return found

    def _privileges(self, tx: Tx, request: Request) -> tuple[str, ...]:
        entitlement = self.office.rules.current(tx).catalog.entitlements.get(request.entitlement)
        if entitlement is None or entitlement.rule_digest != request.rule_digest:
            return ()
        try:
            return self.submissions.preview(request, entitlement).privileges
        except Invalid:
            return ()

    def _told(self, tx: Tx, leases: Sequence[Lease], uses: Sequence[Use]) -> list[Told]:
        states = {state.name: state for state in tx.sources()}
        declared = {source.name for source in self.sources if any(source.concerns(lease.target) for lease in leases)}
        names = sorted(declared | {use.source for use in uses})
        known = {source.name for source in self.sources}
        return [Told(name=name, declared=name in known, state=states.get(name)) for name in names]

    def _missing(self, tx: Tx, leases: Sequence[Lease], told: Sequence[Told]) -> list[str]:
        missing = []
        states = {each.name: each.state for each in told}
        for lease in leases:
            where = lease.target["id"]
            concerned = [source for source in self.sources if source.concerns(lease.target)]
            if not concerned:
                missing.append(f"{lease.id}: no source is declared that tells what is done at {where}")
            elif not any(source.tells_acts for source in concerned):
                missing.append(f"{lease.id}: the declared sources tell that {where} was used, and not what was done")
            for source in concerned:
                line = _untold(lease, source, states[source.name], now=tx.now)
                missing += [] if line is None else [f"{lease.id}: {source.name}: {line}"]
        return missing


def _untold(lease: Lease, source: RecordSource, state: SourceState | None, *, now: datetime) -> str | None:
    """Say why a source did not, or does not yet, tell all of a lease; None when it did."""
    if state is None:
        return "was never read"
    if state.since > lease.prepared_at:
        return f"is followed since {spell(state.since)} only, after the draw"
    if state.silent_since is not None:
        return f"cannot be read since {spell(state.silent_since)}"
    if state.read_at < (now - 2 * SEEN_AGAIN_EVERY if lease.dead_at is None else lease.dead_at + source.delay):
        return f"tells up to {source.delay.total_seconds():.0f} s late; was read last at {spell(state.read_at)}"
    return None


def _lost(tx: Tx, leases: Sequence[Lease], told: Sequence[Told]) -> list[str]:
    """Return the gaps of sources that overlap the life of any of the leases."""
    if not leases:
        return []
    began = min(lease.prepared_at for lease in leases)
    ended = max(lease.dead_at or tx.now for lease in leases)
    lost = []
    for each in told:
        for row in tx.facts(subject=each.name, type_=RecordsGap.type, limit=MOST_GAPS):
            gap: Mapping[str, Any] = json.loads(row["leaf"])["data"]
            if read(gap["since"]) <= ended and read(gap["until"]) >= began:
                lost.append(f"{each.name}: between {gap['since']} and {gap['until']}: {gap['why']}")
    return lost
