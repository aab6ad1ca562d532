"""The insider matrix: ten actors, eight cheats, an honest word in every cell, and behind each the tests that show it."""

from __future__ import annotations

import re

import pytest
from tests.test_documentation import ROOT, anchors, names_of_tests, rows, section, text

DOCUMENT = "docs/assurance.md"
MATRIX = rows(section(DOCUMENT, "## The matrix"))
CELLS = [(row[0], place, cell) for row in MATRIX for place, cell in enumerate(row[1:])]


def evidence(key: str) -> str:
    return section(DOCUMENT, f"### {key}")


def test_ten_actors_face_eight_cheats() -> None:
    assert len(MATRIX) == 10
    assert {len(row) for row in MATRIX} == {9}


@pytest.mark.parametrize(("who", "place", "cell"), CELLS, ids=[f"{who} {place}" for who, place, _ in CELLS])
def test_every_cell_says_one_of_three_things_and_links_to_its_tests(who: str, place: int, cell: str) -> None:
    assert re.match(r"(prevented|seen|neither) \[", cell), (who, place)
    keys = re.findall(r"\[(\w+)\]\(#(\w+)\)", cell)
    assert keys
    for shown, linked in keys:
        assert shown == linked
        assert linked in anchors(ROOT / DOCUMENT)
        tests = set(re.findall(r"`(test_\w+)`", evidence(linked)))
        assert tests, linked
        assert tests <= names_of_tests(), linked


def test_no_reason_stands_there_for_nothing() -> None:
    linked = {key for _, _, cell in CELLS for key in re.findall(r"\(#(\w+)\)", cell)}
    assert set(re.findall(r"^### (\w+)$", text(DOCUMENT), re.MULTILINE)) == linked
