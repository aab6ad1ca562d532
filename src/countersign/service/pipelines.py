"""Pipelines: a CI job's token becomes a short session of a machine, behind which stand the humans who made it run.

A pipeline asks and draws. It never signs, and neither does any of those behind it sign what it asks for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from countersign.domain.issuer import Issuer, Use
from countersign.domain.people import Directory, Principal
from countersign.domain.session import SessionKind
from countersign.domain.signin_refusals import IdentityAway, IdentityRefused
from countersign.identity import Claims, IdentityProvider, TokenKind, verify
from countersign.identity.tokens import claimed_issuer
from countersign.service.identities import Identities
from countersign.service.office import Office
from countersign.service.sessions import Sessions, Tokens, hashed
from countersign.service.signing_in import refused_entry

PLATFORM = "web-flow"
"""The committer that GitHub names for what was merged in its own pages; it is nobody."""
_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}")
_SHA = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


@dataclass(frozen=True, kw_only=True)
class Pipelines:
    """The use case of a token exchange."""

    office: Office
    identities: Identities
    sessions: Sessions

    def exchange(self, unverified_token: str) -> Tokens:
        """Return a short access token for the pipeline that a CI's ID token names.

        Raises:
            IdentityRefused: the token proves no pipeline of the directory, was shown before, or somebody behind it is unknown.
            IdentityAway: its issuer, or the source of commits, cannot be asked.
        """
        with self.office.store.read() as tx:
            rules, now = self.office.rules.current(tx), tx.now
        provider = self.identities.provider_at(rules, claimed_issuer(unverified_token), use=Use.PIPELINES)
        if provider is None:
            raise IdentityRefused(
                "no issuer of pipelines that is believed here made this token", rule="[[trust.issuer]]"
            )
        claims = verify(
            unverified_token,
            provider=provider,
            kind=TokenKind.PIPELINE,
            audience=provider.issuer.audience,
            now=now,
        )
        authors = self._authors(provider, claims)
        try:
            with self.office.store.begin() as tx:
                roster = self.office.rules.current(tx).roster
                principal = _pipeline(roster, claims)
                self._demand_first(tx.show_token, claims)
                behind = _behind(roster, claims, authors)
                session = self.sessions.open(
                    tx,
                    replace(principal, behind=behind, revision=_commit(claims)),
                    claims,
                    kind=SessionKind.PIPELINE,
                    token=unverified_token,
                )
                return self.sessions.tokens(tx, session)
        except IdentityRefused as refusal:
            with self.office.store.begin() as tx:
                tx.record(refused_entry(claims, refusal))
            raise

    def _demand_first(self, show: Any, claims: Claims) -> None:  # noqa: ANN401 - a method of the transaction
        jti = claims.said.get("jti")
        if not isinstance(jti, str) or not jti:
            raise IdentityRefused("the token bears no jti", rule="a pipeline's token is good once")
        until = claims.expires_at + 2 * claims.issuer.max_skew
        if not show(issuer=claims.issuer.id, hashed=hashed(f"jti {jti}"), expires_at=until):
            raise IdentityRefused("this token was shown before", rule="a pipeline's token is good once")

    def _authors(self, provider: IdentityProvider, claims: Claims) -> frozenset[str]:
        """Return the subjects of who wrote and committed the commit that runs, where a source of commits is countersigned."""
        issuer = provider.issuer
        if issuer.commits_url is None:
            return frozenset()
        repository, sha = str(claims.said.get("repository", "")), str(claims.said.get("sha", ""))
        if not _REPOSITORY.fullmatch(repository) or not _SHA.fullmatch(sha) or ".." in repository:
            raise IdentityRefused("the token names no commit", rule=f"issuer {issuer.id}: commits_url")
        url = issuer.commits_url.replace("{repository}", quote(repository)).replace("{sha}", sha)
        told = provider.fetcher.get(url, bearer=self.identities.commits_tokens.get(issuer.id))
        if told.get("sha") != sha:
            raise IdentityAway(f"the source of commits of {issuer.id} told of another commit")
        people = [told.get("author"), told.get("committer")]
        return frozenset(
            _subject(each) for each in people if not (isinstance(each, dict) and each.get("login") == PLATFORM)
        )


def _pipeline(roster: Directory, claims: Claims) -> Principal:
    """Return the one pipeline of the directory that the claims name, word for word.

    Raises:
        IdentityRefused: none, several, or one whose person is disabled.
    """
    found = roster.pipelines(issuer=claims.issuer.id, claims=claims.said)
    if len(found) != 1 or not roster.is_active(found[0].person):
        raise IdentityRefused(
            f"{len(found)} pipelines of the directory are bound to what this token says",
            rule="a pipeline is bound to repository, environment and workflow",
            hint="have a catalog author compare the principal's claims with those of the token",
        )
    return found[0]


def _behind(roster: Directory, claims: Claims, authors: frozenset[str]) -> frozenset[str]:
    """Return the persons who made the pipeline run.

    Raises:
        IdentityRefused: one of them is nobody in the directory; who cannot be told apart from an approver stops it.
    """
    issuer = claims.issuer
    persons: set[str] = set()
    for subject in [*(_named(issuer, claims.said, name) for name in issuer.actor_claims), *sorted(authors)]:
        human = roster.identified(issuer=issuer.id, subject=subject)
        if human is None or not roster.is_active(human.person):
            raise IdentityRefused(
                f"somebody behind this run ({subject[:60]!r} at {issuer.id}) is nobody in the directory",
                rule="whoever is behind a pipeline is known, so that he does not sign for it",
                hint="have a catalog author propose a principal with this issuer and subject",
            )
        persons.add(human.person)
    return frozenset(persons)


def _named(issuer: Issuer, said: Mapping[str, Any], name: str) -> str:
    value = said.get(name)
    if not isinstance(value, str) or not value:
        raise IdentityRefused(f"the token does not say who {name} is", rule=f"issuer {issuer.id}: actor_claims")
    return value


def _commit(claims: Claims) -> str | None:
    """Return the commit that the CI says it runs on, None where it names none."""
    sha = claims.said.get("sha")
    return sha if isinstance(sha, str) and _SHA.fullmatch(sha) else None


def _subject(told: object) -> str:
    """Return the id by which the source of commits names somebody; a text that is nobody's where it names none."""
    number = told.get("id") if isinstance(told, dict) else None
    return str(number) if isinstance(number, int) and not isinstance(number, bool) else "(no account)"
