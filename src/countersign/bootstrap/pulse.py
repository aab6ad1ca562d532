"""A sign of life of an issuing process that listens nowhere: a file for who watches the process, a row for the other half."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a health check reads the file every few seconds, and would load all of the store for a name
    from countersign.store import Store

FILE = "issuing.pulse"
OLDEST_SWEEP_S = 5.0
"""A sweep that was completed longer ago is not well."""
OLDEST_PULSE_S = 5.0


@dataclass(kw_only=True)
class Pulse:
    """Gives a sign of life as long as sweeps are completed.

    Attributes:
        folder: where the file lies.
        name: of this process, among several.
        sweep_age_s: says how many seconds ago a sweep was completed.
    """

    store: Store
    folder: Path
    name: str
    sweep_age_s: Callable[[], float] = lambda: float("inf")

    def beat(self) -> None:
        """Say that the process is at work, if it is."""
        if self.sweep_age_s() > OLDEST_SWEEP_S:
            return
        fresh = self.folder / f"{FILE}.new"
        fresh.write_text(f"{time.monotonic():.3f}\n", encoding="ascii")
        fresh.replace(self.folder / FILE)
        with self.store.begin() as tx:
            tx.see_issuing_process(self.name)


def pulse_age_s(folder: Path) -> float | None:
    """Return how many seconds ago a process on this machine gave a sign of life; None if none did since the machine started."""
    try:
        age = time.monotonic() - float((folder / FILE).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return age if age >= 0 else None
