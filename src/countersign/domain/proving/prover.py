"""The prover itself: for every entitlement, who together could obtain a credential by the broker's rules.

Why the answers are exact. A rule is an AND of factors {group, count}; each person counts once over all of them, and the
requester never counts. So a credential takes one requester and one further person per seat, all distinct: a set of persons that
reaches it holds 1 + seats who suffice, and fewer never do. Whether anybody reaches it is whether the seats have a complete
matching with persons who may sign, the requester left out, and that is solved exactly (`seating.seat_all`). For the question
whose requests nobody could approve, one matching serves all who do not sit in it; the few who do are asked about again, each
left out.

An entitlement that knows break-glass has two such rules, and the answer is the better of the two. An envelope takes the
signatures of the normal rule, at least two of them, and none of its signers opens it: nobody reaches by an envelope what the
same persons do not reach without.

An account is for some environments only. So each entitlement is asked about with those persons alone who have an account for
its environment: one to ask with, and one that is no machine's to sign with.

Nothing else in the rules adds a signer: no role waives a seat, and no verb of one person approves, grants or changes a group.
What two authors together can do is change the rules themselves; who they are is said apart.

An automatic entitlement, never one of production, is the exception that is named as such: its two authors approved in advance, so
that whoever may ask needs nobody further. The files do not say who those two are, nor whether there are any; the answer
supposes that there are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import combinations

from countersign.domain.entitlement import Catalog, Entitlement, Factor
from countersign.domain.environment import Environment
from countersign.domain.people import CONFLICTS, Directory, Role
from countersign.domain.proving.powers import powers
from countersign.domain.proving.proof import Answer, Finding, Overlap, People, Proof, Severity, Way, Witness
from countersign.domain.proving.seating import Census, Seat, seat_all, seats_of


class Prover:
    """Answers questions about one catalog and one directory; the directory is counted once."""

    def __init__(self, catalog: Catalog, directory: Directory) -> None:
        """Count the directory, as each environment sees it."""
        self._catalog = catalog
        self._directory = directory
        self._censuses = {
            environment: Census.of(directory.within(environment))
            for environment in sorted({item.environment for item in catalog.entitlements.values()})
        }
        self._overlaps: dict[tuple[Environment, str, str], People] = {}

    def can_reach(self, entitlement: Entitlement, coalition: Collection[str]) -> bool:
        """Say whether these persons, acting together and nobody else with them, can obtain a credential."""
        census = self._censuses[entitlement.environment]
        askers = census.askers(entitlement) & frozenset(coalition)
        if entitlement.approves_itself and askers:
            return True
        return any(_fills(rule, askers, frozenset(coalition), census) for rule in rules_of(entitlement))

    def answer(self, entitlement: Entitlement) -> Answer:
        """Return what is true of one entitlement."""
        askers = self._censuses[entitlement.environment].askers(entitlement)
        review, *others = (self._way(entitlement, rule, askers) for rule in rules_of(entitlement))
        automatic = _in_advance(entitlement, askers) if entitlement.approves_itself and askers else None
        alone = automatic is not None or 1 in {way.least for way in (review, *others)}
        return Answer(
            entitlement=entitlement.id,
            environment=entitlement.environment.value,
            owner=entitlement.owner,
            alone=People.of(askers if alone else frozenset()),
            requesters=People.of(askers),
            owners=People.of(self._directory.members(entitlement.owner)),
            owner_signs=entitlement.owner in seats_of(entitlement.review),
            review=review,
            break_glass=others[0] if others else None,
            automatic=automatic,
        )

    def _way(self, entitlement: Entitlement, rule: Sequence[Factor], askers: frozenset[str]) -> Way:
        seats = seats_of(rule)
        census = self._censuses[entitlement.environment]
        stuck, witness = _served(seats, askers, census)
        both = askers & frozenset[str]().union(*(census.signers(group) for group in set(seats)))
        return Way(
            rule=symbolic(entitlement, rule),
            least=None if witness is None else 1 + len(witness.signers),
            witness=witness,
            nobody_for=People.of(stuck),
            two_factors=tuple(self._shared(rule, entitlement.environment)),
            each_other=People.of(both),
            taking_turns=_pair(both) if len(seats) == 1 else None,
        )

    def prove(self) -> Proof:
        """Return the answers for every entitlement, in the order of their ids."""
        authors = self._directory.holders(Role.CATALOG_AUTHOR)
        pair = self._each_others_rules(authors)
        unchangeable = Finding(
            severity=Severity.WARNING,
            code="no-two-authors",
            about="rulebook",
            detail=f"there are no two authors who could change the rules; authors: {People.of(authors)}",
        )
        answers = [self.answer(entitlement) for _, entitlement in sorted(self._catalog.entitlements.items())]
        return Proof(
            catalog=self._catalog.digest,
            directory=self._directory.digest,
            persons=sum(self._directory.is_active(person) for person in self._directory.persons),
            authors=People.of(authors),
            each_others_rules=pair,
            answers=answers,
            powers=powers(self._directory),
            findings=[
                *self._conflicts(),
                *([unchangeable] if pair is None else []),
                *(finding for answer in answers for finding in findings_of(answer)),
            ],
        )

    def _each_others_rules(self, authors: frozenset[str]) -> tuple[str, str] | None:
        """Return an author and another who can approve what the first proposes; machines propose and do not approve."""
        for approving in sorted(authors - self._directory.machines_only):
            for proposing in sorted(authors - {approving}):
                return proposing, approving
        return None

    def _shared(self, rule: Sequence[Factor], environment: Environment) -> Iterator[Overlap]:
        census = self._censuses[environment]
        groups = sorted({factor.group for factor in rule})
        for one, other in combinations(groups, 2):
            key = environment, one, other
            if key not in self._overlaps:
                self._overlaps[key] = People.of(census.signers(one) & census.signers(other))
            if self._overlaps[key].count:
                yield Overlap(groups=(one, other), people=self._overlaps[key])

    def _conflicts(self) -> Iterator[Finding]:
        for one, other in CONFLICTS:
            for person in sorted(self._directory.holders(one) & self._directory.holders(other)):
                yield Finding(
                    severity=Severity.FAILURE,
                    code="conflicting-roles",
                    about=person,
                    detail=f"holds both {one} and {other}",
                )


def prove(catalog: Catalog, directory: Directory) -> Proof:
    """Answer for every entitlement of `catalog` what the people of `directory` could reach by the broker's rules."""
    return Prover(catalog, directory).prove()


