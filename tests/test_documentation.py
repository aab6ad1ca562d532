"""What the documentation says is so: commands, targets, links, transitions, tests, problems and the API's description."""

from __future__ import annotations

import importlib.util
import pkgutil
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest
from tests import api_reference

import countersign.domain
from countersign.api.problems import STATUSES
from countersign.cli.main import countersign as program

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "terraform").rglob("*.md")])
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
LONGEST_README = 250


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name: str) -> Iterator[str]:
    """Yield what a reader could type: fenced blocks of shell, and inline code."""
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", text(name), re.DOTALL | re.MULTILINE):
        if language == "sh":
            yield from block.splitlines()
        elif language == "console":
            yield from (line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ "))
    prose = re.sub(r"^```.*?^```$", "", text(name), flags=re.DOTALL | re.MULTILINE)
    yield from re.findall(r"`([^`\n]+)`", prose)


def anchors(path: Path) -> set[str]:
    """Return the anchors of a page as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def section(name: str, heading: str) -> str:
    level = heading.split(" ", 1)[0]
    found = re.search(
        rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{len(level)}}} |\Z)", text(name), re.DOTALL | re.MULTILINE
    )
    assert found is not None, f"{name} has no {heading}"
    return found[1]


def rows(part: str) -> list[list[str]]:
    """Return the cells of all tables in a part, without their heads."""
    tables = re.findall(r"(?:^\|.*\n)+", part + "\n", re.MULTILINE)
    return [[cell.strip() for cell in line.split(" | ")] for table in tables for line in _body(table)]


def _body(table: str) -> list[str]:
    return [line.strip("| ") for line in table.splitlines()[2:]]


@cache
def names_of_tests() -> frozenset[str]:
    found = (
        re.findall(r"^\s*def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE) for path in _test_files()
    )
    return frozenset(name for names in found for name in names)


def _test_files() -> Iterator[Path]:
    return (ROOT / "tests").rglob("test_*.py")


def test_the_readme_is_short() -> None:
    assert len(text("README.md").splitlines()) <= LONGEST_README


@pytest.mark.parametrize("name", NAMES)
def test_links_within_the_repository_resolve(name: str) -> None:
    page = ROOT / name
    for link in re.findall(r"\]\(([^)\s]+)\)", text(name)):
        if re.match(r"[a-z]+:", link):
            continue
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), f"{name} links to {link}"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{name} links to {link}, and there is no such heading"


@pytest.mark.parametrize("name", NAMES)
def test_make_targets_exist(name: str) -> None:
    known = set(re.findall(r"^([a-z0-9]+):", text("Makefile"), re.MULTILINE))
    for line in blocks(name):
        for named in re.findall(r"(?:^|[;&|] *|COUNTERSIGN_\w+=\S+ )make ((?:[a-z0-9]+ ?)+)", line.split("  #")[0]):
            assert set(named.split()) <= known, f"{name}: make {named}"


@pytest.mark.parametrize("name", NAMES)
def test_commands_and_their_options_exist(name: str) -> None:
    for line in blocks(name):
        typed = re.sub(r'"\$\((?!countersign )[^)]*\)"', "…", line.split("  #")[0])
        for said in re.findall(r"(?:^|[ (])countersign ((?:[a-z]|--version)[^|;)]*)", typed):
            _demand_command(program, said, name)


def _demand_command(group: click.Group, said: str, where: str) -> None:
    words = shlex.split(re.sub(r"['\"]", "", said))
    context = click.Context(group)
    command: click.Command = group
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        assert found is not None, f"{where}: countersign {said}"
        command, words = found, words[1:]
    options = {spelled for option in command.params for spelled in (*option.opts, *option.secondary_opts)} | {
        "--help",
        "-h",
    }
    for word in words:
        if word.startswith("-"):
            assert word.partition("=")[0] in options, f"{where}: countersign {said}"


def transitions() -> dict[str, dict[tuple[str, str], str]]:
    """Return the tables of every domain module that has one."""
    found = {}
    for module in pkgutil.iter_modules(countersign.domain.__path__):
        table = getattr(importlib.import_module(f"countersign.domain.{module.name}"), "TRANSITIONS", None)
        if table is not None:
            found[module.name] = {(str(state), str(event)): str(to) for (state, event), to in table.items()}
    return found


def test_the_transition_tables_are_the_code_s() -> None:
    part = section("docs/ARCHITECTURE.md", "## States")
    printed = {
        heading: {(cells[0], cells[1]): cells[2] for cells in rows(body)}
        for heading, body in re.findall(r"^### (\w+)\n(.*?)(?=^### |\Z)", part, re.DOTALL | re.MULTILINE)
    }
    assert printed == transitions()


@pytest.mark.parametrize("name", ["docs/ARCHITECTURE.md", "docs/THREATS.md"])
def test_the_tests_that_are_named_exist(name: str) -> None:
    named = set(re.findall(r"`(test_\w+)`", text(name)))
    assert len(named) > 20
    assert named - names_of_tests() == set()


def test_every_invariant_names_modules_that_exist_and_tests() -> None:
    found = rows(section("docs/ARCHITECTURE.md", "## Where each invariant is enforced"))
    assert [cells[0][0] for cells in found] == list("1234567")
    for _, modules, shown in found:
        for module in re.findall(r"`([\w.]+)`", modules):
            assert importlib.util.find_spec(f"countersign.{module}") is not None, module
        assert shown.count("`test_") >= 3


def test_the_packages_that_are_named_exist_with_the_place_to_begin() -> None:
    for package, _, place in rows(section("docs/ARCHITECTURE.md", "## Layers")):
        assert importlib.util.find_spec(package.strip("`")) is not None
        file = re.match(r"`([\w/.]+)`", place)
        assert file is not None
        assert (ROOT / "src" / "countersign" / file[1]).is_file(), place


def test_the_halves_hold_the_modules_that_they_are_said_to_hold() -> None:
    for _, modules, _ in rows(section("docs/ARCHITECTURE.md", "## Two halves")):
        for module in re.findall(r"`(\w+)`", modules):
            if module != "service":
                assert importlib.util.find_spec(f"countersign.service.{module}") is not None, module


def test_every_threat_has_one_answer_and_what_is_prevented_is_shown() -> None:
    for heading in (
        "## Asking, signing, drawing",
        "## Values and injection",
        "## Sign-in and the web",
        "## Secrets, providers, the log",
    ):
        for attack, answer, *shown in rows(section("docs/THREATS.md", heading)):
            assert re.match(r"prevented|detected|not yet|absent|no secret", answer), attack
            if answer.startswith("prevented"):
                assert "`test_" in "".join(shown), attack


def test_the_reference_of_the_api_is_its_description() -> None:
    assert text("docs/api.md") == api_reference.written(), "write it anew: python -m tests.api_reference"


def test_the_reference_lists_every_problem_with_its_status() -> None:
    printed = {cells[1].strip("`"): (int(cells[0]), cells[2]) for cells in rows(section("docs/api.md", "## Problems"))}
    assert printed == dict(STATUSES)
