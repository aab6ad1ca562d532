from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from countersign import __version__
from countersign.cli.main import SECTIONS, countersign, run

HEAVY = ("fastapi", "sqlalchemy", "boto3", "botocore", "pydantic", "httpx2", "rich", "cryptography", "psycopg", "hvac")
NOWHERE = click.Context(countersign)
SOURCES = str(Path(__file__).parents[2] / "src")
REPORT = """
import json, sys
from countersign.cli.main import run
code = run(sys.argv[1:])
print(json.dumps([code, sorted({name.partition('.')[0] for name in sys.modules})]), file=sys.stderr)
"""


def loaded_by(*args: str) -> tuple[int, set[str], str]:
    done = subprocess.run(
        [sys.executable, "-c", REPORT, *args],
        env={"PYTHONPATH": SOURCES},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    code, modules = json.loads(done.stderr.splitlines()[-1])
    return code, set(modules), done.stdout


@pytest.mark.parametrize(
    "args", [["--version"], ["--help"], [], ["request", "--help"], ["verify", "--help"], ["serve", "-h"]]
)
def test_what_calls_nobody_loads_nothing_heavy(args: list[str]) -> None:
    code, modules, _ = loaded_by(*args)
    assert code == (0 if args else 2)
    assert not modules & set(HEAVY)


def test_the_version_is_the_packages_own() -> None:
    code, _, out = loaded_by("--version")
    assert (code, __version__ in out) == (0, True)


def test_an_ordinary_call_loads_neither_the_broker_nor_a_spinner() -> None:
    code, modules, _ = loaded_by("ls", "--url", "http://127.0.0.1:9")
    assert code == 4
    assert "httpx2" in modules
    assert not modules & {"fastapi", "sqlalchemy", "boto3", "pydantic", "rich", "cryptography"}


def test_every_command_of_the_overview_exists_and_says_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    for commands in SECTIONS.values():
        for name, (_, line) in commands.items():
            found = countersign.get_command(NOWHERE, name)
            assert found is not None
            assert found.name == name
            assert found.short_help == line
            assert run([name, "--help"]) == 0
            assert capsys.readouterr().out.startswith(f"Usage: countersign {name}")


def test_each_command_that_prints_data_takes_json() -> None:
    for commands in SECTIONS.values():
        for name in commands:
            found = countersign.get_command(NOWHERE, name)
            nested = getattr(found, "commands", {name: found})
            for each in nested.values():
                assert "as_json" in {param.name for param in each.params}, each.name
