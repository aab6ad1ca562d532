"""Worlds by the hundred, for tests that make many of them in one: each on a copy of a migrated database."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from tests.world import Clock, World

from countersign.store import Store

_KEPT: list[TemporaryDirectory[str]] = []
_NIGHTLY = os.environ.get("COUNTERSIGN_HYPOTHESIS") == "nightly"
"""Many, long, new histories, and a failing one is shrunk; otherwise few, the same each time, and it is shown as it is."""


def is_nightly() -> bool:
    """Say whether the long forms are wanted."""
    return _NIGHTLY


def histories(*, ci: int, nightly: int, steps: int = 50) -> settings:
    """Return how many examples to try, and of how many steps, as COUNTERSIGN_HYPOTHESIS says."""
    return settings(
        max_examples=nightly if _NIGHTLY else ci,
        stateful_step_count=100 if _NIGHTLY else steps,
        deadline=None,
        derandomize=not _NIGHTLY,
        database=None,
        phases=tuple(Phase) if _NIGHTLY else (Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )


@cache
def _template() -> Path:
    folder: TemporaryDirectory[str] = TemporaryDirectory(prefix="countersign-quick-")
    _KEPT.append(folder)
    path = Path(folder.name) / "template.db"
    store = Store(f"sqlite:///{path}", clock=Clock())
    store.migrate()
    store.close()
    return path


@contextmanager
def quick_world(**rules: dict[str, Any]) -> Iterator[World]:
    """Make a world on a fresh database; `catalog` and `directory` as the world takes them."""
    template = _template()
    with TemporaryDirectory(dir=template.parent) as folder:
        path = Path(folder) / "countersign.db"
        shutil.copy(template, path)
        clock = Clock()
        store = Store(f"sqlite:///{path}", clock=clock)
        try:
            yield World(store=store, clock=clock, **rules)
        finally:
            store.close()
