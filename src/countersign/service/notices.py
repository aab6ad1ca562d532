"""Notices: the owners who were skipped in an emergency are told at once, and it is on record that they were.

Which group is told through which receiver is countersigned (`[trust.notices]`); where a receiver is and its secret are settings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from countersign.auditlog.leaf import Entry
from countersign.domain.facts import BROKER
from countersign.domain.notice_facts import NoticeDelivered, NoticeFailed, NoticeUnaddressed
from countersign.domain.timestamps import read
from countersign.service.followers import Unfinished
from countersign.service.rules import RuleReader, Rules
from countersign.service.streams.post import Undelivered
from countersign.service.streams.webhook import Receiver, message_of
from countersign.store import Store

logger = structlog.get_logger(__name__)

ACTOR = f"{BROKER}/notices"
TOLD_OF = frozenset({"break-glass.opened", "break-glass.unreviewed"})
"""What owners are told of: that they were skipped, and that nobody looked at it afterwards in time."""

Fact = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Audience:
    """Who is to be told of an emergency.

    Attributes:
        groups: the entitlement's owner and those whose signature its normal rule asks for.
        receivers: by which they are told.
        untold: groups for which the rules name no receiver.
    """

    groups: frozenset[str]
    receivers: frozenset[str]
    untold: frozenset[str]


def audience_of(fact: Fact, rules: Rules) -> Audience:
    """Return who is told. Of an entitlement that the catalog has no more, everybody who is ever told of anything."""
    notices = rules.catalog.trust.notices
    entitlement = rules.catalog.entitlements.get(fact["data"]["entitlement"])
    if entitlement is None:
        groups = frozenset(notices)
    else:
        groups = frozenset({entitlement.owner, *(factor.group for factor in entitlement.review)})
    return Audience(
        groups=groups,
        receivers=frozenset(name for group in groups for name in notices.get(group, ())),
        untold=frozenset(group for group in groups if not notices.get(group)),
    )


@dataclass(frozen=True, kw_only=True)
class Notices:
    """Tells one receiver. What it took is a fact; what it did not take is one too, once, and is tried again for ever."""

    store: Store
    rules: RuleReader
    receiver: Receiver

    @property
    def name(self) -> str:
        """The name of its cursor."""
        return f"notice:{self.receiver.name}"

    def handle(self, entries: Sequence[Entry]) -> None:
        """Tell of what is in these entries.

        Raises:
            Unfinished: the receiver did not take it.
        """
        for done, entry in enumerate(entries):
            fact = _emergency_in(entry)
            if fact is not None:
                self._tell(entry, fact, done)

    def _tell(self, entry: Entry, fact: Fact, done: int) -> None:
        with self.store.read() as tx:
            audience = audience_of(fact, self.rules.current(tx))
            said = [json.loads(row["leaf"]) for row in tx.facts(subject=fact["subject"], limit=1000)]
        before = {each["type"] for each in said if self._is_about(each, entry)}
        if self.receiver.name not in audience.receivers or NoticeDelivered.type in before:
            return  # not for this one, or taken before a crash
        body = json.dumps(notice_of(entry, fact, audience), separators=(",", ":")).encode("ascii")
        try:
            with self.receiver.line() as line:
                status = self.receiver.post(line, body, message_id=message_of(entry, prefix="notice"))
        except Undelivered as undelivered:
            if NoticeFailed.type not in before:
                self._record_failure(entry, fact, str(undelivered))
            raise Unfinished(str(undelivered), done=done) from undelivered
        with self.store.begin() as tx:
            tx.record(
                NoticeDelivered(
                    actor=ACTOR,
                    subject=fact["subject"],
                    entry=entry.index,
                    receiver=self.receiver.name,
                    groups=audience.groups,
                    skipped=tuple(fact["data"].get("skipped", ())),
                    status=status,
                    after_ms=int((tx.now - read(fact["at"])).total_seconds() * 1000),
                )
            )

    def _is_about(self, said: Fact, entry: Entry) -> bool:
        data = said["data"]
        return (data.get("entry"), data.get("receiver")) == (entry.index, self.receiver.name)

    def _record_failure(self, entry: Entry, fact: Fact, trouble: str) -> None:
        logger.error("owners were not told of an emergency", receiver=self.receiver.name, grant=fact["subject"])
        with self.store.begin() as tx:
            tx.record(
                NoticeFailed(
                    actor=ACTOR,
                    subject=fact["subject"],
                    entry=entry.index,
                    receiver=self.receiver.name,
                    trouble=trouble,
                )
            )


@dataclass(frozen=True, kw_only=True)
class UnaddressedNotices:
    """Says so when an emergency concerns groups that nobody can tell: a receiver is missing in the rules or in the settings.

    Attributes:
        known: the receivers that the settings know.
    """

    store: Store
    rules: RuleReader
    known: frozenset[str] = frozenset()
    name: str = "notices"

    def handle(self, entries: Sequence[Entry]) -> None:
        """Look at the emergencies in these entries."""
        for entry in entries:
            fact = _emergency_in(entry)
            if fact is not None:
                self._look(entry, fact)

    def _look(self, entry: Entry, fact: Fact) -> None:
        with self.store.begin() as tx:
            audience = audience_of(fact, self.rules.current(tx))
            unknown = audience.receivers - self.known
            said = (json.loads(row["leaf"]) for row in tx.facts(subject=fact["subject"], type_=NoticeUnaddressed.type))
            if not (audience.untold or unknown) or any(each["data"]["entry"] == entry.index for each in said):
                return
            logger.error("nobody can be told of an emergency", grant=fact["subject"], groups=sorted(audience.untold))
            tx.record(
                NoticeUnaddressed(
                    actor=ACTOR,
                    subject=fact["subject"],
                    entry=entry.index,
                    groups=audience.untold,
                    receivers=unknown,
                )
            )


def notice_of(entry: Entry, fact: Fact, audience: Audience) -> dict[str, object]:
    """Return what a receiver is told of an emergency: no text that somebody wrote, for those are in the log as commitments."""
    return {
        "type": fact["type"],
        "timestamp": fact["at"],
        "data": {"index": entry.index, "grant": fact["subject"], "groups": sorted(audience.groups), **fact["data"]},
    }


def _emergency_in(entry: Entry) -> Fact | None:
    fact: Fact = json.loads(entry.leaf)
    return fact if fact["type"] in TOLD_OF else None
