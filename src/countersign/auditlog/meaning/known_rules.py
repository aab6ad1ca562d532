"""The rules at one place of the log, put together from its own entries: what an entitlement asked for, and who could sign."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from countersign.domain.canonical import digest
from countersign.domain.entitlement import Factor
from countersign.domain.environment import PRODUCTION_ONLY, Environment
from countersign.domain.people import Directory, Group, Person, Principal, Role
from countersign.domain.review import count_quorum, eligible_for
from countersign.domain.rule_texts import documents

Document = Mapping[str, Any]
NOBODY = ""
_MOST_REMEMBERED = 20_000
"""Answers of each kind that are kept, so that memory does not grow with the people of a long log."""


@dataclass(frozen=True, kw_only=True)
class KnownRules:
    """A rulebook as the log tells it, with those left out who were disabled since.

    Attributes:
        sections: as `rule_texts` takes them apart.
        authors: by entitlement, who wrote and approved its rule as it stands; none for what stood from the start.
        disabled: who holds nothing any more.
        withheld: memberships (person, group) that were removed and are still listed.
    """

    sections: Mapping[str, Any]
    authors: Mapping[str, frozenset[str]]
    disabled: frozenset[str] = frozenset()
    withheld: frozenset[tuple[str, str]] = frozenset()
    _within: dict[Environment, Directory] = field(default_factory=dict, repr=False)
    _asks: dict[tuple[str, str], bool] = field(default_factory=dict, repr=False)
    _seats: dict[tuple[str, str, bool], frozenset[str]] = field(default_factory=dict, repr=False)
    _quorums: dict[tuple[object, ...], bool] = field(default_factory=dict, repr=False)

    def after(self, sections: Mapping[str, Any], *, by: Iterable[str]) -> KnownRules:
        """Return the rules with other sections, brought into force by these two people."""
        following = KnownRules(sections=sections, authors={}, disabled=self.disabled)
        people = frozenset(by)
        authors = {
            name: self.authors.get(name, frozenset()) if self.rule_digests.get(name) == made else people
            for name, made in following.rule_digests.items()
        }
        listed = following.directory.groups
        withheld = {(who, group) for who, group in self.withheld if group in listed and who in listed[group].members}
        return KnownRules(sections=sections, authors=authors, disabled=self.disabled, withheld=frozenset(withheld))

    def without(self, person: str) -> KnownRules:
        """Return the rules with one more person disabled."""
        return KnownRules(
            sections=self.sections, authors=self.authors, disabled=self.disabled | {person}, withheld=self.withheld
        )

    def withholding(self, person: str, group: str) -> KnownRules:
        """Return the rules with one more membership removed."""
        return KnownRules(
            sections=self.sections,
            authors=self.authors,
            disabled=self.disabled,
            withheld=self.withheld | {(person, group)},
        )

    @cached_property
    def entitlements(self) -> Mapping[str, Document]:
        """The entitlements' documents, by id."""
        return {item["id"]: item for item in documents(self.sections)[0].get("entitlements", ())}

    @cached_property
    def rule_digests(self) -> Mapping[str, str]:
        """By entitlement, the digest that a request pins."""
        return {name: digest("countersign/rule/v1", item) for name, item in self.entitlements.items()}

    @cached_property
    def directory(self) -> Directory:
        """Who there was; persons bear their ids for names, which is all that the log knows of them."""
        said = documents(self.sections)[1]
        return Directory(
            persons={
                each["id"]: Person(id=each["id"], name=each["id"], manager=each.get("manager"))
                for each in said["persons"]
            },
            principals={
                each["id"]: Principal(
                    id=each["id"],
                    person=each["person"],
                    human=each["human"],
                    environments=frozenset(map(Environment, each.get("environments", PRODUCTION_ONLY))),
                )
                for each in said["principals"]
            },
            groups={
                each["id"]: Group(
                    id=each["id"],
                    members=frozenset(each["members"]),
                    roles=frozenset(Role(role) for role in each["roles"] if role in set(Role)),
                )
                for each in said["groups"]
            },
            disabled=self.disabled,
            withheld=self.withheld,
        )

    def rule(self, entitlement: str, *, emergency: bool) -> tuple[Factor, ...]:
        """Return who must sign, in an emergency that is signed for at once by the rule of break-glass; nobody's without one."""
        found: Any = self.entitlements[entitlement]
        if emergency:
            found = found.get("break_glass") or {"review": ()}
        return tuple(Factor(group=each["group"], count=each["count"]) for each in found["review"])

    def pins(self, entitlement: str, rule: str) -> bool:
        """Say whether this is the digest of the entitlement as it stands."""
        return self.rule_digests.get(entitlement) == rule

    def may_ask(self, person: str, entitlement: str) -> bool:
        """Say whether a person may ask for an entitlement: not who wrote its rule."""
        asked = (person, entitlement)
        if asked not in self._asks:
            asker = self.signers(entitlement)
            groups = self.entitlements[entitlement]["requesters"]
            self._room(self._asks)[asked] = Role.REQUESTER in asker.roles_of(person) and (
                groups is None or any(person in asker.members(group) for group in groups)
            )
        return self._asks[asked]

    def signers(self, entitlement: str) -> Directory:
        """Return the directory as the entitlement's environment sees it, in which who wrote the rule holds nothing."""
        environment = Environment(self.entitlements[entitlement]["environment"])
        if environment not in self._within:
            self._within[environment] = self.directory.within(environment)
        return self._within[environment].without(self.authors.get(entitlement, frozenset()))

    def may_sign(self, person: str, groups: Iterable[str], entitlement: str, *, emergency: bool) -> bool:
        """Say whether a person could sign in the name of all these groups, for anybody else."""
        asked = (person, entitlement, emergency)
        if asked not in self._seats:
            rule = self.rule(entitlement, emergency=emergency)
            self._room(self._seats)[asked] = eligible_for(
                rule, person=person, requester=NOBODY, directory=self.signers(entitlement)
            )
        return self._seats[asked].issuperset(groups)

    def suffices(self, approvers: Collection[str], entitlement: str, *, requester: str, emergency: bool) -> bool:
        """Say whether these approvals fill the rule, each person counted once."""
        asked = (entitlement, requester, emergency, *approvers)
        if asked not in self._quorums:
            rule = self.rule(entitlement, emergency=emergency)
            counted = count_quorum(rule, approvers=approvers, requester=requester, directory=self.signers(entitlement))
            self._room(self._quorums)[asked] = counted.reached
        return self._quorums[asked]

    def approves(self, authors: Sequence[str], entitlement: str) -> bool:
        """Say whether a rule is automatic outside production, and these two countersigned it and are authors still."""
        item, by = self.entitlements[entitlement], self.authors.get(entitlement, frozenset())
        able = self.directory.holders(Role.CATALOG_AUTHOR) - self.directory.machines_only
        return (
            item.get("automatic") is True
            and not item.keys() & {"break_glass", "signature", "rules"}
            and item["environment"] in {Environment.STAGING, Environment.DEVELOPMENT}
            and len(authors) == len(by) == 2  # noqa: PLR2004 - two people countersign
            and by == {*authors}
            and by <= able
        )

    @staticmethod
    def _room(remembered: dict[Any, Any]) -> dict[Any, Any]:
        """Return a memory with room for one more: it is emptied when it is full."""
        if len(remembered) >= _MOST_REMEMBERED:
            remembered.clear()
        return remembered
