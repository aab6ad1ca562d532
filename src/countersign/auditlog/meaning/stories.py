"""Facts gathered by what they are about: one story per request, with its reviews, its grant and its leases.

Unlike the replay of `check` this keeps what it was asked for, all of it; questions are answered from it and from nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from countersign.auditlog.leaf import Fact

NEVER_EXISTED = "failed"
"""The cause of a lease whose credential the provider refused to make."""


@dataclass(slots=True)
class LeaseStory:
    """A lease as the facts tell it; times are spelled.

    Attributes:
        since: from when on the credential may have worked, None if none was made.
        entries: the indexes of the facts about it.
    """

    id: str
    provider: str
    target: str
    approvers: tuple[str, ...]
    not_after: str
    prepared_at: str
    since: str | None = None
    cause: str | None = None
    asked_at: str | None = None
    dead_at: str | None = None
    evidence: str | None = None
    lateness_ms: int | None = None
    overdue: bool = False
    entries: list[int] = field(default_factory=list)

    def lived_at(self, at: str) -> bool:
        """Say whether a credential may have worked then: made by then, and not yet seen dead."""
        return self.since is not None and self.since <= at and (self.dead_at is None or self.dead_at > at)


@dataclass(slots=True)
class Story:
    """A request and all that came of it, as the facts tell it."""

    request: str
    person: str
    entitlement: str
    statement: Mapping[str, Any]
    digest: str
    state: str = "pending"
    approvers: list[str] = field(default_factory=list)
    deniers: list[str] = field(default_factory=list)
    grant: str | None = None
    grant_state: str | None = None
    leases: dict[str, LeaseStory] = field(default_factory=dict)
    entries: list[int] = field(default_factory=list)


class Stories:
    """Gathers facts into stories.

    Args:
        wanted: by the statement of a request, whether its story is kept.
        until: a spelled time after which facts are not taken any more.
    """

    def __init__(self, *, wanted: Callable[[Mapping[str, Any]], bool] | None = None, until: str | None = None) -> None:
        self._wanted, self._until = wanted, until
        self.by_request: dict[str, Story] = {}
        self._of: dict[str, Story] = {}
        self._tell: dict[str, Callable[[Story, Fact], None]] = {
            "review.recorded": _reviewed,
            "request.decided": _decided,
            "grant.closed": _closed,
            "lease.issued": _issued,
            "lease.end-asked": _end_asked,
            "lease.overdue": _overdue,
            "lease.dead": _dead,
        }

    def feed(self, index: int, fact: Fact) -> Story | None:
        """Take the next fact, and return the story that it belongs to, if that is wanted."""
        kind, name = fact["type"], fact["subject"]
        if self._until is not None and fact["at"] > self._until:
            return None
        match kind:
            case "request.submitted":
                self._begin(fact)
            case "grant.opened":
                self._grant(fact)
            case "lease.prepared":
                self._draw(fact)
        story = self._of.get(name)
        if story is None:
            return None
        lease = story.leases.get(name)
        (story if lease is None else lease).entries.append(index)
        tell = self._tell.get(kind)
        if tell is not None:
            tell(story, fact)
        return story

    def leases(self) -> Iterable[tuple[Story, LeaseStory]]:
        """Yield every lease with its story, oldest request first."""
        for story in self.by_request.values():
            for lease in story.leases.values():
                yield story, lease

    def _begin(self, fact: Fact) -> None:
        statement = fact["data"]["statement"]
        if self._wanted is not None and not self._wanted(statement):
            return
        story = Story(
            request=fact["subject"],
            person=statement["person"],
            entitlement=statement["entitlement"],
            statement=statement,
            digest=fact["data"]["digest"],
        )
        self.by_request[story.request] = self._of[story.request] = story

    def _grant(self, fact: Fact) -> None:
        story = self._of.get(fact["data"]["request"])
        if story is not None:
            story.grant, story.grant_state = fact["subject"], "open"
            story.approvers = list(fact["data"]["approvers"])
            self._of[fact["subject"]] = story

    def _draw(self, fact: Fact) -> None:
        data, name = fact["data"], fact["subject"]
        story = self._of.get(data["grant"])
        if story is not None:
            story.leases[name] = LeaseStory(
                id=name,
                provider=data["provider"],
                target=data["target"],
                approvers=tuple(data["approvers"]),
                not_after=data["not_after"],
                prepared_at=fact["at"],
            )
            self._of[name] = story


def _reviewed(story: Story, fact: Fact) -> None:
    said = story.approvers if fact["data"]["decision"] == "approve" else story.deniers
    said.append(fact["actor"])


def _decided(story: Story, fact: Fact) -> None:
    story.state = fact["data"]["state"]


def _closed(story: Story, fact: Fact) -> None:
    story.grant_state = fact["data"]["state"]


def _issued(story: Story, fact: Fact) -> None:
    story.leases[fact["subject"]].since = fact["at"]


def _end_asked(story: Story, fact: Fact) -> None:
    lease, cause = story.leases[fact["subject"]], fact["data"]["cause"]
    lease.asked_at, lease.cause = fact["at"], cause
    if lease.since is None and cause != NEVER_EXISTED:
        lease.since = lease.prepared_at  # nobody knows whether it was made


def _overdue(story: Story, fact: Fact) -> None:
    story.leases[fact["subject"]].overdue = True


def _dead(story: Story, fact: Fact) -> None:
    lease, data = story.leases[fact["subject"]], fact["data"]
    lease.dead_at, lease.evidence, lease.lateness_ms = fact["at"], data["evidence"], data["lateness_ms"]
