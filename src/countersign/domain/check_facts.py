"""The fact of a self-check: the log verified by the broker that keeps it."""

from __future__ import annotations

from dataclasses import dataclass

from countersign.domain.facts import Fact


@dataclass(frozen=True, kw_only=True)
class LogChecked(Fact):
    """The log was verified, from entry `since` up to `size`, with root `root`; `codes` say what did not verify, `first` where."""

    type = "log.checked"
    ok: bool
    since: int
    size: int
    root: str
    codes: tuple[str, ...]
    first: int | None
    duration_ms: int
