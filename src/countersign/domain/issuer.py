"""Identity issuers: whose signed words about people and pipelines are believed, for which environments and for how long.

They stand in `[[trust.issuer]]` of the catalog, so two people countersigned them. What an issuer says of somebody's groups is a
word of a certain age: it can take a membership of the roster away, and never give one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from countersign.domain.people import Directory

PIPELINE_CLAIMS = ("repository", "environment", "job_workflow_ref")
"""What binds a pipeline's principal at the least; a subject alone can be made to say many things."""


class Use(StrEnum):
    """Whom an issuer speaks for."""

    PEOPLE = "people"
    PIPELINES = "pipelines"


@dataclass(frozen=True, kw_only=True)
class Issuer:
    """One identity issuer.

    Attributes:
        url: exactly as it stands in `iss`.
        audience: whom its tokens must be for; for people the client id of the broker's web sign-in.
        cli_audience: the client id of the command line, a public client whose only addresses lie on loopback; a token for it
            binds a person to a device key.
        algorithms: the signatures that are accepted; asymmetric ones only.
        environments: by environment in which its identities may act, how old its word on groups may be there.
        scopes: what is asked for at a sign-in; `openid` is among them.
        person_claim: the claim that a principal's `subject` is compared with.
        groups_claim: the claim that names groups; None if it asserts none.
        groups: by group of the directory, the values of which one must be among the claim's to confirm a membership.
        actor_claims: for pipelines, the claims that name the humans behind it, by their subjects at this issuer.
        commits_url: where the authors of a commit can be read, with `{repository}` and `{sha}` in it; None for no source.
        max_skew: by how much its clock and ours may differ.
    """

    id: str
    url: str
    use: Use
    audience: str
    algorithms: tuple[str, ...]
    environments: Mapping[str, timedelta]
    cli_audience: str | None = None
    scopes: tuple[str, ...] = ("openid",)
    person_claim: str = "sub"
    groups_claim: str | None = None
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    actor_claims: tuple[str, ...] = ()
    commits_url: str | None = None
    max_skew: timedelta = timedelta(seconds=30)

    def document(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {
            "id": self.id,
            "url": self.url,
            "use": self.use.value,
            "audience": self.audience,
            "cli_audience": self.cli_audience,
            "algorithms": list(self.algorithms),
            "environments": {name: int(span.total_seconds()) for name, span in sorted(self.environments.items())},
            "scopes": list(self.scopes),
            "person_claim": self.person_claim,
            "groups_claim": self.groups_claim,
            "groups": {group: list(values) for group, values in sorted(self.groups.items())},
            "actor_claims": list(self.actor_claims),
            "commits_url": self.commits_url,
            "max_skew_s": int(self.max_skew.total_seconds()),
        }

    def confirmed(self, claimed: Iterable[str]) -> frozenset[str]:
        """Return the directory's groups that these values of the groups claim confirm."""
        said = frozenset(claimed)
        return frozenset(group for group, values in self.groups.items() if said & frozenset(values))

    def freshness(self, environment: str | None) -> timedelta | None:
        """Return how old its word may be: in one environment, or (None) in the one that allows the most; None for not at all."""
        if environment is None:
            return max(self.environments.values(), default=None)
        return self.environments.get(environment)


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupWord:
    """What an issuer said of a person's groups, mapped to the directory's, and when it said so."""

    issuer: str
    person: str
    groups: frozenset[str]
    at: datetime


def withheld(
    directory: Directory,
    issuers: Mapping[str, Issuer],
    words: Iterable[GroupWord],
    *,
    now: datetime,
    environment: str | None,
) -> frozenset[tuple[str, str]]:
    """Return the memberships (person, group) of the roster that do not hold now, for want of an issuer's fresh word.

    Concerned are persons with an identity at an issuer that asserts groups, and the groups in that issuer's mapping. One fresh
    word that names the group is needed, and a fresh word that does not name it outweighs it.
    """
    asserting = {name: issuer for name, issuer in issuers.items() if issuer.groups_claim is not None}
    if not asserting:
        return frozenset()
    spoken = {(word.issuer, word.person): word for word in words}
    asked = {
        (principal.person, principal.issuer)
        for principal in directory.principals.values()
        if principal.issuer in asserting and principal.human
    }
    needed: set[tuple[str, str]] = set()
    confirmed: set[tuple[str, str]] = set()
    denied: set[tuple[str, str]] = set()
    for person, name in asked:
        issuer, word = asserting[str(name)], spoken.get((str(name), person))
        bound = issuer.freshness(environment)
        fresh = word is not None and bound is not None and now - word.at <= bound
        for group in issuer.groups:
            needed.add((person, group))
            if word is not None and fresh:
                (confirmed if group in word.groups else denied).add((person, group))
    return frozenset((needed - confirmed) | denied)
