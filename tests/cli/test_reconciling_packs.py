"""`countersign reconcile PACK --into COPY`: extracts and what is unmatched go into a copy of the pack."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.desk import Desk

from countersign.auditlog.signer import Cosigner

LINE = {
    "timestamp": "2026-11-22 09:00:30.000 GMT",
    "user": "lse_aaaaaaaaaaaaaaaa",
    "dbname": "orders",
    "pid": 7,
    "session_id": "5f.1",
    "line_num": 3,
    "error_severity": "LOG",
    "message": "connection authorized: user=lse_aaaaaaaaaaaaaaaa database=orders",
    "backend_type": "client backend",
}


def test_a_reconciled_copy_verifies_and_tells_what_the_log_does_not_know(desk: Desk, tmp_path: Path) -> None:
    desk.granted()
    desk.world.issuing.checkpoints.sign()
    key = desk.world.issuing.checkpoints.signer.verifier().vkey()
    pack, copy, log = tmp_path / "evidence.zip", tmp_path / "reconciled.zip", tmp_path / "postgresql.json"
    assert desk.run("erin", "evidence", str(pack), "--from", "2026-11-01", "--to", "2026-11-30").code == 0
    log.write_text(json.dumps(LINE) + "\n")
    source = ("--target", "orders-db", "--postgres-log", str(log))
    ran = desk.run(None, "reconcile", str(pack), "--key", key, *source, "--into", str(copy), "--json")
    assert ran.code == 1, ran.err
    assert ran.json()["log"]["ok"] is True
    assert [each["lease"] for each in ran.json()["unmatched"]] == [LINE["user"]]
    assert "SHA-256 of its report" in ran.err
    verified = desk.run(None, "verify", str(copy), "--key", key)
    assert verified.code == 0, verified.out
    again = desk.run(None, "reconcile", str(copy), "--key", key, *source, "--into", str(tmp_path / "again.zip"))
    assert (again.code, "already" in again.err) == (2, True)
    assert not (tmp_path / "again.zip").exists()
    assert desk.run(None, "reconcile", str(pack), "--key", key, *source, "--into", str(copy)).code == 2


def test_a_pack_s_checkpoint_is_held_against_the_witnesses_that_are_demanded(desk: Desk, tmp_path: Path) -> None:
    desk.granted()
    desk.world.issuing.checkpoints.sign()
    key = desk.world.issuing.checkpoints.signer.verifier().vkey()
    pack = tmp_path / "evidence.zip"
    assert desk.run("erin", "evidence", str(pack), "--from", "2026-11-01", "--to", "2026-11-30").code == 0
    witness = Cosigner.generate("witness.example/w").verifier().vkey()
    ran = desk.run(None, "verify", str(pack), "--key", key, "--witness-key", witness, "--json")
    assert (ran.code, [each["code"] for each in ran.json()["failures"]]) == (1, ["not-cosigned"])
