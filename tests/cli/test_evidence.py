"""Evidence packs at the command line: from a broker, from a copy without one, and checked by who has only the key."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path

from tests.cli.desk import Desk
from tests.cli.test_verifying import key_of

PERIOD = ("--from", "2026-11-22", "--to", "2026-11-22")


def lived(desk: Desk) -> str:
    grant = desk.granted()
    desk.world.draw(grant)
    desk.world.clock.forward(seconds=61)
    desk.world.sweep()
    desk.world.issuing.checkpoints.sign()
    return grant


def table(pack: Path, name: str) -> list[dict[str, str]]:
    with zipfile.ZipFile(pack) as archive:
        return list(csv.DictReader(io.StringIO(archive.read(name).decode(), newline="")))


def test_an_auditor_takes_a_pack_away_and_anybody_checks_it_with_the_key(desk: Desk, tmp_path: Path) -> None:
    grant, pack = lived(desk), tmp_path / "evidence.zip"
    ran = desk.run("erin", "evidence", str(pack), *PERIOD)
    assert (ran.code, ran.out) == (0, f"{pack}\n"), ran.err
    assert pack.stat().st_mode & 0o077 == 0
    checked = desk.process(None, "verify", str(pack), "--key", key_of(desk), "--json")
    assert checked.code == 0
    assert checked.json()["failures"] == []
    [row] = table(pack, "grants.csv")
    assert (row["grant"], row["person"], row["approvers"]) == (grant, "alice", "bob")
    with zipfile.ZipFile(pack) as archive:
        assert b"invoice 4711" in archive.read(f"grants/{grant}.html")
    asked = json.loads(desk.world.facts("audit.asked")[-1]["leaf"])
    assert (asked["actor"], asked["data"]["question"]) == ("erin", "evidence-pack")
    assert asked["data"]["about"]["since"] == "2026-11-22T00:00:00.000Z"
    assert asked["data"]["about"]["until"] == "2026-11-22T23:59:59.000Z"


def test_a_copy_gives_the_same_tables_without_any_broker(desk: Desk, tmp_path: Path) -> None:
    lived(desk)
    online, offline, key = tmp_path / "online.zip", tmp_path / "offline.zip", tmp_path / "log.vkey"
    key.write_text(key_of(desk) + "\n")
    assert desk.run("erin", "evidence", str(online), *PERIOD).code == 0
    assert desk.run("erin", "export", str(tmp_path / "copy")).code == 0
    # The export holds one entry more, that the pack was made, and its checkpoint may not cover it.
    ran = desk.process(None, "evidence", str(offline), *PERIOD, "--copy", str(tmp_path / "copy"), "--key", str(key))
    assert ran.code == 0, ran.err
    assert desk.run(None, "verify", str(offline), "--key", str(key)).code == 0
    assert table(offline, "grants.csv") == table(online, "grants.csv")
    with zipfile.ZipFile(online) as archive:
        archive.extractall(tmp_path / "unpacked")
    again = tmp_path / "again.zip"
    ran = desk.run(
        None, "evidence", str(again), *PERIOD, "--copy", str(tmp_path / "unpacked" / "log"), "--key", str(key)
    )
    assert ran.code == 0, ran.err
    assert table(again, "populations.csv") == table(online, "populations.csv")


def test_a_copy_that_does_not_verify_makes_no_evidence(desk: Desk, tmp_path: Path) -> None:
    lived(desk)
    copy, pack = tmp_path / "copy", tmp_path / "evidence.zip"
    assert desk.run("erin", "export", str(copy)).code == 0
    lines = (copy / "entries.ndjson").read_text().splitlines(keepends=True)
    (copy / "entries.ndjson").write_text("".join([*lines[:5], *lines[6:]]))
    ran = desk.run(None, "evidence", str(pack), *PERIOD, "--copy", str(copy), "--key", key_of(desk))
    assert ran.code == 1
    assert "does not verify" in ran.err
    assert list(tmp_path.glob("evidence*")) == []


def test_who_is_no_auditor_gets_none_and_nothing_is_overwritten(desk: Desk, tmp_path: Path) -> None:
    lived(desk)
    pack = tmp_path / "evidence.zip"
    assert desk.run("bob", "evidence", str(pack), *PERIOD).code == 6
    assert list(tmp_path.glob("evidence*")) == []
    pack.write_text("mine")
    assert desk.run("erin", "evidence", str(pack), *PERIOD).code == 2
    assert pack.read_text() == "mine"
    other = str(tmp_path / "other.zip")
    assert desk.run("erin", "evidence", other, "--from", "2026-11-23", "--to", "2026-11-22").code == 2
    assert desk.run("erin", "evidence", other, *PERIOD, "--copy", str(tmp_path)).code == 2
    assert desk.run(None, "verify", str(pack)).code != 0


def test_a_changed_pack_is_named_and_without_a_key_nothing_is_said(desk: Desk, tmp_path: Path) -> None:
    lived(desk)
    pack = tmp_path / "evidence.zip"
    assert desk.run("erin", "evidence", str(pack), *PERIOD).code == 0
    assert desk.run(None, "verify", str(pack)).code == 2
    with zipfile.ZipFile(pack, "a") as archive:
        archive.writestr("more.txt", "nobody listed this")
    ran = desk.run(None, "verify", str(pack), "--key", key_of(desk))
    assert ran.code == 1
    assert "pack-file: more.txt is not listed" in ran.out
