"""Following a file of lines: rotation, truncation, rewriting and restarts lose nothing in silence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from countersign.providers import tail
from countersign.providers.base import Away
from countersign.providers.tail import Lines, Place, Tail


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"


def write(path: Path, *lines: str, end: str = "\n") -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write("\n".join(lines) + end)


def drained(path: Path, place: Place | None) -> tuple[list[str], list[str], Place | None]:
    """Read until there is no more, each time through a place that went through plain JSON, as over a restart."""
    lines: list[str] = []
    gaps: list[str] = []
    while True:
        found: Lines = Tail(path).read(place)
        lines += [line.decode() for line in found.lines]
        gaps += found.gaps
        place = None if found.place is None else Place.of(found.place.plain())
        if not found.more:
            return lines, gaps, place


def test_following_begins_at_the_end_and_goes_on_where_it_was_left(path: Path) -> None:
    write(path, "before")
    place = Tail(path).end()
    write(path, "one", "two")
    lines, gaps, place = drained(path, place)
    assert (lines, gaps) == (["one", "two"], [])
    write(path, "three")
    assert drained(path, place)[0] == ["three"]


def test_half_a_line_waits_for_its_other_half(path: Path) -> None:
    write(path, "one", "tw", end="")
    place = Tail(path).end()
    assert drained(path, place)[:2] == ([], [])
    lines, _, place = drained(path, None)
    assert lines == ["one"]
    write(path, "o")
    assert drained(path, place)[0] == ["two"]


def test_a_file_that_comes_later_is_read_from_its_beginning(path: Path) -> None:
    assert Tail(path).end() is None
    assert drained(path, None) == ([], [], None)
    write(path, "first")
    assert drained(path, None)[0] == ["first"]


def test_nothing_is_lost_when_it_is_rotated_even_several_times(path: Path) -> None:
    write(path, "one")
    place = Tail(path).end()
    write(path, "two")
    path.rename(path.with_name("audit.log.1"))
    lines, gaps, place = drained(path, place)
    assert (lines, gaps) == (["two"], [])
    write(path.with_name("audit.log.1"), "three, before the writer was told")
    path.touch()
    lines, _, place = drained(path, place)
    assert lines == ["three, before the writer was told"]
    write(path, "four")
    path.with_name("audit.log.1").rename(path.with_name("audit.log.2"))
    path.rename(path.with_name("audit.log.1"))
    os.utime(path.with_name("audit.log.2"), ns=(1, 1))
    write(path, "five")
    lines, gaps, place = drained(path, place)
    assert (lines, gaps) == (["four", "five"], [])
    assert drained(path, place)[:2] == ([], [])


@pytest.mark.parametrize("again", ["x", "as long as it was before, and longer still"])
def test_a_file_that_was_emptied_in_place_is_a_gap_also_when_it_has_grown_again(path: Path, again: str) -> None:
    write(path, "as long as it was before")
    place = Tail(path).end()
    path.write_text(again + "\n", encoding="utf-8")
    lines, gaps, place = drained(path, place)
    assert lines == [again]
    assert len(gaps) == 1
    assert "emptied" in gaps[0]
    assert drained(path, place)[:2] == ([], [])


def test_a_file_that_is_gone_for_good_is_a_gap(path: Path) -> None:
    write(path, "one")
    place = Tail(path).end()
    path.rename(path.with_name("elsewhere"))
    with pytest.raises(Away):
        drained(path, place)
    write(path, "two")
    lines, gaps, _ = drained(path, place)
    assert (lines, len(gaps)) == (["two"], 1)


def test_a_rotated_file_that_ends_in_the_middle_of_a_line_is_a_gap(path: Path) -> None:
    write(path, "one", "tw", end="")
    path.rename(path.with_name("audit.log.1"))
    write(path, "three")
    lines, gaps, _ = drained(path, None)
    assert (lines, gaps) == (["one", "three"], ["a file ended in the middle of a line"])


def test_a_line_without_end_is_left_out_and_told_of(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "AT_ONCE", 5)
    monkeypatch.setattr(tail, "LONGEST_LINE", 10)
    write(path, "x" * 25, "one", "1234567", "two")
    lines, gaps, _ = drained(path, None)
    assert lines == ["xxxxx", "one", "1234567", "two"]
    assert len(gaps) == 2


def test_links_and_packed_files_are_not_followed(path: Path) -> None:
    write(path.with_name("audit.log.1.gz"), "packed")
    path.with_name("audit.log.2").symlink_to(path.with_name("audit.log.1.gz"))
    write(path, "one")
    assert drained(path, None)[0] == ["one"]


def test_in_a_folder_each_file_follows_the_one_before(tmp_path: Path) -> None:
    for name, line in (("b.json", "one"), ("a.json", "two")):
        write(tmp_path / name, line)
        os.utime(tmp_path / name, ns=(len(line), len(line)) if name == "b.json" else (9, 9))
    write(tmp_path / "note.txt", "not this")
    assert drained(tmp_path, None)[0] == ["one", "two"]


def test_what_may_not_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(Away):
        Tail(tmp_path / "nowhere" / "audit.log").end()
