from __future__ import annotations

import base64
import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cli.desk import Desk

from countersign.auditlog.signer import Ed25519Signer
from countersign.cli.exported import LONGEST_LINE, split_lines


def key_of(desk: Desk) -> str:
    signer = desk.world.issuing.checkpoints.signer
    assert isinstance(signer, Ed25519Signer)
    return signer.verifier().vkey()


def export_of(desk: Desk, folder: Path) -> Path:
    """Export a log in which something happened, and keep a checkpoint beside it that is older."""
    desk.granted()
    earlier = desk.world.issuing.checkpoints.sign()
    assert earlier is not None
    (folder / "earlier").write_text(earlier)
    desk.granted("orders-db-thrice")
    desk.world.issuing.checkpoints.sign()
    assert desk.run("erin", "export", str(folder / "export")).code == 0
    return folder / "export"


@pytest.fixture
def export(desk: Desk, tmp_path: Path) -> Path:
    return export_of(desk, tmp_path)


@pytest.fixture(scope="module")
def first_export(shared_desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_of(shared_desk, tmp_path_factory.mktemp("first"))


@pytest.fixture
def copied(first_export: Path, tmp_path: Path) -> Path:
    """A copy of an export of the shared desk's log, to be tampered with."""
    return Path(shutil.copytree(first_export.parent, tmp_path / "copy")) / "export"


def lines(export: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (export / "entries.ndjson").read_text().splitlines()]


def rewrite(export: Path, entries: list[dict[str, Any]]) -> None:
    (export / "entries.ndjson").write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def test_a_log_verifies_from_an_export_from_the_broker_and_from_its_database_alike(desk: Desk, export: Path) -> None:
    key, earlier = key_of(desk), str(export.parent / "earlier")
    trust = ("--key", key, "--checkpoint", earlier, "--json")
    offline = desk.process(None, "verify", str(export), *trust)
    assert offline.code == 0
    assert offline.json() == {"ok": True, "size": len(lines(export)), "root": offline.json()["root"], "failures": []}
    assert desk.run(None, "verify", str(export / "entries.ndjson"), *trust).json() == offline.json()
    live = desk.run("erin", "verify", *trust).json()
    stored = desk.run(None, "verify", "--database", f"sqlite:///{desk.database}", *trust).json()
    assert (live["ok"], stored["ok"]) == (True, True)
    assert stored["size"] >= live["size"] >= offline.json()["size"], "reading it is a fact as well"


def test_the_export_is_readable_by_its_owner_only_and_never_overwritten(desk: Desk, export: Path) -> None:
    assert export.stat().st_mode & 0o077 == 0
    assert all(file.stat().st_mode & 0o077 == 0 for file in export.iterdir())
    assert sorted(file.name for file in export.iterdir()) == ["checkpoint", "entries.ndjson"]
    before = (export / "entries.ndjson").read_bytes()
    desk.asked()
    assert desk.run("erin", "export", str(export)).code == 2
    assert (export / "entries.ndjson").read_bytes() == before


Tamper = Callable[[list[dict[str, Any]]], None]


def edited(entries: list[dict[str, Any]]) -> None:
    leaf = base64.b64decode(entries[14]["leaf"]).replace(b"2026", b"2027", 1)
    entries[14]["leaf"] = base64.b64encode(leaf).decode()


def reordered(entries: list[dict[str, Any]]) -> None:
    entries[14], entries[15] = entries[15], entries[14]


def dropped(entries: list[dict[str, Any]]) -> None:
    del entries[14]


def truncated(entries: list[dict[str, Any]]) -> None:
    del entries[14:]


def malformed(entries: list[dict[str, Any]]) -> None:
    entries[14]["index"] = "14"


def extended(entries: list[dict[str, Any]]) -> None:
    entries[14]["note"] = "x"


def unhexed(entries: list[dict[str, Any]]) -> None:
    entries[14]["leaf_hash"] = "00"


@pytest.mark.parametrize(
    ("tamper", "code"),
    [
        (edited, "leaf-hash"),
        (reordered, "index-gap"),
        (dropped, "index-gap"),
        (truncated, "truncated"),
        (malformed, "entry-format"),
        (extended, "entry-format"),
        (unhexed, "entry-format"),
    ],
)
def test_an_export_that_was_tampered_with_names_the_row(
    shared_desk: Desk, copied: Path, tamper: Tamper, code: str
) -> None:
    entries = lines(copied)
    tamper(entries)
    rewrite(copied, entries)
    ran = shared_desk.run(None, "verify", str(copied), "--key", key_of(shared_desk), "--json")
    assert ran.code == 1
    report = ran.json()
    assert set(report) == {"ok", "size", "root", "failures"}
    assert (report["failures"][0]["code"], report["failures"][0]["index"]) == (code, 14)
    text = shared_desk.run(None, "verify", str(copied), "--key", key_of(shared_desk))
    assert f"entry 14: {code}: " in text.out
    assert "DOES NOT VERIFY" in text.out


def without_guards(desk: Desk, statement: str) -> int:
    """Run a statement as somebody would who owns the database file, and return how many rows it changed."""
    with sqlite3.connect(desk.database) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        return connection.execute(statement).rowcount


@pytest.mark.usefixtures("export")
@pytest.mark.parametrize(
    "written",
    [
        "UPDATE facts SET leaf = CAST(replace(leaf, '2026', '2027') AS BLOB) WHERE \"index\" = 14",
        "UPDATE facts SET leaf = replace(leaf, '2026', '2027') WHERE \"index\" = 14",
        "UPDATE facts SET leaf = 'x' WHERE \"index\" = 14",
    ],
)
def test_a_row_edited_behind_the_brokers_back_is_named(desk: Desk, written: str) -> None:
    assert without_guards(desk, written) == 1
    ran = desk.run(None, "verify", "--database", f"sqlite:///{desk.database}", "--json")
    assert ran.code == 1
    assert (14, "leaf-hash") in [(item["index"], item["code"]) for item in ran.json()["failures"]]


@pytest.mark.usefixtures("export")
def test_a_row_taken_away_and_a_head_set_back_are_named(desk: Desk) -> None:
    where = f"sqlite:///{desk.database}"
    key = ("--key", key_of(desk), "--json")
    assert without_guards(desk, "UPDATE log_head SET root = 'nothing'") == 1
    assert "root-mismatch" in {
        item["code"] for item in desk.run(None, "verify", "--database", where, *key).json()["failures"]
    }
    assert without_guards(desk, 'DELETE FROM facts WHERE "index" = 14') == 1
    failures = desk.run(None, "verify", "--database", where, *key).json()["failures"]
    assert (failures[0]["index"], failures[0]["code"]) == (14, "index-gap")


@pytest.mark.parametrize("column", ["type", "actor", "subject"])
def test_a_row_that_says_something_else_than_its_entry_is_named(desk: Desk, column: str) -> None:
    desk.asked()
    assert without_guards(desk, "UPDATE facts SET " + column + " = 'other' WHERE type = 'request.submitted'") == 1  # noqa: S608 - the parameter of this test
    ran = desk.run(None, "verify", "--database", f"sqlite:///{desk.database}", "--json")
    assert ran.code == 1
    assert {item["code"] for item in ran.json()["failures"]} == {"row-mismatch"}


@pytest.mark.usefixtures("export")
def test_a_text_swapped_in_the_database_no_longer_opens_its_commitment(desk: Desk) -> None:
    changed = without_guards(desk, "UPDATE openings SET text = 'something harmless'")
    assert changed > 0
    ran = desk.run(None, "verify", "--database", f"sqlite:///{desk.database}", "--json")
    assert ran.code == 1
    assert {item["code"] for item in ran.json()["failures"]} == {"opening"}
    assert len(ran.json()["failures"]) == changed


def test_a_key_of_somebody_else_convicts(shared_desk: Desk, copied: Path) -> None:
    other = Ed25519Signer.generate("test.example/log").verifier().vkey()
    ran = shared_desk.run(None, "verify", str(copied), "--key", other, "--json")
    assert (ran.code, ran.json()["failures"][0]["code"]) == (1, "checkpoint-signature")


def test_without_a_key_it_is_said_that_no_signature_was_checked(shared_desk: Desk, copied: Path) -> None:
    ran = shared_desk.run(None, "verify", str(copied), "-q")
    assert (ran.code, "no --key" in ran.err) == (0, True)
    assert "no --key" not in shared_desk.run(None, "verify", str(copied), "--key", key_of(shared_desk)).err


def test_a_key_can_lie_in_a_file(shared_desk: Desk, copied: Path, tmp_path: Path) -> None:
    (tmp_path / "log.vkey").write_text(key_of(shared_desk) + "\n")
    assert shared_desk.run(None, "verify", str(copied), "--key", str(tmp_path / "log.vkey")).code == 0


@pytest.mark.parametrize(
    "args",
    [
        ["/no/such/place"],
        ["--key", "nonsense"],
        ["--key", "a+00000000+AAAA"],
        ["--checkpoint", "/dev/null"],
        ["--database", "sqlite:////no/such/file.db"],
        ["--database", "mysql://x/y"],
        ["--database", "postgresql://u:canary@127.0.0.1:9/x"],
        ["--database", "not a url"],
        ["x", "--database", "sqlite:////x"],
    ],
)
def test_what_cannot_be_meant_is_usage(
    shared_desk: Desk, args: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = shared_desk.run("erin", "verify", *args, "--json")
    assert (ran.code, ran.out, "canary" in ran.err) == (2, "", False), ran.err
    assert not Path("/no/such/file.db").exists()


def test_what_cannot_be_reached_is_seven(desk: Desk, tmp_path: Path) -> None:
    assert desk.process("erin", "verify", COUNTERSIGN_URL="http://127.0.0.1:9").code == 7
    assert desk.process(None, "verify", "--database", "postgresql://u@127.0.0.1:9/x").code == 7
    (tmp_path / "empty.db").touch()
    assert desk.run(None, "verify", "--database", f"sqlite:///{tmp_path / 'empty.db'}").code == 7


def test_only_auditors_export(desk: Desk, tmp_path: Path) -> None:
    assert desk.run("alice", "export", str(tmp_path / "e")).code == 6
    assert desk.run("alice", "verify").code == 6
    assert not (tmp_path / "e" / "entries.ndjson").exists()


def test_lines_are_split_wherever_chunks_end_and_stay_bounded() -> None:
    assert list(split_lines([b"a\nb", b"b\n\nc"])) == [b"a", b"bb", b"", b"c"]
    endless = (b"x" * 65_536 for _ in range(10_000))
    (only,) = split_lines(endless)
    assert len(only) <= LONGEST_LINE + 65_536


def test_a_folder_of_tiles_is_verified_against_its_checkpoint(shared_desk: Desk, copied: Path, tmp_path: Path) -> None:
    from countersign.auditlog.tiles import write_directory  # noqa: PLC0415 - only this test writes tiles

    note = (copied / "checkpoint").read_text()
    # The export itself is a fact, which the checkpoint may not cover yet.
    leaves = [base64.b64decode(entry["leaf"]) for entry in lines(copied)][: int(note.splitlines()[1])]
    folder = tmp_path / "tiles"
    folder.mkdir()
    write_directory(folder, leaves, note)
    assert shared_desk.run(None, "verify", str(folder)).code == 2
    ran = shared_desk.run(
        None,
        "verify",
        str(folder),
        "--key",
        key_of(shared_desk),
        "--checkpoint",
        str(copied.parent / "earlier"),
        "--json",
    )
    assert (ran.code, ran.json()["size"]) == (0, len(leaves))
