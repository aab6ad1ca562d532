"""Who a change of the directory brings within reach of an entitlement: who may ask, sign or open there, by which account."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from countersign.domain.entitlement import Entitlement
from countersign.domain.environment import Environment
from countersign.domain.people import Directory, Role

Accounts = frozenset[tuple[str, str]]
"""Accounts with the persons to whom they belong: an account that changes hands is another one."""


@dataclass(frozen=True, kw_only=True)
class Reach:
    """What the people of one directory reach; each group is looked at once."""

    directory: Directory
    _within: dict[Environment, Directory] = field(default_factory=dict, repr=False)
    _known: dict[tuple[Environment, str | None, Role | None], Accounts] = field(default_factory=dict, repr=False)

    def accounts(self, environment: Environment, group: str | None, role: Role | None) -> Accounts:
        """Return the accounts of those in a group (or anywhere) who hold a role (or any); no machine signs."""
        asked = environment, group, role
        if asked not in self._known:
            if environment not in self._within:
                self._within[environment] = self.directory.within(environment)
            there = self._within[environment]
            people = there.holders(role) if role is not None else frozenset(there.persons)
            people = people if group is None else people & there.members(group)
            self._known[asked] = frozenset(
                (account.id, account.person)
                for account in there.principals.values()
                if account.person in people and (account.human or role is not Role.APPROVER)
            )
        return self._known[asked]

    def of(self, entitlement: Entitlement) -> Iterator[Accounts]:
        """Yield, act by act and always in one order, who may do something for an entitlement."""
        environment = entitlement.environment
        if entitlement.requesters is None:
            yield self.accounts(environment, None, Role.REQUESTER)
        for group in entitlement.requesters or ():
            yield self.accounts(environment, group, Role.REQUESTER)
        for factor in entitlement.review:
            yield self.accounts(environment, factor.group, Role.APPROVER)
        if entitlement.break_glass is not None:
            for factor in entitlement.break_glass.review:
                yield self.accounts(environment, factor.group, Role.APPROVER)
            yield self.accounts(environment, entitlement.break_glass.reviewers, None)
            yield self.accounts(environment, None, Role.ON_CALL)


def brings_somebody_in(entitlement: Entitlement, before: Reach, after: Reach) -> bool:
    """Say whether anybody may ask, sign or open for an entitlement after a change who could not before it."""
    return any(now - was for was, now in zip(before.of(entitlement), after.of(entitlement), strict=True))
