"""Whoever reads what a command prints may go away: that changes no verdict, and is no fault of the program."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from tests.cli.desk import PROGRAM, SOURCES, Desk

EMBEDDED = SOURCES / "countersign" / "embedded"


def code_with_nobody_reading(args: list[str], environment: dict[str, str]) -> tuple[int, str]:
    """Run a command whose reader has gone before its first line; return its exit code and what it says on stderr."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [*PROGRAM, *args],
            env=environment,
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=30,
            check=False,
        )
    finally:
        os.close(writer)
    return done.returncode, done.stderr


def test_a_verdict_is_the_same_when_nobody_reads_to_its_end(shared_desk: Desk, tmp_path: Path) -> None:
    environment = shared_desk.environment(None)
    directory = EMBEDDED / "directory.toml"
    catalog = tmp_path / "catalog.toml"
    text = (EMBEDDED / "catalog.toml").read_text(encoding="utf-8")
    catalog.write_text(text.replace("$postgres_port", "5432").replace("$reports_role", "arn:aws:iam::1:role/r"))
    assert code_with_nobody_reading(["policy", "prove", str(catalog), str(directory)], environment) == (0, "")
    catalog.write_text(
        catalog.read_text(encoding="utf-8").replace('"orders-owners", count = 1', '"auditors", count = 1')
    )
    code, _ = code_with_nobody_reading(["policy", "prove", str(catalog), str(directory)], environment)
    assert code == 1, "what nobody reaches is said by the exit code all the same"


@pytest.mark.parametrize("args", [["log"], ["log", "--json"], ["ls"], ["me"]])
def test_a_reader_who_has_gone_is_no_failure(shared_desk: Desk, args: list[str]) -> None:
    who = "erin" if args[0] == "log" else "alice"
    assert code_with_nobody_reading([*args, "--quiet"], shared_desk.environment(who)) == (0, "")


def test_help_that_nobody_reads_ends_as_shells_count_it_and_without_a_traceback(shared_desk: Desk) -> None:
    assert code_with_nobody_reading(["--help"], shared_desk.environment(None)) == (141, "")


def test_output_that_cannot_be_kept_is_a_failure_that_says_so(shared_desk: Desk) -> None:
    full = Path("/dev/full")
    with full.open("w") as nowhere:
        done = subprocess.run(
            [*PROGRAM, "me"],
            env=shared_desk.environment("alice"),
            stdout=nowhere,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (
        1,
        "countersign: the output cannot be written: No space left on device (unwritable)\n",
    )


def test_a_command_whose_output_is_closed_from_the_start_does_its_work(shared_desk: Desk) -> None:
    shared_desk.asked()
    done = subprocess.run(
        ["/bin/sh", "-c", f"exec {' '.join(PROGRAM)} ls >&-"],
        env=shared_desk.environment("alice"),
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
