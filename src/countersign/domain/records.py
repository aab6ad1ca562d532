"""What a target or provider wrote down by itself, brought to our leases: single records, and what is kept of them.

A record is somebody else's word. It is matched to a lease by what its source shows in clear (the lease's id in a name), and it
only ever takes access away: it ends a lease early or raises an alarm, and never gives or lengthens anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from countersign.domain.ids import LEASE, is_id

LONGEST_WHAT = 200
CLOCKS_MAY_DIFFER = timedelta(seconds=2)
"""A source has a clock of its own."""

_UNPRINTABLE = re.compile(r"[^ -~]+")


class Act(StrEnum):
    """What a record tells of."""

    READ = "credential-read"
    DELIVERY = "delivery-unwrap"
    USE = "use"


class Outcome(StrEnum):
    """How it went."""

    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One act, as its source tells it.

    Attributes:
        at: by the source's clock.
        lease_id: the lease that the source names; None when it names none.
        what: the act in a line, such as `read kv/data/orders/config`.
        mark: tells this act from every other at its source.
        place: the mount at OpenBao; empty for what a target itself tells.
        wrapping: the source's pseudonym of the wrapping that was made or opened; no secret.
        wrapping_until: when that wrapping ends by itself.
        seen: what else an alarm should show; plain JSON, no secret.
    """

    at: datetime
    act: Act
    outcome: Outcome
    what: str
    lease_id: str | None = None
    mark: str = ""
    place: str = ""
    wrapping: str | None = None
    wrapping_until: datetime | None = None
    seen: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Watch:
    """What the records said of one lease so far.

    Attributes:
        read_mark: the one read of its credential that there may be.
    """

    lease_id: str
    read_mark: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Wrapping:
    """A wrapping that a source told of, by pseudonym.

    Attributes:
        until: when it ends by itself.
        opened_at: when it was opened, as far as the source told.
    """

    name: str
    lease_id: str
    until: datetime
    opened_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Use:
    """All alike records of one lease together.

    Attributes:
        source: who told.
        outside: whether it happened outside of the lease's life.
        count: how many; `first_at` and `last_at` by the source's clock.
    """

    lease_id: str
    source: str
    act: Act
    what: str
    outcome: Outcome
    outside: bool
    count: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceState:
    """How far one source was followed.

    Attributes:
        cursor: where to go on, in the source's own terms.
        since: when following began; nothing before it was seen.
        read_at: when the source was last read to its end.
        silent_since: since when it could not be read; None while it can.
    """

    name: str
    cursor: Mapping[str, Any]
    since: datetime
    read_at: datetime
    silent_since: datetime | None = None
    version: int = 0


def named_lease(text: object) -> str | None:
    """Return the lease that a source's text names, spelled with `_` or, where a source allows none, with `-`."""
    if not isinstance(text, str):
        return None
    candidate = text.removeprefix("token-").replace("lse-", LEASE, 1)
    return candidate if is_id(candidate, LEASE) else None


def in_a_line(text: str) -> str:
    """Return a source's text fit to be shown: printable ASCII, one line, not endless."""
    return _UNPRINTABLE.sub("?", text)[:LONGEST_WHAT]
