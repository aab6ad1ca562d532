"""SIGKILL at every step between commit, checkpoint and publication: what was ever shown stays true afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.store.crashing import ROUNDS, STEPS, work

from countersign.auditlog.anchors import Head
from countersign.auditlog.bulk import verify_directory
from countersign.auditlog.signer import create_key_file, load_key_file
from countersign.auditlog.tiles import LogDirectory
from countersign.auditlog.verify import verify_entries
from countersign.store import Store

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def killed(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which, for each step, a process was killed at it."""
    folder = tmp_path_factory.mktemp("killed")
    for step in STEPS:
        (folder / step).mkdir()
        shutil.copy(migrated_sqlite, folder / step / "countersign.db")
        create_key_file(folder / step / "log.key", "crash.example/log")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERSIGN_")}
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    command = [sys.executable, "-m", "tests.store.crashing", str(folder)]
    subprocess.run(command, env=kept | {"PYTHONPATH": path}, cwd=ROOT, check=True)
    return folder


@pytest.mark.parametrize("step", STEPS)
def test_a_process_killed_at_any_step_leaves_one_history(killed: Path, step: str) -> None:
    folder = killed / step
    keys = [load_key_file(folder / "log.key").verifier()]
    published = LogDirectory(folder / "published")
    seen = published.checkpoint().decode()
    assert verify_directory(published, checkpoints=[], verifiers=keys).ok
    # The same code goes on from there, with no repair in between, and everything that was ever shown still holds.
    work(folder)
    store = Store(f"sqlite:///{folder / 'countersign.db'}", clock=lambda: pytest.fail("nothing is written here"))
    with store._engine.connect() as connection:
        size, root = connection.exec_driver_sql("SELECT size, root FROM log_head").one()
        signed = [row[0] for row in connection.exec_driver_sql("SELECT note FROM checkpoints")]
    report = verify_entries(
        store.entries(), head=Head(size=size, root=root), checkpoints=[*signed, seen], verifiers=keys
    )
    store.close()
    assert report.failures == ()
    # Rounds that were committed before the kill count, and the one that was not leaves nothing.
    assert size == 100 * (ROUNDS + (1 if step == "append" else 2))
    again = verify_directory(published, checkpoints=[seen], verifiers=keys)
    assert (again.ok, again.root) == (True, report.root)
