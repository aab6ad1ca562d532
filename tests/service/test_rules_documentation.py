"""The policy, the story and the sheet that `docs/rules.md` prints are what the broker and the prover say."""

from __future__ import annotations

import copy
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tests.quick import quick_world
from tests.world import World

from countersign.config.catalog import parse_catalog
from countersign.config.directory import parse_directory
from countersign.domain import refusals
from countersign.domain.counter import Less
from countersign.domain.proving import prove, sheet
from countersign.domain.refusals import Refused
from countersign.domain.request import Request
from countersign.domain.review import Decision

TEXT = (Path(__file__).parents[2] / "docs" / "rules.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


def policy() -> tuple[dict[str, Any], dict[str, Any]]:
    catalog, directory = map(tomllib.loads, blocks("toml"))
    return catalog, directory


def rows(heading: str) -> list[list[str]]:
    table = re.search(rf"^\| {heading} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
    assert table is not None
    return [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in table[1].splitlines()]


class Story:
    """Plays the lines of the story."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.request: Request | None = None

    def play(self, line: str) -> str:
        who, verb, *rest = line.split()
        try:
            return str(getattr(self, verb)(who, *rest))
        except Refused as refused:
            return refused.code

    def asks(self, who: str, what: str) -> str:
        self.request = self.world.ask(who, what, seconds=120)
        return self.request.state

    def signs(self, who: str, *, decision: Decision = Decision.APPROVE) -> str:
        assert self.request is not None
        review = self.world.broker.requests.review
        return review(self.world.principal(who), self.request.id, decision=decision, digest=self.request.digest).state

    def denies(self, who: str) -> str:
        return self.signs(who, decision=Decision.DENY)

    def counters(self, who: str, seconds: str) -> str:
        assert self.request is not None
        less = Less(parameters={}, duration_s=int(seconds))
        review = self.world.broker.requests.review
        said = review(
            self.world.principal(who), self.request.id, decision=Decision.DENY, digest=self.request.digest, less=less
        )
        return said.state

    def takes(self, who: str, it: str, up: str) -> str:
        assert (it, up) == ("it", "up")
        assert self.request is not None
        self.request = self.world.broker.requests.resubmit(self.world.principal(who), self.request.id)
        return self.request.state

    def _grant(self) -> str | None:
        assert self.request is not None
        with self.world.store.read() as tx:
            grant = tx.grant_of_request(self.request.id)
        return None if grant is None else grant.id

    def draws(self, who: str) -> str:
        grant = self._grant()
        return "nothing" if grant is None else self.world.draw(grant, who).lease.state

    def hands(self, who: str, back: str) -> str:
        assert back == "back"
        return self.world.broker.control.give_back(self.world.principal(who), str(self._grant())).state

    def leaves(self, who: str, group: str) -> str:
        directory = copy.deepcopy(self.world.directory)
        next(g for g in directory["group"] if g["id"] == group)["members"].remove(who)
        self.world.adopt(directory=directory)
        return "done"

    def lasts(self, what: str, seconds: str) -> str:
        catalog = copy.deepcopy(self.world.catalog)
        next(e for e in catalog["entitlement"] if e["id"] == what)["max_duration_s"] = int(seconds)
        self.world.adopt(catalog=catalog)
        return "done"

    def stops(self, who: str, what: str) -> str:
        self.world.broker.control.stop(self.world.principal(who), scope="entitlement", target=what, reason="to see")
        return "done"


def test_the_printed_story_is_what_happens() -> None:
    catalog, directory = policy()
    for item in (*catalog["target"], *catalog["entitlement"]):
        item["provider"] = "fake"
    [story] = blocks("story")
    printed = [re.split(r"\s{2,}", line) for line in story.splitlines()]
    with quick_world(catalog=catalog, directory=directory) as world:
        teller = Story(world)
        assert [[line, teller.play(line)] for line, _ in printed] == printed


def test_the_printed_sheet_is_the_provers() -> None:
    catalog, directory = policy()
    proof = prove(parse_catalog(catalog), parse_directory(directory))
    lines = [line for line in sheet(proof).splitlines() if not line.startswith(("catalog ", "directory "))]
    [printed] = blocks("text")
    assert "\n".join(lines).startswith(printed.rstrip())


def test_every_code_that_is_explained_exists() -> None:
    codes = {found.code for found in vars(refusals).values() if isinstance(found, type) and issubclass(found, Refused)}
    explained = [code for code, _ in rows("code")]
    assert set(explained) <= codes
    [story] = blocks("story")
    told = {line.split()[-1] for line in story.splitlines()} & codes
    assert told <= set(explained)


@pytest.mark.parametrize("finding", [row[0] for row in rows("finding")])
def test_every_finding_that_is_explained_is_one_of_the_provers(finding: str) -> None:
    source = Path(prove.__code__.co_filename).read_text()
    assert f'"{finding}"' in source


def test_every_finding_of_the_prover_is_explained() -> None:
    source = Path(prove.__code__.co_filename).read_text()
    found = set(re.findall(r'Severity\.\w+, "([a-z-]+)"|code="([a-z-]+)"', source))
    assert {one or other for one, other in found} == {row[0] for row in rows("finding")}
