"""Why: which rule decides on what was asked, or might be, who counts and who does not, and what would have to change.

Every answer comes out of the functions that judge in earnest; nothing is judged here a second time in other words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from countersign.domain.entitlement import Entitlement
from countersign.domain.grant import Grant
from countersign.domain.people import Principal, Role
from countersign.domain.refusals import NotFound, NotPermitted, Refused
from countersign.domain.request import Request, RequestState
from countersign.domain.review import FactorStanding, Hindrance, count_quorum
from countersign.service.automatic import authors_of_record
from countersign.service.granting import demand_may_ask
from countersign.service.judgement import (
    Scale,
    Word,
    demand_reachable,
    demand_requester,
    judge_for_draw,
    scale_of,
    standing_of,
    words_on,
)
from countersign.service.office import Office, refuse_if_stopped
from countersign.service.rules import Rules
from countersign.service.sight import sees_all, signs_for, visible_request
from countersign.store import Tx

NAMED_AT_MOST = 50


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Why something is granted, or is not.

    Attributes:
        about: the request, or the entitlement where nobody asked yet.
        state: the request's; None where nobody asked yet.
        rule: which rule decides, such as `review` or `break_glass.review`.
        pinned: the digest of the rule that decides.
        factors: how far it is filled, and by whom.
        words: every word that was said, and why it counts for nothing if it does.
        could_sign: who could still sign.
        could_not: others whom the rule names, and why they could not.
        authors: who wrote and approved the rule in force, and so neither asks nor signs under it.
        obstacles: what refuses it now.
        changes: what would have to change.
    """

    about: str
    person: str
    entitlement: str
    state: str | None
    rule: str
    pinned: str
    factors: tuple[FactorStanding, ...]
    words: tuple[Word, ...]
    could_sign: tuple[str, ...]
    could_not: tuple[tuple[str, Hindrance], ...]
    authors: tuple[str, ...]
    obstacles: tuple[Refused, ...]
    changes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Explanations:
    """Answers to "why?". Nothing here changes anything."""

    office: Office

    def request(self, principal: Principal, request_id: str) -> Explanation:
        """Explain how a request stands.

        Raises:
            NotFound: none such, or the caller is a stranger to it.
        """
        with self.office.store.read() as tx:
            rules = self.office.rules.current(tx)
            request = visible_request(tx, principal, rules, request_id)
            return _of_request(tx, request, rules)

    def grant(self, principal: Principal, grant_id: str) -> Explanation:
        """Explain whether a grant could be drawn now.

        Raises:
            NotFound: none such, or the caller is a stranger to it.
        """
        with self.office.store.read() as tx:
            grant = tx.grant(grant_id)
        if grant is None:
            raise NotFound(f"there is no grant {grant_id[:20]!r} for you")
        return self.request(principal, grant.request_id)

    def supposed(self, principal: Principal, entitlement_id: str, *, person: str) -> Explanation:
        """Explain what would come of it if a person asked for an entitlement; caps are judged when he does.

        Raises:
            NotPermitted: about somebody else, by who neither signs for it nor writes, audits or runs.
            NotFound: no such person.
            Invalid: no such entitlement.
        """
        with self.office.store.read() as tx:
            rules = self.office.rules.current(tx)
            concerned = (
                principal.person == person
                or sees_all(principal, rules)
                or Role.CATALOG_AUTHOR in rules.directory.roles_of(principal.person)
                or entitlement_id in signs_for(principal.person, rules)
            )
            if not concerned:
                raise NotPermitted(
                    "that is not yours to know", rule="oneself, who signs for it, authors, auditors, operators"
                )
            entitlement = rules.entitlement(entitlement_id)
            return _supposed(tx, entitlement, _account_of(person, entitlement, rules), rules)


def _of_request(tx: Tx, request: Request, rules: Rules) -> Explanation:
    entitlement = rules.catalog.entitlements.get(request.entitlement)
    grant = tx.grant_of_request(request.id)
    obstacles = _refusals(
        lambda: rules.pinned(request.entitlement, request.rule_digest), *_steps(tx, request, grant, rules)
    )
    if entitlement is None or entitlement.rule_digest != request.rule_digest:
        return Explanation(
            about=request.id,
            person=request.person,
            entitlement=request.entitlement,
            state=request.state.value,
            rule="none: the one that was pinned is no longer in force",
            pinned=request.rule_digest,
            factors=(),
            words=(),
            could_sign=(),
            could_not=(),
            authors=(),
            obstacles=_distinct(obstacles),
            changes=("ask again under the rule in force",),
        )
    words = words_on(tx, request, entitlement=entitlement, rules=rules)
    quorum, _ = standing_of(tx, request, entitlement=entitlement, rules=rules)
    able, unable = _circle(scale_of(request, entitlement=entitlement, rules=rules))
    left = tuple(person for person in able if person not in {word.person for word in words})
    obstacles += _refusals(
        lambda: demand_may_ask(demand_requester(request, rules), entitlement, rules),
        lambda: refuse_if_stopped(tx, person=request.person, entitlement=entitlement.id, provider=entitlement.provider),
    )
    pending = request.state is RequestState.PENDING
    automatic = tx.automatic_approval(request.id)
    return Explanation(
        about=request.id,
        person=request.person,
        entitlement=entitlement.id,
        state=request.state.value,
        rule=_name_of_rule(request, entitlement) if automatic is None else _in_advance(automatic.approvers),
        pinned=request.rule_digest,
        factors=quorum.factors if automatic is None else (),
        words=words,
        could_sign=left if pending else (),
        could_not=unable if automatic is None else (),
        authors=tuple(sorted(rules.authors_of(entitlement.id))),
        obstacles=_distinct(obstacles),
        changes=(*(_wanting(quorum.factors, left, entitlement, rules) if pending else ()), *_hints(obstacles)),
    )


