"""SIGKILL at every step between commit, checkpoint and publication: what was ever shown stays true afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.quick import is_nightly
from tests.store.crashing import ROUNDS, STEPS, URL, work
from tests.stores import copy_of_the_schema
from tests.world import Clock

from countersign.auditlog.anchors import Head
from countersign.auditlog.bulk import verify_directory
from countersign.auditlog.signer import create_key_file, load_key_file
from countersign.auditlog.tiles import LogDirectory
from countersign.auditlog.verify import verify_entries
from countersign.store import Store

ROOT = Path(__file__).parents[2]


KILLED = [f"{step}-{turn}" for step in STEPS for turn in (range(ROUNDS) if is_nightly() else (1,))]
"""Each step, in the second round; at night in every round."""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def killed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which, for each step and round, a process was killed there."""
    folder = tmp_path_factory.mktemp("killed")
    for name in KILLED:
        (folder / name).mkdir()
        (folder / name / URL).write_text(copy_of_the_schema(request, folder / name / "countersign.db"))
        create_key_file(folder / name / "log.key", "crash.example/log")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERSIGN_")}
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    command = [sys.executable, "-m", "tests.store.crashing", str(folder)]
    subprocess.run(command, env=kept | {"PYTHONPATH": path}, cwd=ROOT, check=True)
    return folder


@pytest.mark.parametrize("name", KILLED)
def test_a_process_killed_at_any_step_leaves_one_history(killed: Path, name: str) -> None:
    folder, (step, turn) = killed / name, name.split("-")
    keys = [load_key_file(folder / "log.key").verifier()]
    published = LogDirectory(folder / "published")
    seen = [published.checkpoint().decode()] if (folder / "published" / "checkpoint").exists() else []
    assert not seen or verify_directory(published, checkpoints=[], verifiers=keys).ok
    # The same code goes on from there, with no repair in between, and everything that was ever shown still holds.
    work(folder)
    store = Store((folder / URL).read_text(), clock=Clock())
    with store.read() as tx:
        head, signed = tx.head(), tx.checkpoints()
    report = verify_entries(
        store.entries(), head=Head(size=head.size, root=head.root), checkpoints=[*signed, *seen], verifiers=keys
    )
    store.close()
    assert report.failures == ()
    # Rounds that were committed before the kill count, and the one that was not leaves nothing.
    assert head.size == 100 * (ROUNDS + int(turn) + (0 if step == "append" else 1))
    again = verify_directory(published, checkpoints=seen, verifiers=keys)
    assert (again.ok, again.root) == (True, report.root)
