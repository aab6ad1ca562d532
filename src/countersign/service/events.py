"""The log as it grows, for people who watch: each sees the entries about things that concern him, and auditors see all."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from countersign.domain.people import Principal, Role
from countersign.domain.refusals import Limit
from countersign.service.office import Office
from countersign.service.sight import knows_of

PAGE = 100
"""Entries that are read at once for one watcher; what he has not taken yet is not read on."""
LOOK_EVERY_S = 0.2
PER_PERSON, ALTOGETHER = 4, 64
"""How many may watch at once."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """Some entries of the log as one watcher may see them.

    Attributes:
        last: the index of the last entry that was looked at, seen or not; the next page begins after it.
        more: whether there is more already.
    """

    rows: Sequence[Mapping[str, Any]]
    last: int
    more: bool


@dataclass(kw_only=True)
class Events:
    """Reads for those who watch. How far the log has come is looked up once for all of them."""

    office: Office
    monotonic: Callable[[], float] = time.monotonic
    _watching: Counter[str] = field(default_factory=Counter)
    _size: int = 0
    _looked: float = float("-inf")
    _lock: Lock = field(default_factory=Lock)
    _looking: Lock = field(default_factory=Lock)

    @contextmanager
    def seat(self, principal: Principal) -> Iterator[None]:
        """Let somebody watch, as long as there are not too many.

        Raises:
            Limit: there are.
        """
        person = principal.person
        with self._lock:
            if self._watching[person] >= PER_PERSON or self._watching.total() >= ALTOGETHER:
                raise Limit(
                    f"at most {PER_PERSON} event streams of one person, and {ALTOGETHER} of all, are open at once",
                    rule="event streams",
                    hint="close another one",
                )
            self._watching[person] += 1
        try:
            yield
        finally:
            with self._lock:
                self._watching[person] -= 1

    def newest(self) -> int:
        """Return the index of the newest entry, as it was a moment ago."""
        with self._looking:
            if self.monotonic() - self._looked >= LOOK_EVERY_S:
                with self.office.store.read() as tx:
                    self._size = tx.head().size
                self._looked = self.monotonic()
            return self._size - 1

    def page(self, principal: Principal, *, after: int) -> Page:
        """Return what follows an entry, as far as the caller may see it now."""
        with self.office.store.read() as tx:
            rules = self.office.rules.current(tx)
            found = tx.facts(after=after, limit=PAGE)
            if Role.AUDITOR in rules.directory.roles_of(principal.person):
                seen = found
            else:
                known: dict[str, bool] = {}
                for row in found:
                    subject = str(row["subject"])
                    if subject not in known:
                        known[subject] = knows_of(tx, principal, rules, subject)
                seen = [row for row in found if known[str(row["subject"])]]
        return Page(rows=seen, last=found[-1]["index"] if found else after, more=len(found) == PAGE)
