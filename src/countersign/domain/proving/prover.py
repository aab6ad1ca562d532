"""The prover itself: for every entitlement, who together could obtain a credential by the broker's rules.

Why the answers are exact. A rule is an AND of factors {group, count}; each person counts once over all of them, and the
requester never counts. So a credential takes one requester and one further person per seat, all distinct: a set of persons that
reaches it holds 1 + seats who suffice, and fewer never do. Whether anybody reaches it is whether the seats have a complete
matching with persons who may sign, the requester left out, and that is solved exactly (`seating.seat_all`). For the question
whose requests nobody could approve, one matching serves all who do not sit in it; the few who do are asked about again, each
left out.

Nothing else in the rules adds a signer: no role waives a seat, and no verb of one person approves, grants or changes a group.
What two authors together can do is change the rules themselves; who they are is said apart.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import combinations

from countersign.domain.entitlement import Catalog, Entitlement
from countersign.domain.people import CONFLICTS, Directory, Role
from countersign.domain.proving.powers import powers
from countersign.domain.proving.proof import Answer, Finding, Overlap, People, Proof, Severity, Witness
from countersign.domain.proving.seating import Census, Seat, seat_all, seats_of


class Prover:
    """Answers questions about one catalog and one directory; the directory is counted once."""

    def __init__(self, catalog: Catalog, directory: Directory) -> None:
        """Count the directory."""
        self._catalog = catalog
        self._directory = directory
        self._census = Census.of(directory)
        self._overlaps: dict[tuple[str, str], People] = {}

    def can_reach(self, entitlement: Entitlement, coalition: Collection[str]) -> bool:
        """Say whether these persons, acting together and nobody else with them, can obtain a credential."""
        seats = seats_of(entitlement.review)
        askers = sorted(self._census.askers(entitlement) & frozenset(coalition))
        able = {group: sorted(self._census.signers(group) & frozenset(coalition)) for group in set(seats)}
        return bool(seats) and any(seat_all(seats, able, without=(asker,)) is not None for asker in askers)

    def answer(self, entitlement: Entitlement) -> Answer:
        """Return what is true of one entitlement."""
        census = self._census
        askers = census.askers(entitlement)
        seats = seats_of(entitlement.review)
        stuck, witness = self._served(seats, askers)
        rule_signers = frozenset[str]().union(*(census.signers(group) for group in set(seats)))
        both = askers & rule_signers
        least = None if witness is None else 1 + len(witness.signers)
        return Answer(
            entitlement=entitlement.id,
            environment=entitlement.environment.value,
            owner=entitlement.owner,
            rule=symbolic(entitlement),
            alone=People.of(askers if least == 1 else frozenset()),
            least=least,
            witness=witness,
            requesters=People.of(askers),
            nobody_for=People.of(stuck),
            two_factors=tuple(self._shared(entitlement)),
            each_other=People.of(both),
            taking_turns=_pair(both) if len(seats) == 1 else None,
            owners=People.of(census.members.get(entitlement.owner, frozenset())),
            owner_signs=entitlement.owner in seats,
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

    def _served(self, seats: tuple[str, ...], askers: frozenset[str]) -> tuple[frozenset[str], Witness | None]:
        """Return whose requests nobody could approve, and a witness for one whose request somebody could."""
        signing = self._census.signing
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

    def _shared(self, entitlement: Entitlement) -> Iterator[Overlap]:
        groups = sorted({factor.group for factor in entitlement.review})
        for pair in combinations(groups, 2):
            if pair not in self._overlaps:
                self._overlaps[pair] = People.of(self._census.signers(pair[0]) & self._census.signers(pair[1]))
            if self._overlaps[pair].count:
                yield Overlap(groups=pair, people=self._overlaps[pair])

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


def symbolic(entitlement: Entitlement) -> str:
    """Return a rule in symbols, such as `1 of engineers + 2 of orders-team + 1 of security, all distinct`."""
    asking = "all who may ask" if entitlement.requesters is None else " or ".join(entitlement.requesters)
    signing = [f"{factor.count} of {factor.group}" for factor in entitlement.review]
    return " + ".join([f"1 of {asking}", *signing]) + ", all distinct" if signing else "nobody"


def findings_of(answer: Answer) -> Iterator[Finding]:
    """Say what of an answer an auditor should read."""

    def finding(severity: Severity, code: str, detail: str) -> Finding:
        return Finding(severity=severity, code=code, about=answer.entitlement, detail=detail)

    if answer.alone.count:
        yield finding(Severity.FAILURE, "one-person", f"reached alone by {answer.alone}")
    if answer.least is None:
        why = "nobody may ask" if not answer.requesters.count else "nobody could approve any request"
        yield finding(Severity.FAILURE, "nobody", f"no set of persons reaches it: {why}")
    elif answer.nobody_for.count:
        yield finding(Severity.WARNING, "nobody-for", f"nobody could approve a request of {answer.nobody_for}")
    if answer.taking_turns is not None:
        one, other = answer.taking_turns
        detail = f"{one} and {other} can sign for each other ({answer.each_other.count} may both ask and sign)"
        yield finding(Severity.WARNING, "taking-turns", detail)
    if not answer.owners.count:
        yield finding(Severity.WARNING, "no-owner", f"the owning group {answer.owner} has no active members")


def _pair(persons: frozenset[str]) -> tuple[str, str] | None:
    first, *others = sorted(persons)[:2] or [""]
    return (first, others[0]) if others else None
