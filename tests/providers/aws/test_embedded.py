"""The embedded AWS: starts fast, listens on loopback alone, keeps its admin key to itself, and is gone when stopped."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.aws_server import READ, Cloud

from countersign.embedded.ministack import PROGRAM_VARIABLE, EmbeddedAws, program
from countersign.embedded.processes import NotReady
from countersign.embedded.provision_aws import provision


def test_it_starts_serves_and_stops_and_leaves_nothing_running(tmp_path: Path) -> None:
    aws = EmbeddedAws(folder=tmp_path / "aws")
    assert aws.start() < 10
    pid = aws.pid
    assert pid is not None
    cloud = Cloud(aws=aws, provisioned=provision(aws))
    assert cloud.draw(cloud.provider()).read() == READ
    assert aws.endpoint_url.startswith("http://127.0.0.1:")
    assert (tmp_path / "aws").stat().st_mode & 0o777 == 0o700
    command = Path(f"/proc/{pid}/cmdline").read_bytes()
    assert aws.admin_secret_access_key.encode() not in command
    assert aws.admin_secret_access_key not in repr(aws)
    assert _listening(pid) == {"0100007F"}
    aws.stop()
    aws.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def _listening(pid: int) -> set[str]:
    """Return the addresses (as the kernel writes them) on which a process listens."""
    inodes = {
        str(link.readlink())[8:-1]
        for link in Path(f"/proc/{pid}/fd").iterdir()
        if link.is_symlink() and str(link.readlink()).startswith("socket:[")
    }
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{pid}/net/{table}").read_text(encoding="ascii").splitlines()[1:]
    ]
    return {row[1].partition(":")[0] for row in rows if row[3] == "0A" and row[9] in inodes}


def test_two_run_side_by_side_and_know_nothing_of_each_other(tmp_path: Path) -> None:
    with EmbeddedAws(folder=tmp_path / "a") as one, EmbeddedAws(folder=tmp_path / "b") as two:
        assert one.endpoint_url != two.endpoint_url
        first = provision(one)
        second = provision(two)
        assert first.settings.assumer.access_key_id != second.settings.assumer.access_key_id


def test_a_missing_program_is_told_with_the_variable_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PROGRAM_VARIABLE, "/nowhere/ministack")
    with pytest.raises(NotReady, match=PROGRAM_VARIABLE):
        program()
