"""Checking catalog and directory together: unknown groups are errors; rules that mean nobody are said aloud as warnings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from countersign.config.problems import Problem, Severity, shown
from countersign.domain.entitlement import BreakGlass, Catalog, Entitlement, Factor
from countersign.domain.environment import Environment
from countersign.domain.issuer import PIPELINE_CLAIMS, Use
from countersign.domain.people import Directory, Role
from countersign.domain.review import could_be_reached
from countersign.domain.trust import Trust

NAMED_AT_MOST = 5
AWS_ROLE, OPEN_LEASES = "aws-role", 50
"""A target's kind, and for how many leases its role keeps room where it says nothing."""


def check_together(catalog: Catalog, directory: Directory) -> list[Problem]:
    """Return what is wrong between a catalog and a directory: errors first, then warnings, each in the catalog's order.

    An error (a group that the directory does not know) refuses the pair. A warning marks what nobody can do, which is
    safe and seldom meant.
    """
    circles = {environment: _Circle.of(directory.within(environment)) for environment in Environment}
    found = [
        problem
        for entitlement in catalog.entitlements.values()
        for problem in _Pair(entitlement, circles[entitlement.environment]).problems()
    ]
    found += [
        Problem(where=f"trust.notices.{group}", expected="a group of the directory", got=shown(group))
        for group in catalog.trust.notices
        if group not in directory.groups
    ]
    found += [*_identities(catalog.trust, directory), *_mappings(catalog.trust, directory)]
    found += _rooms(catalog)
    return sorted(found, key=lambda problem: problem.severity is Severity.WARNING)


def _identities(trust: Trust, directory: Directory) -> Iterator[Problem]:
    """Demand that every identity is at an issuer that is believed, and bound as tightly as its kind asks."""
    for principal in directory.principals.values():
        if principal.issuer is None:
            continue
        where = f"principal {shown(principal.id)}"
        issuer = trust.issuers.get(principal.issuer)
        if issuer is None:
            known = ", ".join(trust.issuers) or "none is given"
            yield Problem(
                where=f"{where}.issuer", expected=f"a [[trust.issuer]] ({known})", got=shown(principal.issuer)
            )
        elif not principal.human and issuer.use is not Use.PIPELINES:
            yield Problem(where=f"{where}.issuer", expected="an issuer for pipelines", got="one for people")
        elif not principal.human and not set(PIPELINE_CLAIMS) <= dict(principal.claims).keys():
            wanting = ", ".join(PIPELINE_CLAIMS)
            yield Problem(where=f"{where}.claims", expected=f"at least {wanting}", got="fewer of them")


def _mappings(trust: Trust, directory: Directory) -> Iterator[Problem]:
    for issuer in trust.issuers.values():
        for group in issuer.groups:
            if group not in directory.groups:
                where = f"trust.issuer {shown(issuer.id)}.groups"
                yield Problem(where=where, expected="groups that the directory knows", got=shown(group))


@dataclass(frozen=True, kw_only=True)
class _Circle:
    """The directory as one environment sees it, and who could sign and ask there."""

    directory: Directory
    approvers: frozenset[str]
    requesters: frozenset[str]

    @classmethod
    def of(cls, directory: Directory) -> _Circle:
        approvers = directory.holders(Role.APPROVER) - directory.machines_only
        return cls(directory=directory, approvers=approvers, requesters=directory.holders(Role.REQUESTER))


