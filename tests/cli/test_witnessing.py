"""The witness as another team runs it: a process with a settings file, a key and a memory that outlives SIGKILL."""

from __future__ import annotations

import http.client
import json
import random
import stat
import threading
from pathlib import Path

import pytest
from tests.cli.desk import run_here
from tests.logs import GrownLog
from tests.witnesses import WitnessProcess

from countersign.auditlog.note import parse_note
from countersign.auditlog.witnessing import read_cosignatures, read_size, read_witness_key


def test_a_witness_that_is_killed_again_and_again_never_goes_back(tmp_path: Path) -> None:
    log, dice = GrownLog(size=2000), random.Random(7)  # noqa: S311 -- when a process is killed is no secret
    other = log.fork(at=1)
    witness = WitnessProcess(folder=tmp_path / "w", keys=(log.signer.verifier().vkey(),))
    verifier = read_witness_key(witness.vkey)
    vouched = 0
    for _ in range(3):
        witness.start()
        status, told = witness.call("POST", "/add-checkpoint", log.submission(0, 1))
        known = read_size(told) if status == 409 else 1
        # What it remembers is what it vouched for, or one step more whose answer was lost on the way.
        assert known is not None
        assert vouched <= known <= vouched + 1
        reaper = threading.Timer(dice.uniform(0.05, 0.4), witness.kill)
        reaper.start()
        for size in range(known, log.size):
            try:
                status, answer = witness.call("POST", "/add-checkpoint", log.submission(size, size + 1))
            except (OSError, http.client.HTTPException):
                break
            assert status == 200
            read_cosignatures(answer, text=parse_note(log.checkpoint(size + 1).encode()).text, witness=verifier)
            vouched = size + 1
        reaper.join()
    witness.start()
    assert vouched > 3
    status, told = witness.call("POST", "/add-checkpoint", other.submission(0, 1999))
    known = read_size(told)
    assert status == 409
    assert known is not None
    assert witness.call("POST", "/add-checkpoint", other.submission(known, 1999))[0] == 422
    assert witness.call("POST", "/add-checkpoint", other.submission(known, known))[0] == 409
    status, health = witness.call("GET", "/healthz")
    assert (status, json.loads(health)["ok"]) == (503, False)
    witness.kill()
    assert "a log signed two histories" in (witness.folder / "witness.log").read_text()


def test_the_key_is_made_once_kept_private_and_told_in_public(tmp_path: Path) -> None:
    witness = WitnessProcess(folder=tmp_path / "w", keys=(GrownLog(size=1).signer.verifier().vkey(),))
    path = witness.folder / "witness.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = run_here(["witness", "key", str(witness.settings), "--json"], {})
    assert again.json() == {"name": witness.name, "vkey": witness.vkey}
    seed = path.read_text().strip().rpartition("+")[2]
    assert seed not in again.out + again.err


@pytest.mark.parametrize(
    ("bend", "told"),
    [
        (("schema = 1", "schema = 2"), "schema"),
        (('name = "witness.example/w1"', 'name = "two words"'), "name"),
        (("keys = [", 'keys = ["no+key", '), "log[0]"),
        (("keys = [", "kees = ["), "kees"),
        (("[[log]]", "[[logs]]"), "log"),
        (("witness.key", "other.key"), "there is no key"),
    ],
)
def test_settings_that_cannot_be_meant_are_usage(tmp_path: Path, bend: tuple[str, str], told: str) -> None:
    witness = WitnessProcess(folder=tmp_path / "w", keys=(GrownLog(size=1).signer.verifier().vkey(),))
    witness.settings.write_text(witness.settings.read_text().replace(*bend))
    ran = run_here(["witness", "run", str(witness.settings)], {})
    assert ran.code == 2
    assert told in ran.err


def test_a_key_that_others_can_read_or_of_another_witness_is_not_used(tmp_path: Path) -> None:
    log = GrownLog(size=1).signer.verifier().vkey()
    witness, other = (WitnessProcess(folder=tmp_path / name, name=name, keys=(log,)) for name in ("one", "two"))
    (witness.folder / "witness.key").chmod(0o644)
    assert run_here(["witness", "run", str(witness.settings)], {}).code == 2
    witness.settings.write_text(witness.settings.read_text().replace('"witness.key"', '"../two/witness.key"'))
    ran = run_here(["witness", "run", str(witness.settings)], {})
    assert "holds the key of two" in ran.err
    assert other.name == "two"
