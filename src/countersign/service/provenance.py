"""Where the rules in force come from: each rulebook from the pinned genesis on, signed by its author and its approver.

A rulebook is a row, and rows can be written by whoever administers the database. So once the rules ask for it (`signed_rules`),
the next ones count only if both authors' passkeys signed exactly what the row holds, and if no later one is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from countersign.auditlog.chain import Chain
from countersign.config.catalog import parse_catalog
from countersign.config.directory import parse_directory
from countersign.domain.entitlement import Catalog
from countersign.domain.gains import Reach, brings_somebody_in
from countersign.domain.passkey import Word
from countersign.domain.people import Directory, Role
from countersign.domain.proposal import Proposal, genesis_digest, proposal_digest
from countersign.domain.refusals import RulesForged, SignatureRequired
from countersign.domain.trust import Trust
from countersign.store import Rulebook


@dataclass(frozen=True, kw_only=True)
class Borne:
    """Rules that are what they should be, up to one rulebook.

    Attributes:
        authors: by entitlement, who wrote and approved its rule.
        let_in: by entitlement, who last changed the directory so that somebody more may ask, sign or open there.
        signed: whether every change of them since the first had to be signed.
    """

    seq: int
    catalog: Catalog
    directory: Directory
    authors: Mapping[str, frozenset[str]]
    let_in: Mapping[str, frozenset[str]]
    signed: bool


def are_signed(trust: Trust) -> bool:
    """Say whether what changes these rules must be signed."""
    return trust.signing is not None and trust.signing.signed_rules


def demand_author_s(word: Word | None, proposal: Proposal) -> None:
    """Demand that a proposal bears its author's signature.

    Raises:
        SignatureRequired: it bears none.
    """
    if word is None or word.person != proposal.proposed_by:
        raise SignatureRequired(
            f"{proposal.proposed_by} has not signed {proposal.id} yet",
            rule="trust.signing.signed_rules = true",
            hint=f"its author signs it: countersign catalog sign {proposal.id}",
        )


def first(rulebook: Rulebook, *, genesis: str | None) -> Borne:
    """Return the first rules, if they are those that somebody pinned.

    Raises:
        RulesForged: they are others.
    """
    catalog, directory = parse_catalog(rulebook.catalog), parse_directory(rulebook.directory)
    found = genesis_digest(catalog=catalog.digest, directory=directory.digest)
    if rulebook.seq != 1 or genesis not in {None, found}:
        raise RulesForged("the first rules in the database are not the ones that were pinned", rule="genesis")
    return Borne(seq=1, catalog=catalog, directory=directory, authors={}, let_in={}, signed=are_signed(catalog.trust))


def extended(before: Borne, rulebooks: Sequence[Rulebook], chain: Chain) -> Borne:
    """Return the rules after further rulebooks.

    Raises:
        RulesForged: one does not follow, or is not signed as the rules before it ask.
    """
    borne = before
    for rulebook in rulebooks:
        borne = _next(borne, rulebook, chain)
    if are_signed(borne.catalog.trust) and chain.adopted != borne.seq:
        raise RulesForged(
            f"rulebook {borne.seq} is the newest in the database, and {chain.adopted} came into force",
            rule="no rulebook is missing",
        )
    return borne


def _next(before: Borne, rulebook: Rulebook, chain: Chain) -> Borne:
    catalog, directory = parse_catalog(rulebook.catalog), parse_directory(rulebook.directory)
    by, approver = rulebook.proposed_by or "", rulebook.approved_by or ""
    if rulebook.seq != before.seq + 1:
        raise RulesForged(f"rulebook {before.seq + 1} is missing", rule="no rulebook is missing")
    if are_signed(before.catalog.trust):
        digest = proposal_digest(
            proposal=rulebook.proposal or "",
            base=before.seq,
            catalog=catalog.digest,
            directory=directory.digest,
            proposed_by=by,
        )
        wanted = {
            (rulebook.proposal or "", digest, "propose", by),
            (rulebook.proposal or "", digest, "approve", approver),
        }
        authors = before.directory.holders(Role.CATALOG_AUTHOR)
        if by == approver or not {by, approver} <= authors or not wanted <= chain.signings:
            raise RulesForged(
                f"rulebook {rulebook.seq} is not signed by two authors as it stands in the database",
                rule="trust.signing.signed_rules = true",
            )
    return Borne(
        seq=rulebook.seq,
        catalog=catalog,
        directory=directory,
        authors=_authors(before, catalog, frozenset({by, approver})),
        let_in=_let_in(before, catalog, directory, frozenset({by, approver})),
        signed=before.signed and are_signed(catalog.trust),
    )


def _authors(before: Borne, catalog: Catalog, both: frozenset[str]) -> dict[str, frozenset[str]]:
    found = {}
    for name, entitlement in catalog.entitlements.items():
        known = before.catalog.entitlements.get(name)
        if known is None or known.rule_digest != entitlement.rule_digest:
            found[name] = both
        elif name in before.authors:
            found[name] = before.authors[name]
    return found


def _let_in(
    before: Borne, catalog: Catalog, directory: Directory, both: frozenset[str]
) -> Mapping[str, frozenset[str]]:
    """Say who brought whom within reach: until others do, those two are as if they had written the entitlement's rule."""
    if before.directory.digest == directory.digest:
        return before.let_in
    was, now = Reach(directory=before.directory), Reach(directory=directory)
    found = {}
    for name, entitlement in catalog.entitlements.items():
        if brings_somebody_in(entitlement, was, now):
            found[name] = both
        elif name in before.let_in:
            found[name] = before.let_in[name]
    return found