class _Pair:
    """One entitlement before the people of its environment."""

    def __init__(self, entitlement: Entitlement, circle: _Circle) -> None:
        self._entitlement = entitlement
        self._directory = circle.directory
        self._approvers = circle.approvers
        self._requesters = circle.requesters

    def problems(self) -> Iterator[Problem]:
        yield from self._owner()
        yield from self._factors("review", self._entitlement.review)
        yield from self._asking()
        yield from self._reachable("review", self._entitlement.review)
        if self._entitlement.break_glass is not None:
            yield from self._break_glass(self._entitlement.break_glass)

    def _break_glass(self, break_glass: BreakGlass) -> Iterator[Problem]:
        yield from self._factors("break_glass.review", break_glass.review)
        yield from self._reachable("break_glass.review", break_glass.review)
        yield from self._group("break_glass.reviewers", break_glass.reviewers)

    def _problem(self, key: str, expected: str, got: str, severity: Severity) -> Problem:
        where = f"entitlement {shown(self._entitlement.id)}.{key}"
        return Problem(where=where, expected=expected, got=got, severity=severity)

    def _group(self, key: str, group: str) -> Iterator[Problem]:
        """Judge one mention of a group: it must exist, and should have an active member."""
        if group not in self._directory.groups:
            yield self._problem(key, "a group of the directory", shown(group), Severity.ERROR)
        elif not self._directory.members(group):
            environment = self._entitlement.environment
            if self._directory.groups[group].members:
                got = f"{shown(group)}, where nobody has an account for {environment}: it means nobody"
            else:
                got = f"{shown(group)}, which is empty and means nobody"
            yield self._problem(key, "a group with members", got, Severity.WARNING)

    def _owner(self) -> Iterator[Problem]:
        yield from self._group("owner", self._entitlement.owner)

    def _factors(self, key: str, rule: Sequence[Factor]) -> Iterator[Problem]:
        for position, factor in enumerate(rule):
            place = f"{key}[{position}]"
            yield from self._group(f"{place}.group", factor.group)
            members = self._directory.members(factor.group)
            able = members & self._approvers
            if members and not able:
                got = f"{shown(factor.group)}, where nobody does: it means nobody"
                expected = f"a group in which somebody holds the role {Role.APPROVER}"
                yield self._problem(f"{place}.group", expected, got, Severity.WARNING)
            elif 0 < len(able) < factor.count:
                expected = f"at most {len(able)}, the approvers in {factor.group}"
                got = f"{factor.count}, which means nobody"
                yield self._problem(f"{place}.count", expected, got, Severity.WARNING)

    def _asking(self) -> Iterator[Problem]:
        groups = self._entitlement.requesters
        for position, group in enumerate(groups or ()):
            yield from self._group(f"requesters[{position}]", group)
        if not self._may_ask():
            expected = f"somebody who may ask: the role {Role.REQUESTER}" + (
                " and one of these groups" if groups else ""
            )
            yield self._problem("requesters", expected, "nobody", Severity.WARNING)

    def _may_ask(self) -> frozenset[str]:
        groups = self._entitlement.requesters
        if groups is None:
            return self._requesters
        return self._requesters & frozenset(person for group in groups for person in self._directory.members(group))

    def _reachable(self, key: str, rule: Sequence[Factor]) -> Iterator[Problem]:
        """Find those who may ask and whose request nobody could sign off.

        Only a person who sits in a factor with no more approvers than the rule has seats can be missed there; everyone
        else is answered by one shared look.
        """
        seats = sum(factor.count for factor in rule)
        able = [self._directory.members(factor.group) & self._approvers for factor in rule]
        needed = frozenset(person for group in able if len(group) <= seats for person in group)
        asking = sorted(self._may_ask())
        answers: dict[str | None, bool] = {}
        stuck = []
        for person in asking:
            asked = person if person in needed else None
            if asked not in answers:
                answers[asked] = could_be_reached(rule, requester=person, directory=self._directory)
            if not answers[asked]:
                stuck.append(person)
        if stuck:
            names = ", ".join(stuck[:NAMED_AT_MOST]) + (
                f" and {len(stuck) - NAMED_AT_MOST} more" * (len(stuck) > NAMED_AT_MOST)
            )
            got = "nobody could ever approve" if len(stuck) == len(asking) else f"nobody could approve for {names}"
            expected = "a rule that others can fill for everyone who may ask"
            yield self._problem(key, expected, got, Severity.WARNING)


def _rooms(catalog: Catalog) -> Iterator[Problem]:
    """Find AWS roles that keep room for fewer early ends than there can be leases: a grant would be made that cannot be drawn."""
    needed: dict[str, int] = {}
    for item in catalog.entitlements.values():
        if item.target.kind == AWS_ROLE:
            role = str(item.target.settings.get("role_arn"))
            needed[role] = max(needed.get(role, 0), item.caps.open_per_target * item.draws)
    for target in {item.target.id: item.target for item in catalog.entitlements.values()}.values():
        role, room = str(target.settings.get("role_arn")), target.settings.get("open_leases", OPEN_LEASES)
        if target.kind == AWS_ROLE and isinstance(room, int) and room < needed[role]:
            yield Problem(
                where=f"target {shown(target.id)}.settings.open_leases",
                expected=f"at least {needed[role]}: open_per_target times draws of what leads to this role",
                got=str(room),
                severity=Severity.WARNING,
            )
