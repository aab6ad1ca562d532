"""The rules in force: catalog and directory as the database holds them, parsed once per change.

Both halves read the rules from the database inside the transaction in which they judge; nothing is taken from a file after
the start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from threading import Lock
from typing import Any

from countersign.auditlog.chain import Chain
from countersign.auditlog.keyring import Keyring
from countersign.config.catalog import parse_catalog
from countersign.config.directory import parse_directory
from countersign.domain.entitlement import Catalog, Entitlement
from countersign.domain.environment import Environment
from countersign.domain.facts import BROKER
from countersign.domain.issuer import GroupWord, withheld
from countersign.domain.passkey_facts import PasskeysFounded
from countersign.domain.people import Directory, Principal
from countersign.domain.refusals import Invalid, NotEligible, RuleChanged, Stopped
from countersign.domain.rule_facts import RulebookAdopted, RulebookWritten
from countersign.domain.rule_texts import batches, rows_between, sections_of
from countersign.domain.trust import Trust
from countersign.service.chains import NO_KEYS, ChainReader
from countersign.service.provenance import Borne, extended, first
from countersign.store import Rulebook, Store, Tx


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Catalog and directory in force at one moment, with those disabled at run time left out.

    Attributes:
        roster: the countersigned directory, whatever identity issuers say.
        authors: by entitlement, who wrote and approved its rule; they neither ask nor sign under it.
        let_in: by entitlement, who last changed the directory so that somebody more may ask, sign or open there; as above.
        words: what identity issuers said of groups.
        now: the moment.
        keyring: whose passkeys count.
        borne: as `authors`, as far as rulebooks alone show it.
        signed: whether every change of the rules since the first had to be signed.
        told: digest of the leaves that keys and signed rules rest on; None where nothing is signed.
    """

    catalog: Catalog
    roster: Directory
    authors: Mapping[str, frozenset[str]]
    let_in: Mapping[str, frozenset[str]]
    words: tuple[GroupWord, ...]
    now: datetime
    keyring: Keyring = NO_KEYS
    borne: Mapping[str, frozenset[str]] = field(default_factory=dict)
    signed: bool = False
    told: bytes | None = None

    @cached_property
    def directory(self) -> Directory:
        """The roster less the memberships that no issuer confirms, by the most patient of the environments' bounds."""
        return self._confirmed(None)

    @cached_property
    def _by_environment(self) -> dict[Environment, Directory]:
        return {}

    def directory_for(self, entitlement: Entitlement) -> Directory:
        """Return the roster as the entitlement's environment sees it.

        That is without who has no account for it, and without the memberships that no issuer confirms lately enough there.
        """
        environment = entitlement.environment
        if environment not in self._by_environment:
            self._by_environment[environment] = self._confirmed(environment).within(environment)
        return self._by_environment[environment]

    def signers(self, entitlement: Entitlement, *, behind: Iterable[str] = ()) -> Directory:
        """Return the directory by which signatures count: without who wrote the rule, and without who is behind the request."""
        return self.directory_for(entitlement).without(self.authors_of(entitlement.id) | frozenset(behind))

    def candidates(self, entitlement: Entitlement, *, behind: Iterable[str] = ()) -> Directory:
        """Return the directory by which somebody could sign, once he has signed in: the roster, whatever issuers said lately."""
        roster = self.roster.within(entitlement.environment)
        return roster.without(self.authors_of(entitlement.id) | frozenset(behind))

    def demand_account(self, principal: Principal, entitlement: Entitlement) -> None:
        """Refuse an account that is for the other side of the seal, or whose issuer is not believed there.

        Raises:
            NotEligible: naming the environments, or the issuer.
        """
        environment = entitlement.environment
        if environment not in principal.environments:
            raise NotEligible(
                f"{principal.id} is an account for {', '.join(sorted(principal.environments))}, and {entitlement.id} is"
                f" of {environment}",
                rule="environments are sealed: what is of one is asked, signed and drawn with accounts for it",
                hint=f"use an account that is for {environment}",
            )
        if not self.believes(principal, entitlement):
            raise NotEligible(
                f"{principal.issuer} is not believed for {environment}",
                rule=f"issuer {principal.issuer}: environments",
                hint="sign in by another issuer",
            )

    def believes(self, principal: Principal, entitlement: Entitlement) -> bool:
        """Say whether an account is for the entitlement's environment, and its issuer believed there."""
        environment = entitlement.environment
        if principal.issuer is None:
            return environment in principal.environments
        issuer = self.catalog.trust.issuers.get(principal.issuer)
        fresh = None if issuer is None else issuer.freshness(environment)
        return fresh is not None and environment in principal.environments

    def _confirmed(self, environment: str | None) -> Directory:
        return self.roster.withholding(
            withheld(self.roster, self.catalog.trust.issuers, self.words, now=self.now, environment=environment)
        )

    def authors_of(self, entitlement_id: str) -> frozenset[str]:
        """Return who neither asks nor signs for an entitlement because its rules are his; none for what stood from the start.

        They wrote and approved its rule as it is in force, or last changed the directory so that somebody came within its reach.
        """
        return self.authors.get(entitlement_id, frozenset()) | self.let_in.get(entitlement_id, frozenset())

    def entitlement(self, entitlement_id: str) -> Entitlement:
        """Return an entitlement.

        Raises:
            Invalid: naming `entitlement`.
        """
        found = self.catalog.entitlements.get(entitlement_id)
        if found is None:
            raise Invalid(
                f"there is no entitlement {entitlement_id[:63]!r}", field="entitlement", hint="see GET /v1/entitlements"
            )
        return found

    def pinned(self, entitlement_id: str, rule_digest: str) -> Entitlement:
        """Return an entitlement if it is still the one that was pinned.

        Raises:
            RuleChanged: it is gone or different.
        """
        found = self.catalog.entitlements.get(entitlement_id)
        if found is None or found.rule_digest != rule_digest:
            raise RuleChanged(
                f"the entitlement {entitlement_id} has changed since this was requested",
                rule=f"entitlement {entitlement_id}: pinned {rule_digest[:16]}",
                hint="submit the request again under the rule in force",
            )
        return found


