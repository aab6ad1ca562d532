"""What a verification found: failures by row and code, in a number that stays bounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from countersign.auditlog.log_keys import KeyChange

MOST_FAILURES = 1000
"""Failures that are kept; the rest are counted. A log that is wrong throughout must not fill the memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """One thing that does not verify.

    Attributes:
        index: the entry it names, or the first entry that it may concern; None where no entry is concerned.
        code: stable, see the table in `verify`.
        detail: for people.
    """

    index: int | None
    code: str
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """The result of a verification.

    Attributes:
        size: entries that were read.
        root: root over the bytes that were read.
        failures: in the order they were found.
        omitted: failures beyond `MOST_FAILURES`.
        keys: the log's keys that were followed besides those that were trusted from outside.
    """

    size: int
    root: bytes
    failures: tuple[Failure, ...] = ()
    omitted: int = 0
    keys: tuple[KeyChange, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing at all was found."""
        return not self.failures

    def as_json(self) -> dict[str, object]:
        """Return what `verify --json` prints; `omitted` stands there only when something was."""
        found = [{"index": item.index, "code": item.code, "detail": item.detail} for item in self.failures]
        result: dict[str, object] = {"ok": self.ok, "size": self.size, "root": self.root.hex(), "failures": found}
        return result | ({"omitted": self.omitted} if self.omitted else {})


class Findings:
    """Collects failures up to the bound."""

    def __init__(self) -> None:
        self._kept: list[Failure] = []
        self._omitted = 0

    def add(self, index: int | None, code: str, detail: str) -> None:
        """Keep a failure, or count it."""
        if len(self._kept) < MOST_FAILURES:
            self._kept.append(Failure(index=index, code=code, detail=detail))
        else:
            self._omitted += 1

    def report(self, *, size: int, root: bytes, keys: Sequence[KeyChange] = ()) -> Report:
        """Return everything found."""
        return Report(size=size, root=root, failures=tuple(self._kept), omitted=self._omitted, keys=tuple(keys))
