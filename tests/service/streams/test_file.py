"""The log as a file: every entry once, closed to others, and whole after a crash."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from tests.world import World

from countersign.service.streams.file import LineFile


def indexes(path: Path) -> list[int]:
    return [json.loads(line)["data"]["index"] for line in path.read_text(encoding="utf-8").splitlines()]


def size_of(world: World) -> int:
    with world.store.read() as tx:
        return tx.head().size


def trouble(world: World) -> str | None:
    [lag] = [each for each in world.broker.followers.look() if each.name == "file"]
    return lag.error


def test_every_entry_is_a_line_and_nobody_else_may_read_them(world: World, tmp_path: Path) -> None:
    path = tmp_path / "log.ndjson"
    world.granted(reason="the heron has landed")
    world.follow(LineFile(path=path))
    assert indexes(path) == list(range(size_of(world)))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "heron" not in path.read_text(encoding="utf-8")


def test_what_a_crash_left_is_mended_and_nothing_is_written_twice(world: World, tmp_path: Path) -> None:
    path = tmp_path / "log.ndjson"
    world.granted()
    follower = LineFile(path=path)
    entries = list(world.store.entries())
    follower.handle(entries[:3])
    whole = path.read_bytes()
    follower.handle(entries[:4])
    path.write_bytes(path.read_bytes()[:-5])  # the disk kept most of the last line
    world.follow(follower)  # whose cursor was never written
    assert path.read_bytes().startswith(whole)
    assert indexes(path) == list(range(size_of(world)))


def test_a_file_that_was_moved_away_is_begun_anew(world: World, tmp_path: Path) -> None:
    path = tmp_path / "log.ndjson"
    world.follow(LineFile(path=path))
    before = size_of(world)
    path.rename(tmp_path / "log.1")
    world.granted()
    world.follow()
    assert indexes(path) == list(range(before, size_of(world)))


@pytest.mark.parametrize("content", [b"precious", b"precious\n", b"x" * 3_000_000, b'{"type":"x"}\n', b"[]\n"])
def test_what_is_not_ours_is_left_as_it_is(world: World, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "log.ndjson"
    path.write_bytes(content)
    path.chmod(0o600)
    world.follow(LineFile(path=path))
    assert path.read_bytes() == content
    assert trouble(world) == "the stream's file ends with something that is not ours"


def test_a_file_open_to_others_or_a_link_is_refused_until_that_is_mended(world: World, tmp_path: Path) -> None:
    path = tmp_path / "log.ndjson"
    path.touch(mode=0o644)
    path.chmod(0o644)
    world.follow(LineFile(path=path))
    assert path.read_bytes() == b""
    assert "chmod 600" in str(trouble(world))
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    world.clock.forward(seconds=60)
    world.follow()
    assert not (tmp_path / "elsewhere").exists()
    assert trouble(world) is not None
    path.unlink()
    world.clock.forward(seconds=60)
    world.follow()
    assert indexes(path) == list(range(size_of(world)))
    assert trouble(world) is None