class RuleReader:
    """Reads the rules in force within a transaction; parses a rulebook, and checks where it comes from, only when it is new.

    Args:
        genesis: the digest of the first rules as it is pinned; None takes them as they are.
    """

    def __init__(self, *, genesis: str | None = None) -> None:
        """Start with nothing read."""
        self._genesis = genesis
        self._lock = Lock()
        self._chains = ChainReader()
        self._borne: Borne | None = None
        self._noted: Mapping[str, frozenset[str]] = {}

    def current(self, tx: Tx) -> Rules:
        """Return the rules as this transaction sees them.

        Raises:
            Stopped: no rulebook was ever adopted; nobody may do anything.
            RulesForged: they are not those that were pinned, or not signed as the rules ask.
        """
        seq = tx.pinned_rules()
        with self._lock:
            borne = self._borne
        if borne is None or borne.seq > seq:
            rulebook = next(iter(tx.rulebooks_after(0)), None)
            if rulebook is None:
                raise Stopped("no catalog is in force", hint="start the broker with a catalog and a directory")
            borne = first(rulebook, genesis=self._genesis)
        chain = self._chain(tx, borne.catalog.trust)
        if borne is not self._borne or borne.seq != seq:
            borne = extended(borne, tx.rulebooks_after(borne.seq), chain)
            chain = self._chain(tx, borne.catalog.trust)
            noted = tx.rule_authors()
            with self._lock:
                self._borne, self._noted = borne, noted
        asserted = any(issuer.groups_claim is not None for issuer in borne.catalog.trust.issuers.values())
        return Rules(
            catalog=borne.catalog,
            roster=borne.directory.without(tx.disabled_persons()).withholding(tx.removed_memberships()),
            authors=_both(borne.authors, self._noted),
            let_in=borne.let_in,
            words=tuple(tx.group_words()) if asserted else (),
            now=tx.now,
            keyring=chain.keyring,
            borne=borne.authors,
            signed=borne.signed,
            told=None if borne.catalog.trust.signing is None else chain.told,
        )

    def _chain(self, tx: Tx, trust: Trust) -> Chain:
        return Chain() if trust.signing is None else self._chains.current(tx, trust.passkeys)


def _both(one: Mapping[str, frozenset[str]], other: Mapping[str, frozenset[str]]) -> Mapping[str, frozenset[str]]:
    """Return who wrote which rule by either account: as the rulebooks show it, and as it was noted."""
    return {name: one.get(name, frozenset()) | other.get(name, frozenset()) for name in {**one, **other}}


def found(store: Store, *, catalog: Mapping[str, Any], directory: Mapping[str, Any]) -> bool:
    """Bring the first catalog and directory into force; False if there are rules already, which then stay as they are.

    Later rules come into force only through `rulemaking`: one author proposes, another approves.
    """
    with store.begin() as tx:
        if tx.rulebook_seq():
            return False
        parsed = parse_catalog(catalog), parse_directory(directory)
        rulebook = Rulebook(
            seq=1,
            catalog=catalog,
            directory=directory,
            catalog_digest=parsed[0].digest,
            directory_digest=parsed[1].digest,
        )
        tx.add_rulebook(rulebook)
        written = rule_texts(None, parsed, actor=f"{BROKER}/start")
        tx.record(
            *written,
            RulebookAdopted(
                actor=f"{BROKER}/start",
                subject="rulebook",
                catalog=rulebook.catalog_digest,
                directory=rulebook.directory_digest,
                genesis=True,
                written=len(written),
            ),
        )
        if parsed[0].trust.passkeys:
            first = tuple(passkey.document() for passkey in parsed[0].trust.passkeys)
            tx.record(PasskeysFounded(actor=f"{BROKER}/start", subject="passkeys", passkeys=first))
    return True


def rule_texts(
    before: tuple[Catalog, Directory] | None, after: tuple[Catalog, Directory], *, actor: str
) -> list[RulebookWritten]:
    """Return the facts that put into the log what rules say, as far as it differs from those before.

    Raises:
        Invalid: one thing alone is larger than an entry of the log may be.
    """
    rows = rows_between({} if before is None else sections_of(*before), sections_of(*after))
    return [RulebookWritten(actor=actor, subject="rulebook", rows=tuple(batch)) for batch in batches(rows)]
