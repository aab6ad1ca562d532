"""Who there is: persons, the principals they act through, and the groups and roles that rules speak of.

Separation of duties is judged on persons. A principal (a sign-in, a token, a service account) always resolves to one person;
what resolves to nobody may do nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

from countersign.domain.canonical import digest
from countersign.domain.environment import PRODUCTION_ONLY, Environment
from countersign.domain.refusals import NotPermitted

DIRECTORY_LABEL = "countersign/directory/v2"
NAMES_LABEL = "countersign/names/v1"


class Role(StrEnum):
    """What a group's members may do at all; review rules name groups, verbs name roles."""

    REQUESTER = "requester"
    APPROVER = "approver"
    AUDITOR = "auditor"
    CATALOG_AUTHOR = "catalog-author"
    OPERATOR = "operator"
    ON_CALL = "on-call"


ACTING_ROLES = frozenset({Role.REQUESTER, Role.APPROVER, Role.CATALOG_AUTHOR, Role.OPERATOR, Role.ON_CALL})
"""Roles that do something; an auditor holds none of them (static separation of duties)."""

CONFLICTS: tuple[tuple[Role, Role], ...] = (
    *((Role.AUDITOR, role) for role in sorted(ACTING_ROLES)),
    (Role.OPERATOR, Role.APPROVER),
    (Role.CATALOG_AUTHOR, Role.OPERATOR),
    (Role.CATALOG_AUTHOR, Role.APPROVER),
)
"""Pairs of roles that no person holds together, by whatever groups (static separation of duties)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """A human being. `id` is authoritative; `name` is for display only; `manager` is the person reported to, if that is known."""

    id: str
    name: str
    manager: str | None = None

    def lines(self) -> dict[str, str]:
        """Return the reporting line as far as it is known, as it stands in the document."""
        return {} if self.manager is None else {"manager": self.manager}


@dataclass(frozen=True, kw_only=True, slots=True)
class Principal:
    """An authenticated identity and the person behind it.

    Attributes:
        human: False for what acts by itself; it may ask and draw, and never signs.
        environments: what it is for, on one side of the seal between production and the rest.
        issuer: the identity issuer that vouches for it; None for a bearer token of the embedded stack.
        subject: its name at the issuer, which is never reused there; never an e-mail address.
        claims: for a pipeline, what its tokens must say word for word, as sorted pairs.
        behind: the persons who made a pipeline run; known at sign-in only, and none of them signs what it asks for.
        factors: how the person proved who he is (`acr` and `amr`); known at sign-in only.
        session: the session through which it calls; known at sign-in only.
        revision: the commit that a pipeline runs on, by the word of its CI; known at sign-in only.
    """

    id: str
    person: str
    human: bool = True
    environments: frozenset[Environment] = PRODUCTION_ONLY
    issuer: str | None = None
    subject: str | None = None
    claims: tuple[tuple[str, str], ...] = ()
    behind: frozenset[str] = frozenset()
    factors: frozenset[str] = frozenset()
    session: str | None = None
    revision: str | None = None

    def document(self) -> dict[str, object]:
        """Return what the directory says of it as plain JSON; what is not said is not in it."""
        said: dict[str, object] = {"id": self.id, "person": self.person, "human": self.human}
        if self.environments != PRODUCTION_ONLY:
            said["environments"] = sorted(self.environments)
        if self.issuer is not None:
            said["issuer"] = self.issuer
        if self.subject is not None:
            said["subject"] = self.subject
        if self.claims:
            said["claims"] = dict(self.claims)
        return said


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """A named set of persons with the roles that membership gives."""

    id: str
    members: frozenset[str]
    roles: frozenset[Role] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Directory:
    """All persons, principals and groups in force at one moment.

    Attributes:
        disabled: persons who are members of nothing.
        withheld: memberships (person, group) that do not hold now, because no identity issuer confirms them.
    """

    persons: Mapping[str, Person]
    principals: Mapping[str, Principal]
    groups: Mapping[str, Group]
    disabled: frozenset[str] = frozenset()
    withheld: frozenset[tuple[str, str]] = frozenset()

    def without(self, disabled: Iterable[str]) -> Directory:
        """Return the directory in which `disabled` persons hold nothing."""
        return replace(self, disabled=self.disabled | frozenset(disabled))

    def withholding(self, memberships: Iterable[tuple[str, str]]) -> Directory:
        """Return the directory in which these memberships (person, group) do not hold."""
        return replace(self, withheld=self.withheld | frozenset(memberships))

    def identified(self, *, issuer: str, subject: str) -> Principal | None:
        """Return the human principal that an issuer's subject is; an unknown subject is nobody."""
        found = (each for each in self.principals.values() if (each.issuer, each.subject) == (issuer, subject))
        return next((each for each in found if each.human), None)

    def pipelines(self, *, issuer: str, claims: Mapping[str, object]) -> tuple[Principal, ...]:
        """Return the machines of an issuer of which every claim is said word for word."""
        return tuple(
            each
            for each in self.principals.values()
            if not each.human
            and each.issuer == issuer
            and each.claims
            and all(claims.get(name) == value for name, value in each.claims)
        )

    def within(self, environment: Environment) -> Directory:
        """Return the directory as one environment sees it: only accounts that are for it, and only persons who have one."""
        principals = {p.id: p for p in self.principals.values() if environment in p.environments}
        strangers = self.persons.keys() - {principal.person for principal in principals.values()}
        return replace(self, principals=principals, disabled=self.disabled | strangers)

    def is_active(self, person: str) -> bool:
        """Say whether the person exists and is not disabled."""
        return person in self.persons and person not in self.disabled

    @cached_property
    def machines_only(self) -> frozenset[str]:
        """The persons who act through machines alone; they may ask, and never sign."""
        in_person = {principal.person for principal in self.principals.values() if principal.human}
        return frozenset(principal.person for principal in self.principals.values()) - in_person

    def members(self, group: str) -> frozenset[str]:
        """Return the active members of a group; an unknown group has none."""
        found = self.groups.get(group)
        if found is None:
            return frozenset()
        return frozenset(
            person for person in found.members if self.is_active(person) and (person, group) not in self.withheld
        )

    def groups_of(self, person: str) -> frozenset[str]:
        """Return the groups that an active person belongs to."""
        if not self.is_active(person):
            return frozenset()
        return frozenset(
            group.id
            for group in self.groups.values()
            if person in group.members and (person, group.id) not in self.withheld
        )

    def roles_of(self, person: str) -> frozenset[Role]:
        """Return the roles that an active person's groups give."""
        return frozenset(role for group in self.groups_of(person) for role in self.groups[group].roles)

    def holders(self, role: Role) -> frozenset[str]:
        """Return every active person who holds `role`."""
        return frozenset(
            person for group in self.groups.values() if role in group.roles for person in self.members(group.id)
        )

    def demand(self, principal: Principal, *roles: Role) -> None:
        """Refuse unless the principal's person holds one of `roles`.

        Raises:
            NotPermitted: none of the roles is held.
        """
        if not self.roles_of(principal.person) & frozenset(roles):
            names = " or ".join(roles)
            raise NotPermitted(
                f"{principal.person} does not hold the role {names}",
                rule=f"only {names}",
                hint="ask someone who holds the role, or have the directory changed",
            )

    def document(self) -> dict[str, object]:
        """Return the directory as plain JSON, in a fixed order."""
        return {
            "persons": [{"id": p.id, "name": p.name} | p.lines() for _, p in sorted(self.persons.items())],
            "principals": [p.document() for _, p in sorted(self.principals.items())],
            "groups": [
                {"id": g.id, "members": sorted(g.members), "roles": sorted(g.roles)}
                for _, g in sorted(self.groups.items())
            ],
        }

    def pinned(self) -> dict[str, object]:
        """Return what is hashed and stands in the log: as the document, with the persons' names as one digest over all."""
        said = self.document()
        persons = sorted(self.persons)
        names = digest(NAMES_LABEL, [[person, self.persons[person].name] for person in persons])
        return said | {
            "persons": [{"id": person} | self.persons[person].lines() for person in persons],
            "names": names,
        }

    @property
    def digest(self) -> str:
        """Return the digest that names the directory; names of persons count, and cannot be read out of it."""
        return digest(DIRECTORY_LABEL, self.pinned())