def _supposed(tx: Tx, entitlement: Entitlement, account: Principal, rules: Rules) -> Explanation:
    person = account.person
    rule = entitlement.review
    automatic = authors_of_record(entitlement, rules, person=person)
    obstacles = _refusals(
        lambda: rules.directory.demand(account, Role.REQUESTER),
        lambda: demand_may_ask(account, entitlement, rules),
        lambda: None if automatic else demand_reachable(person, entitlement=entitlement, rule=rule, rules=rules),
        lambda: refuse_if_stopped(tx, person=person, entitlement=entitlement.id, provider=entitlement.provider),
    )
    able, unable = _circle(Scale(digest="", rule=rule, requester=person, entitlement=entitlement, rules=rules))
    empty = count_quorum(rule, approvers=(), requester=person, directory=rules.signers(entitlement))
    return Explanation(
        about=entitlement.id,
        person=person,
        entitlement=entitlement.id,
        state=None,
        rule=_normal_rule(entitlement) if automatic is None else _in_advance(automatic),
        pinned=entitlement.rule_digest,
        factors=empty.factors if automatic is None else (),
        words=(),
        could_sign=able if automatic is None else (),
        could_not=unable if automatic is None else (),
        authors=tuple(sorted(rules.authors_of(entitlement.id))),
        obstacles=_distinct(obstacles),
        changes=(
            *(_wanting(empty.factors, able, entitlement, rules) if automatic is None else ()),
            *_hints(obstacles),
        ),
    )


def _steps(tx: Tx, request: Request, grant: Grant | None, rules: Rules) -> tuple[Callable[[], object], ...]:
    """Return what would be judged next: a review, or a draw."""
    if grant is None:
        return (lambda: request.demand_reviewable(tx.now),)
    return (
        lambda: grant.prepare(demand_requester(request, rules), tx.now),
        lambda: judge_for_draw(tx, request, granted_digest=grant.request_digest, rules=rules),
    )


def _account_of(person: str, entitlement: Entitlement, rules: Rules) -> Principal:
    """Return the account with which a person would ask: one that is for the environment, if there is one."""
    accounts = sorted((a for a in rules.directory.principals.values() if a.person == person), key=lambda a: a.id)
    if not accounts:
        raise NotFound(f"there is nobody called {person[:63]!r} with an account")
    return next((each for each in accounts if rules.believes(each, entitlement)), accounts[0])


def _circle(scale: Scale) -> tuple[tuple[str, ...], tuple[tuple[str, Hindrance], ...]]:
    """Return whom the rule names: those who could sign, and the others with why they could not."""
    groups = scale.rules.directory.groups
    named = sorted({each for factor in scale.rule for each in groups[factor.group].members})
    judged = {each: scale.hindrance_of(each) for each in named}
    able = tuple(each for each, hindrance in judged.items() if hindrance is None)
    unable = tuple((each, hindrance) for each, hindrance in judged.items() if hindrance is not None)
    return able, unable[:NAMED_AT_MOST]


def _normal_rule(entitlement: Entitlement) -> str:
    """Name the rule of an entitlement, and each of several that it is the strictest of."""
    if not entitlement.rules:
        return "review"
    return f"review, the strictest of {', '.join(rule.id for rule in entitlement.rules)}"


def _in_advance(authors: tuple[str, str]) -> str:
    return f"automatic: approved in advance by {authors[0]} and {authors[1]}, who countersigned this rule"


def _name_of_rule(request: Request, entitlement: Entitlement) -> str:
    if request.emergency is None:
        return _normal_rule(entitlement)
    return "break_glass.review" if request.emergency.envelope is None else f"review, by {request.emergency.envelope}"


def _wanting(
    factors: Iterable[FactorStanding], able: Iterable[str], entitlement: Entitlement, rules: Rules
) -> Iterator[str]:
    """Say whose signatures are still wanting."""
    people = rules.signers(entitlement)
    for factor in factors:
        if factor.have < factor.count:
            who = [person for person in able if person in people.members(factor.group)]
            named = ", ".join(who[:NAMED_AT_MOST]) or "nobody who could is left"
            yield f"{factor.count - factor.have} more of {factor.group} to sign: {named}"


def _refusals(*steps: Callable[[], object]) -> list[Refused]:
    """Return what each step refuses."""
    found: list[Refused] = []
    for step in steps:
        try:
            step()
        except Refused as refused:
            found.append(refused)
    return found


def _distinct(refusals: Iterable[Refused]) -> tuple[Refused, ...]:
    """Return each refusal once: two steps may ask the same."""
    return tuple({(each.code, each.detail): each for each in refusals}.values())


def _hints(refusals: Iterable[Refused]) -> Iterator[str]:
    yield from dict.fromkeys(each.hint or each.detail for each in refusals)
