"""The timeline that a person reads while the story plays, and the report that a machine reads afterwards."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.text import Text

REPORT = Path("demo-report.json")


@dataclass(kw_only=True)
class Step:
    """One step of the story while it plays."""

    number: int
    title: str
    expected: str
    seen: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Say whether everything that was looked at was as expected, and anything was looked at."""
        return bool(self.seen) and not self.failed


@dataclass(kw_only=True)
class Timeline:
    """Prints who did what and what the provider said, and keeps it for the report."""

    console: Console
    steps: list[Step] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)

    @contextmanager
    def step(self, number: int, title: str, *, expected: str) -> Iterator[Step]:
        """Play one step; an exception in it fails the step and ends the story."""
        step = Step(number=number, title=title, expected=expected)
        self.steps.append(step)
        self.console.print()
        self.console.print(Text.assemble((f"{number:>2}  ", "bold cyan"), (title, "bold")))
        began = time.monotonic()
        try:
            yield step
        except Exception as fault:
            step.failed.append(f"{type(fault).__name__}: {fault}")
            raise
        finally:
            step.seconds = time.monotonic() - began
            for failure in step.failed:
                self.console.print(Text.assemble("      ", ("✗ ", "bold red"), failure))

    def tell(self, who: str, what: str) -> None:
        """Print one line of the story."""
        since = time.monotonic() - self._began
        self.console.print(Text.assemble((f"  {since:6.2f}s ", "dim"), (f"{who:<9}", "magenta"), what))

    def check(self, step: Step, what: str, *, holds: bool, got: object = None) -> None:
        """Print and keep one observation; what does not hold fails the step."""
        shown = what if got is None else f"{what}: {got}"
        if holds:
            step.seen.append(shown)
            self.console.print(Text.assemble("      ", ("✓ ", "bold green"), shown))
        else:
            step.failed.append(shown)

    def write(self, path: Path = REPORT) -> bool:
        """Write the report and say whether the whole story went as expected."""
        steps = [
            {
                "step": str(step.number),
                "title": step.title,
                "expected": step.expected,
                "observed": "; ".join([*step.seen, *(f"FAILED {failure}" for failure in step.failed)]),
                "ok": step.ok,
                "seconds": round(step.seconds, 3),
            }
            for step in self.steps
        ]
        path.write_text(
            json.dumps({"schema": 1, "steps": steps}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        return bool(steps) and all(step.ok for step in self.steps)
