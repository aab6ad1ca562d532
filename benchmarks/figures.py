"""What a benchmark answers with, the table that people read, and the report that machines read."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPORT = Path("bench-report.json")
_FSYNCS_FOR_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What a figure should reach: at most, or at least, a limit in the figure's own unit."""

    limit: float
    at_least: bool = False

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}"

    def met_by(self, value: float) -> bool:
        """Say whether a value reaches it."""
        return value >= self.limit if self.at_least else value <= self.limit


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured number.

    Attributes:
        floor: what the same machine did in the same run without us, in `floor_unit`.
        ratio: candidate over floor; for a figure that is a ratio, the figure itself.
        details: whatever explains the number: percentiles, what each part takes, sizes.
    """

    name: str
    value: float
    unit: str
    floor: float | None = None
    floor_unit: str = ""
    ratio: float | None = None
    goal: Goal | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool | None:
        """Say whether the goal is reached; None without one."""
        return None if self.goal is None else self.goal.met_by(self.value)

    def document(self, command: str) -> dict[str, Any]:
        """Return the figure as it stands in the report."""
        return {
            "name": self.name,
            "value": shown(self.value),
            "unit": self.unit,
            "floor": None if self.floor is None else shown(self.floor),
            "ratio": None if self.ratio is None else shown(self.ratio),
            "goal": None if self.goal is None else str(self.goal),
            "ok": self.ok,
            "command": command,
            "floor_unit": self.floor_unit or self.unit,
            "details": dict(self.details),
        }


def shown(number: float) -> float:
    """Return a number with no more digits than were measured."""
    return float(f"{number:.4g}")


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]


def summary_ms(seconds: Sequence[float]) -> dict[str, float]:
    """Return what is worth knowing of many durations, in milliseconds."""
    return {
        "n": len(seconds),
        "p50_ms": shown(statistics.median(seconds) * 1000),
        "p95_ms": shown(quantile(seconds, 0.95) * 1000),
        "p99_ms": shown(quantile(seconds, 0.99) * 1000),
        "max_ms": shown(max(seconds) * 1000),
    }


def machine(folder: Path) -> dict[str, Any]:
    """Return what the figures were measured on, with the rate at which this disk takes synchronised writes."""
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load_1m": round(os.getloadavg()[0], 2),
        "fsync_per_s": round(_fsync_rate(folder)),
    }


def _fsync_rate(folder: Path) -> float:
    path = folder / "fsync-probe"
    done, began = 0, time.perf_counter()
    with path.open("wb", buffering=0) as file:
        while time.perf_counter() - began < _FSYNCS_FOR_S:
            file.write(b"x" * 4096)
            os.fdatasync(file.fileno())
            done += 1
    path.unlink()
    return done / (time.perf_counter() - began)


def print_figure(figure: Figure) -> None:
    """Print one line of the table, and below it what explains it."""
    verdict = {True: "ok", False: "MISSED", None: ""}[figure.ok]
    floor = "" if figure.floor is None else f"{shown(figure.floor):g} {figure.floor_unit or figure.unit}"
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}x"
    goal = "" if figure.goal is None else str(figure.goal)
    print(f"{figure.name:<34}{shown(figure.value):>12g} {figure.unit:<10}{floor:>18}{ratio:>9}{goal:>11}  {verdict}")
    for key, value in figure.details.items():
        print(f"    {key}: {value}")


def print_head(about: Mapping[str, Any]) -> None:
    """Print what the machine is, and the table's head."""
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    print(f"{'figure':<34}{'value':>12} {'unit':<10}{'floor':>18}{'ratio':>9}{'goal':>11}", flush=True)


def write_report(figures: Sequence[tuple[Figure, str]], about: Mapping[str, Any], path: Path = REPORT) -> None:
    """Write the report.

    Args:
        figures: each with the command that measures it again.
        about: what it was measured on.
        path: where to.
    """
    document = {
        "schema": 1,
        "machine": dict(about),
        "figures": [figure.document(command) for figure, command in figures],
    }
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