def rules_of(entitlement: Entitlement) -> tuple[Sequence[Factor], ...]:
    """Return the rules by which an entitlement can be had: its review first, then that of break-glass if it knows one."""
    emergency = entitlement.break_glass
    return (entitlement.review,) if emergency is None else (entitlement.review, emergency.review)


def symbolic(entitlement: Entitlement, rule: Sequence[Factor]) -> str:
    """Return a rule in symbols, such as `1 of engineers + 2 of orders-team + 1 of security, all distinct`."""
    asking = "all who may ask" if entitlement.requesters is None else " or ".join(entitlement.requesters)
    signing = [f"{factor.count} of {factor.group}" for factor in rule]
    return " + ".join([f"1 of {asking}", *signing]) + ", all distinct" if signing else "nobody"


def _in_advance(entitlement: Entitlement, askers: frozenset[str]) -> Way:
    """Return the way in which whoever may ask needs nobody further, the two authors' approval being given."""
    asking = "all who may ask" if entitlement.requesters is None else " or ".join(entitlement.requesters)
    nobody = People.of(frozenset())
    return Way(
        rule=f"1 of {asking}, approved in advance by the rule's two authors",
        least=1,
        witness=Witness(requester=min(askers), signers=()),
        nobody_for=nobody,
        two_factors=(),
        each_other=nobody,
        taking_turns=None,
    )


def findings_of(answer: Answer) -> Iterator[Finding]:
    """Say what of an answer an auditor should read."""

    def finding(severity: Severity, code: str, detail: str) -> Finding:
        return Finding(severity=severity, code=code, about=answer.entitlement, detail=detail)

    if answer.automatic is not None:
        detail = f"approved in advance by the two who countersign the rule; then drawn alone by {answer.alone}"
        yield finding(Severity.WARNING, "automatic", detail)
    elif answer.alone.count:
        yield finding(Severity.FAILURE, "one-person", f"reached alone by {answer.alone}")
    if not answer.requesters.count:
        yield finding(Severity.FAILURE, "nobody", "no set of persons reaches it: nobody may ask")
    emergency = () if answer.break_glass is None else (("in an emergency ", answer.break_glass),)
    for name, way in (("", answer.review), *emergency):
        if answer.requesters.count and way.least is None:
            yield finding(Severity.FAILURE, "nobody", f"{name}nobody could approve any request: {way.rule}")
        elif way.least is not None and way.nobody_for.count:
            yield finding(Severity.WARNING, "nobody-for", f"{name}nobody could approve a request of {way.nobody_for}")
        if way.taking_turns is not None:
            one, other = way.taking_turns
            detail = f"{name}{one} and {other} can sign for each other ({way.each_other.count} may both ask and sign)"
            yield finding(Severity.WARNING, "taking-turns", detail)
    if not answer.owners.count:
        yield finding(Severity.WARNING, "no-owner", f"the owning group {answer.owner} has no active members")


def _pair(persons: frozenset[str]) -> tuple[str, str] | None:
    first, *others = sorted(persons)[:2] or [""]
    return (first, others[0]) if others else None


def _fills(rule: Sequence[Factor], askers: frozenset[str], coalition: frozenset[str], census: Census) -> bool:
    seats = seats_of(rule)
    able = {group: sorted(census.signers(group) & coalition) for group in set(seats)}
    return bool(seats) and any(seat_all(seats, able, without=(asker,)) is not None for asker in sorted(askers))


def _served(seats: tuple[str, ...], askers: frozenset[str], census: Census) -> tuple[frozenset[str], Witness | None]:
    """Return whose requests nobody could approve, and a witness for one whose request somebody could."""
    signing = census.signing
    anyway = seat_all(seats, signing) if seats else None
    if anyway is None:
        return askers, None
    sitting = frozenset(seat.person for seat in anyway)
    stuck: set[str] = set()
    found: list[tuple[str, tuple[Seat, ...]]] = []
    for person in sorted(askers & sitting):
        seating = seat_all(seats, signing, without=(person,))
        if seating is None:
            stuck.add(person)
        else:
            found.append((person, seating))
    free = min(askers - sitting, default=None)
    if free is not None:
        found.insert(0, (free, anyway))
    witness = Witness(requester=found[0][0], signers=found[0][1]) if found else None
    return frozenset(stuck), witness
