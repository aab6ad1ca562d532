"""`countersign policy prove`: from the files to a verdict, without a broker."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from countersign.cli.main import run

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Write the files that the documentation prints."""
    for name in ("catalog", "directory"):
        [block] = re.findall(r"^```toml\n(.*?)^```$", (DOCS / f"{name}.md").read_text(), re.DOTALL | re.MULTILINE)
        (tmp_path / f"{name}.toml").write_text(block)
    return tmp_path / "catalog.toml", tmp_path / "directory.toml"


def prove(*args: object) -> int:
    return run(["policy", "prove", *map(str, args)])


def test_a_policy_that_holds_exits_0_and_prints_a_table(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert prove(*files) == 0
    out = capsys.readouterr().out
    assert "verdict    holds: 0 failures, 1 warnings" in out
    assert re.search(r"^orders-db-write +production +nobody +3 ", out, re.MULTILINE)


def test_a_policy_in_which_something_is_reached_by_nobody_exits_1(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    catalog, directory = files
    directory.write_text(directory.read_text().replace('members = ["carol"]', "members = []"))
    assert prove(catalog, directory, "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert not told["ok"]
    assert ("nobody", "orders-db-write") in {(item["code"], item["about"]) for item in told["findings"]}


@pytest.mark.parametrize("broken", ["catalog", "directory", "both", "absent"])
def test_files_that_cannot_be_used_exit_2_and_name_the_key(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str], broken: str
) -> None:
    catalog, directory = files
    match broken:
        case "catalog":
            catalog.write_text(catalog.read_text().replace("count = 1", "count = 0"))
            named = "review[0].count"
        case "directory":
            directory.write_text(
                directory.read_text().replace('roles = ["auditor"]', 'roles = ["auditor", "approver"]')
            )
            named = 'person "erin"'
        case "both":
            catalog.write_text(catalog.read_text().replace('group = "security"', 'group = "unheard-of"'))
            named = "unheard-of"
        case _:
            catalog.unlink()
            named = "catalog.toml"
    assert prove(catalog, directory) == 2
    assert named in capsys.readouterr().err
