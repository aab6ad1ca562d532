"""Runs benchmarks by name, prints a table and writes `bench-report.json`.

Ends with 1 when a goal is missed and `--strict` is given: a busy machine misses goals, and that is no fault of the code.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import structlog
from tests.servers import Stack, running_stack

from benchmarks import aws, draws, ends, evidence, herd, log, page, process, receipts, recording, signature, signin
from benchmarks.figures import REPORT, Figure, machine, print_figure, print_head, write_report

Real = Callable[..., Iterator[Figure]]
ON_SERVERS: dict[str, Real] = {
    "draw": draws.latency,
    "throughput": draws.throughput,
    "page": page.page,
    "asked": ends.asked,
    "late": ends.late,
    "idle": process.idle,
}
ALONE: dict[str, Real] = {
    "herd": herd.herd,
    "signature": signature.signature,
    "signin": signin.signin,
    "verify": log.verify,
    "proof": log.proof,
    "record": recording.record,
    "ceiling": recording.ceiling,
    "receipt": receipts.receipt,
    "aws": aws.aws,
    "meaning": evidence.meaning,
    "pack": evidence.pack,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was named, everything by default."""
    known = [*ON_SERVERS, *ALONE]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*known, []], help="which ones; all by default")
    parser.add_argument(
        "--full", action="store_true", help="the big sizes: about half an hour rather than five minutes"
    )
    parser.add_argument("--strict", action="store_true", help="end with 1 when a goal is missed")
    chosen = parser.parse_args(arguments)
    # The broker's own log is not the output here; what goes wrong still shows.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    names = chosen.names or known
    figures: list[tuple[Figure, str]] = []
    with ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="countersign-bench-")))
        about = {**machine(folder), "sizes": "full" if chosen.full else "quick"}
        print_head(about)
        stack: Stack | None = None
        if any(name in ON_SERVERS for name in names):
            stack = held.enter_context(running_stack(folder / "servers"))
        for name in names:
            command = f"python -m benchmarks {name}{' --full' if chosen.full else ''}"
            if stack is not None and name in ON_SERVERS:
                made = ON_SERVERS[name](folder, stack, full=chosen.full)
            else:
                made = ALONE[name](folder, full=chosen.full)
            for figure in made:
                print_figure(figure)
                sys.stdout.flush()
                figures.append((figure, command))
    write_report(figures, about)
    missed = [figure.name for figure, _ in figures if figure.ok is False]
    print(f"{len(figures)} figures in {REPORT}; missed: {', '.join(missed) or 'none'}")
    return 1 if missed and chosen.strict else 0


if __name__ == "__main__":
    sys.exit(main())
