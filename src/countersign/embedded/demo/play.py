"""Plays the story: starts the stack, walks through the steps, stops everything, writes the report."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from rich.console import Console

from countersign.embedded.demo.ends import play_ends
from countersign.embedded.demo.first_grant import play_first_grant
from countersign.embedded.demo.record import play_record
from countersign.embedded.demo.report import REPORT, Timeline
from countersign.embedded.demo.signed import play_signed
from countersign.embedded.demo.stage import Stage
from countersign.embedded.stack import STATE, EmbeddedStack

STEPS = 11


def run_demo(*, folder: Path = STATE, report: Path = REPORT) -> int:
    """Play the whole story and return the exit code: 0 if every step went as expected."""
    timeline = Timeline(console=Console(highlight=False, soft_wrap=True))
    stack = EmbeddedStack(folder=folder)
    began = time.monotonic()
    timeline.tell("stack", "starting OpenBao, PostgreSQL, an AWS emulator and the broker on loopback")
    stack.start()
    timeline.tell("stack", f"ready after {time.monotonic() - began:.1f} s at {stack.url}")
    try:
        stage = Stage(stack=stack, timeline=timeline)
        with contextlib.suppress(Exception):  # the failed step holds what went wrong, and the report says so
            play_first_grant(stage)
            play_ends(stage)
            play_record(stage)
            play_signed(stage)
    finally:
        stack.stop()
    went_well = timeline.write(report)
    done = sum(step.ok for step in timeline.steps)
    timeline.console.print()
    timeline.tell("stack", f"stopped; {done} of {STEPS} steps as expected; {report} written")
    return 0 if went_well and done == STEPS else 1
