"""The facts of a self-check: the log verified by the broker that keeps it, and what it stopped all issuing for."""

from __future__ import annotations

from dataclasses import dataclass

from countersign.domain.facts import BROKER, Fact

SELF_CHECK = f"{BROKER}/self-check"
"""The actor of the self-check. Two people lift what it stopped."""


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


@dataclass(frozen=True, kw_only=True)
class LogFailed(Fact):
    """What did not verify and was not told before; its subject is the stop that stands for it.

    Whoever lifts that stop lets it stand: none of these is a reason for another stop, in this process or the next.

    Attributes:
        failures: entry and code of each; the entry is None where the failure concerns none.
    """

    type = "log.failed"
    failures: tuple[tuple[int | None, str], ...]
