"""Questions of auditors, answered from the log's facts alone; that somebody asked is a fact as well."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from countersign.auditlog.meaning import Finding, MeaningCheck
from countersign.auditlog.meaning.detectors import ALSO_CHECKED
from countersign.auditlog.meaning.glass import Glass, Glasses
from countersign.auditlog.meaning.rulebooks import RULE_TYPES, rules_at
from countersign.auditlog.meaning.stories import LeaseStory, Stories, Story
from countersign.domain.entitlement import Factor
from countersign.domain.people import Directory, Principal, Role
from countersign.domain.reading_facts import AuditAsked
from countersign.domain.refusals import NotFound
from countersign.domain.review import could_be_reached, eligible_for
from countersign.domain.timestamps import spell
from countersign.service.office import Office
from countersign.store import Tx

NOBODY = ""
"""Who will ask is not known when it is asked who could approve."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """One lease that somebody had, and the entries that prove it.

    Attributes:
        until: when it was seen dead; None while it is not.
    """

    story: Story
    lease: LeaseStory

    @property
    def until(self) -> str | None:
        """When it was seen dead, spelled."""
        return self.lease.dead_at

    @property
    def entries(self) -> list[int]:
        """The indexes of the facts of request, reviews, grant and lease."""
        return sorted({*self.story.entries, *self.lease.entries})


@dataclass(frozen=True, kw_only=True)
class Signers:
    """Who could approve an entitlement at a moment, by the rules then in force as the log holds their words.

    Attributes:
        rulebook: the number of those rules; `entry` the index of the fact that brought them into force.
        matches_log: whether the words in the log give the digests that it names.
        groups: by group of the review rule, how many it asks for and who could have signed.
        enough: whether these persons could have filled the rule for somebody outside them.
    """

    rulebook: int
    entry: int
    matches_log: bool
    groups: Sequence[tuple[str, int, tuple[str, ...]]]
    enough: bool


@dataclass(frozen=True, kw_only=True)
class Reconstruction:
    """A request as it stood at a moment, with the facts that make it so."""

    story: Story
    facts: Sequence[tuple[int, Mapping[str, Any]]]


@dataclass(frozen=True, kw_only=True)
class Inquiries:
    """Use cases of auditors and operators. Each reads the whole log, and is recorded."""

    office: Office

    def who_had(self, principal: Principal, entitlement: str, *, at: datetime) -> list[Held]:
        """Return the leases of an entitlement that may have worked at a moment.

        Raises:
            NotPermitted: neither auditor nor operator.
        """
        moment = spell(at)
        stories = self._told(principal, wanted=lambda statement: statement["entitlement"] == entitlement)
        found = [Held(story=story, lease=lease) for story, lease in stories.leases() if lease.lived_at(moment)]
        self._record(principal, "who-had", subject=entitlement, about={"at": moment}, count=len(found))
        return found

    def had(self, principal: Principal, person: str) -> list[Held]:
        """Return every lease that a person ever had.

        Raises:
            NotPermitted: neither auditor nor operator.
        """
        stories = self._told(principal, wanted=lambda statement: statement["person"] == person)
        found = [Held(story=story, lease=lease) for story, lease in stories.leases() if lease.since is not None]
        self._record(principal, "had", subject=person, about={}, count=len(found))
        return found

    def late(self, principal: Principal, *, over: timedelta) -> list[Held]:
        """Return every lease that died later than this after it should have, or was overdue.

        Raises:
            NotPermitted: neither auditor nor operator.
        """
        most = int(over.total_seconds() * 1000)
        found = [
            Held(story=story, lease=lease)
            for story, lease in self._told(principal).leases()
            if lease.overdue or (lease.lateness_ms or 0) > most
        ]
        self._record(principal, "late", subject="log", about={"over_ms": most}, count=len(found))
        return found

    def who_could_approve(self, principal: Principal, entitlement: str, *, on: datetime) -> Signers:
        """Return who could have approved an entitlement at a moment.

        Raises:
            NotPermitted: neither auditor nor operator.
            NotFound: the log tells of no rules then, or they know no such entitlement.
        """
        self._demand(principal)
        with self.office.store.read() as tx:
            told = rules_at(_rule_facts(tx), spell(on))
        rules = told.now
        if rules is None:
            raise NotFound(f"the log tells of no rules that were in force at {spell(on)}")
        if entitlement not in rules.entitlements:
            raise NotFound(f"the rules in force at {spell(on)} know no entitlement {entitlement[:63]!r}")
        rule, signers = rules.rule(entitlement, emergency=False), rules.signers(entitlement)
        found = Signers(
            rulebook=told.adoptions,
            entry=told.adopted_at,
            matches_log=not told.mismatched,
            groups=[(each.group, each.count, _able(rule, each.group, signers)) for each in rule],
            enough=could_be_reached(rule, requester=NOBODY, directory=signers),
        )
        count = len({person for _, _, persons in found.groups for person in persons})
        self._record(principal, "who-could-approve", subject=entitlement, about={"on": spell(on)}, count=count)
        return found

    def reconstruct(self, principal: Principal, request_id: str, *, at: datetime) -> Reconstruction:
        """Return a request as the facts up to a moment tell it.

        Raises:
            NotPermitted: neither auditor nor operator.
            NotFound: there was none by then.
        """
        self._demand(principal)
        stories = Stories(wanted=lambda statement: statement["id"] == request_id, until=spell(at))
        facts = [(index, fact) for index, fact in self._facts() if stories.feed(index, fact) is not None]
        story = stories.by_request.get(request_id)
        self._record(principal, "reconstruct", subject=request_id, about={"at": spell(at)}, count=len(facts))
        if story is None:
            raise NotFound(f"there was no request {request_id[:20]!r} at {spell(at)}")
        return Reconstruction(story=story, facts=facts)

    def findings(self, principal: Principal) -> list[Finding]:
        """Return what the log's meaning and the detectors find, in the order of the entries.

        Raises:
            NotPermitted: neither auditor nor operator.
        """
        self._demand(principal)
        check = MeaningCheck()
        for index, fact in self._facts():
            check.feed(index, fact)
        singly = [each for each in check.finish() if each.code not in ALSO_CHECKED]
        found = sorted([*singly, *check.habits()], key=lambda finding: finding.index)
        self._record(principal, "findings", subject="log", about={}, count=len(found))
        return found

    def break_glass(self, principal: Principal) -> list[Glass]:
        """Return every break-glass with the word on it afterwards, oldest first.

        Raises:
            NotPermitted: neither auditor nor operator.
        """
        self._demand(principal)
        glasses = Glasses()
        for index, fact in self._facts():
            glasses.feed(index, fact)
        found = list(glasses.by_grant.values())
        self._record(principal, "break-glass", subject="log", about={}, count=len(found))
        return found

    def _told(self, principal: Principal, *, wanted: Callable[[Mapping[str, Any]], bool] | None = None) -> Stories:
        self._demand(principal)
        stories = Stories(wanted=wanted)
        for index, fact in self._facts():
            stories.feed(index, fact)
        return stories

    def _facts(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        return ((entry.index, json.loads(entry.leaf)) for entry in self.office.store.entries())

    def _demand(self, principal: Principal) -> None:
        with self.office.store.read() as tx:
            self.office.rules.current(tx).directory.demand(principal, Role.AUDITOR, Role.OPERATOR)

    def _record(
        self, principal: Principal, question: str, *, subject: str, about: Mapping[str, Any], count: int
    ) -> None:
        with self.office.store.begin() as tx:
            tx.record(
                AuditAsked(
                    actor=principal.person,
                    subject=subject,
                    principal=principal.id,
                    question=question,
                    about=about,
                    count=count,
                )
            )


def _rule_facts(tx: Tx) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the facts that say what the rules are, in their order."""
    found: list[Mapping[str, Any]] = []
    for kind in RULE_TYPES:
        after = -1
        while page := tx.facts(type_=kind, after=after, limit=1000):
            found += page
            after = page[-1]["index"]
    for row in sorted(found, key=lambda row: int(row["index"])):
        yield int(row["index"]), json.loads(row["leaf"])


def _able(rule: Sequence[Factor], group: str, signers: Directory) -> tuple[str, ...]:
    return tuple(
        sorted(
            person
            for person in signers.members(group)
            if group in eligible_for(rule, person=person, requester=NOBODY, directory=signers)
        )
    )
