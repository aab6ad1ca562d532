"""Questions: what people may read of requests, grants, leases, the catalog and the log, each as far as it concerns them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from countersign.domain.counter import CounterProposal
from countersign.domain.entitlement import Entitlement
from countersign.domain.grant import Grant, GrantState
from countersign.domain.lease import Lease
from countersign.domain.people import Principal, Role
from countersign.domain.refusals import Invalid, NotFound
from countersign.domain.request import Request, RequestState
from countersign.domain.request_facts import ReviewRecorded
from countersign.domain.review import Quorum, Review, could_sign
from countersign.providers.base import Preview
from countersign.service.judgement import standing_of
from countersign.service.office import Office
from countersign.service.rules import Rules
from countersign.service.sight import knows_of, sees_all, signs_for, visible_grant, visible_lease, visible_request
from countersign.service.submission import Submissions
from countersign.store import Tx


@dataclass(frozen=True, kw_only=True)
class RequestView:
    """A request as a party sees it.

    Attributes:
        latest_end: the latest second at which access under it could still exist; None once it can lead to nothing.
        quorum: how far the rule is filled; None when the rule has changed since.
        preview: what it would give; None when the rule has changed since.
        may_review: persons who may still sign.
        comments: what reviewers said beside their decision, by person.
        counter: what the person who denied would rather see asked, and in `taken_up_by` the request that asks for it.
    """

    request: Request
    reviews: Sequence[Review]
    quorum: Quorum | None
    preview: Preview | None
    grant: Grant | None
    latest_end: datetime | None
    may_review: tuple[str, ...]
    comments: Mapping[str, str]
    counter: CounterProposal | None
    taken_up_by: str | None


@dataclass(frozen=True, kw_only=True)
class Questions:
    """Reads. Nothing here changes anything."""

    office: Office
    submissions: Submissions

    def request(self, principal: Principal, request_id: str) -> RequestView:
        """Return a request.

        Raises:
            NotFound: none such, or the caller is a stranger to it.
        """
        with self.office.store.read() as tx:
            rules = self.office.rules.current(tx)
            request = visible_request(tx, principal, rules, request_id)
            return self._view(tx, rules, request)

    def list_requests(self, principal: Principal, *, after: str | None, limit: int) -> list[RequestView]:
        """Return the caller's requests and those he may sign, newest first; auditors and operators see all."""
        with self.office.store.read() as tx:
            rules = self.office.rules.current(tx)
            found = tx.requests(**self._concerning(principal, rules), before=after, limit=limit)
            return [self._view(tx, rules, request) for request in found]

    def grant(self, principal: Principal, grant_id: str) -> tuple[Grant, list[Lease]]:
        """Return a grant and its leases.

        Raises:
            NotFound: none such, or the caller is a stranger to it.
        """
        with self.office.store.read() as tx:
            rules = self.office.rules.current(tx)
            grant = visible_grant(tx, principal, rules, grant_id)
            return grant, tx.leases(grant_id=grant.id)

    def list_grants(self, principal: Principal, *, after: str | None, limit: int) -> list[tuple[Grant, list[Lease]]]:
        """Return grants that concern the caller, newest first."""
        with self.office.store.read() as tx:
            rules = self.office.rules.current(tx)
            found = tx.grants(**self._concerning(principal, rules), before=after, limit=limit)
            return [(grant, tx.leases(grant_id=grant.id)) for grant in found]

    def lease(self, principal: Principal, lease_id: str) -> Lease:
        """Return a lease.

        Raises:
            NotFound: none such, or the caller is a stranger to it.
        """
        with self.office.store.read() as tx:
            return visible_lease(tx, principal, self.office.rules.current(tx), lease_id)

    def list_leases(self, principal: Principal, *, after: str | None, limit: int) -> list[Lease]:
        """Return leases that concern the caller, newest first."""
        with self.office.store.read() as tx:
            rules = self.office.rules.current(tx)
            return tx.leases(**self._concerning(principal, rules), before=after, limit=limit)

    def entitlements(self, principal: Principal) -> list[tuple[Entitlement, bool]]:
        """Return the catalog, each entry with whether the caller may request it."""
        with self.office.store.read() as tx:
            rules = self.office.rules.current(tx)
        return [
            (entitlement, entitlement.may_be_requested_by(principal.person, rules.directory_for(entitlement)))
            for _, entitlement in sorted(rules.catalog.entitlements.items())
        ]

    def roles(self, principal: Principal) -> tuple[frozenset[str], frozenset[Role]]:
        """Return the caller's groups and roles."""
        with self.office.store.read() as tx:
            directory = self.office.rules.current(tx).directory
        return directory.groups_of(principal.person), directory.roles_of(principal.person)

    def entries(self, principal: Principal, *, after: int, limit: int, subject: str | None) -> list[Mapping[str, Any]]:
        """Return log entries in order: all for an auditor, and for others those about things that concern them.

        Raises:
            NotPermitted: no subject was named and the caller is no auditor.
            NotFound: the subject is unknown, or the caller is a stranger to it.
        """
        with self.office.store.read() as tx:
            rules = self.office.rules.current(tx)
            if Role.AUDITOR not in rules.directory.roles_of(principal.person):
                if subject is None:
                    rules.directory.demand(principal, Role.AUDITOR)
                if not knows_of(tx, principal, rules, subject or ""):
                    raise NotFound(f"there is nothing {(subject or '')[:20]!r} for you")
            return tx.facts(after=after, limit=limit, subject=subject)

    def _concerning(self, principal: Principal, rules: Rules) -> dict[str, Any]:
        if sees_all(principal, rules):
            return {}
        return {"person": principal.person, "entitlements": signs_for(principal.person, rules)}

    def _view(self, tx: Tx, rules: Rules, request: Request) -> RequestView:
        reviews = tx.reviews(request.id)
        comments = tx.opened(type_=ReviewRecorded.type, subject=request.id, field="comment")
        grant = tx.grant_of_request(request.id)
        counter = tx.counter(request.id) if request.state is RequestState.DENIED else None
        taken_up_by = None if counter is None else tx.taken_up_by(request.id)
        entitlement = rules.catalog.entitlements.get(request.entitlement)
        if entitlement is None or entitlement.rule_digest != request.rule_digest:
            return RequestView(
                request=request,
                reviews=reviews,
                quorum=None,
                preview=None,
                grant=grant,
                latest_end=None,
                may_review=(),
                comments=comments,
                counter=counter,
                taken_up_by=taken_up_by,
            )
        quorum, _ = standing_of(tx, request, entitlement=entitlement, rules=rules)
        try:
            preview = self.submissions.preview(request, entitlement)
        except Invalid:
            preview = None
        done = {review.person for review in reviews}
        people = rules.candidates(entitlement, behind=request.behind)
        able = could_sign(entitlement.rule_for(request.emergency), request.person, people)
        return RequestView(
            request=request,
            reviews=reviews,
            quorum=quorum,
            preview=preview,
            grant=grant,
            latest_end=latest_end(request, entitlement, grant, preview),
            may_review=tuple(sorted(able - done)) if request.state is RequestState.PENDING else (),
            comments=comments,
            counter=counter,
            taken_up_by=taken_up_by,
        )


def latest_end(
    request: Request, entitlement: Entitlement, grant: Grant | None, preview: Preview | None
) -> datetime | None:
    """Return the latest moment at which access under a request could still exist, or None if it can lead to nothing."""
    residual = timedelta(seconds=preview.latest_end_after_not_after_s if preview else 0)
    if grant is not None and grant.not_after is not None:
        end = grant.not_after
    elif grant is not None and grant.state is GrantState.OPEN:
        end = grant.draw_by + grant.duration
    elif grant is None and request.state is RequestState.PENDING:
        end = request.lapses_at + entitlement.draw_ttl + request.duration
    else:
        return None
    return end + max(entitlement.backstop, residual)
