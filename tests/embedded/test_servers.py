from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from countersign.embedded.openbao import EmbeddedOpenBao
from countersign.embedded.postgres import EmbeddedPostgres
from countersign.embedded.processes import Child, NotReady, free_port

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path / "postgres")
    yield server
    server.stop_immediate()


@pytest.fixture
def openbao(tmp_path: Path) -> Iterator[EmbeddedOpenBao]:
    server = EmbeddedOpenBao(tmp_path / "openbao")
    yield server
    server.kill()


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_postgres_is_private_and_keeps_its_data_over_stops_crashes_and_restarts(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    began = time.monotonic()
    postgres.start()
    assert time.monotonic() - began < 5
    port = postgres.port
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (id int)")
    postgres.restart()
    postgres.stop_immediate()
    postgres.start()
    assert postgres.port == port
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute("SELECT * FROM kept")
        for name, value in (
            ("listen_addresses", "127.0.0.1"),
            ("unix_socket_directories", ""),
            ("log_statement", "none"),
        ):
            assert connection.execute("SELECT current_setting(%s)", [name]).fetchone() == (value,)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres.dsn(password="wrong"))
    assert stat.S_IMODE((tmp_path / "postgres").stat().st_mode) == 0o700
    assert not list((tmp_path / "postgres").glob("*password*"))
    assert "password" not in repr(postgres)


def test_postgres_of_an_earlier_run_is_kept_only_with_its_password(tmp_path: Path) -> None:
    first = EmbeddedPostgres(tmp_path, password="throwaway-1")
    for server, is_kept in (
        (first, False),
        (EmbeddedPostgres(tmp_path, password="throwaway-1"), True),
        (EmbeddedPostgres(tmp_path), False),
    ):
        server.start()
        try:
            with psycopg.connect(server.dsn(), autocommit=True) as connection:
                found = connection.execute("SELECT to_regclass('kept') IS NOT NULL").fetchone()
                assert found == (is_kept,)
                connection.execute("CREATE TABLE IF NOT EXISTS kept (id int)")
        finally:
            server.stop()


def test_openbao_keeps_its_state_over_a_kill_and_audits_from_the_first_call(
    openbao: EmbeddedOpenBao, tmp_path: Path
) -> None:
    root_token = openbao.start()
    assert root_token is not None
    client = openbao.client(root_token)
    client.sys.enable_secrets_engine("kv", path="kv")
    client.write("kv/thing", value="kept")
    openbao.kill()
    assert openbao.start() is None
    assert client.read("kv/thing")["data"]["value"] == "kept"
    assert "kv/thing" in openbao.audit_log.read_text()
    openbao.stop()
    openbao.start_sealed()
    assert client.sys.is_sealed()
    openbao.unseal()
    assert not client.sys.is_sealed()
    assert not list(tmp_path.rglob(".vault-token"))
    everything = [path.read_bytes() for path in (tmp_path / "openbao").iterdir() if path.is_file()]
    assert not any(root_token.encode() in text or openbao.unseal_key.encode() in text for text in everything)


def test_openbao_of_an_earlier_run_opens_with_its_key_at_another_port(openbao: EmbeddedOpenBao, tmp_path: Path) -> None:
    root_token = openbao.start()
    assert root_token is not None
    openbao.stop()
    later = EmbeddedOpenBao(tmp_path / "openbao", unseal_key=openbao.unseal_key)
    try:
        assert later.start() is None
        assert later.client(root_token).lookup_token()["data"]["policies"] == ["root"]
    finally:
        later.kill()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells children of their parent's death")
def test_the_servers_die_when_the_process_that_started_them_is_killed(tmp_path: Path) -> None:
    program = f"""
import sys, time
from pathlib import Path
from countersign.embedded.openbao import EmbeddedOpenBao
from countersign.embedded.postgres import EmbeddedPostgres
postgres, openbao = EmbeddedPostgres(Path({str(tmp_path)!r}) / "pg"), EmbeddedOpenBao(Path({str(tmp_path)!r}) / "bao")
postgres.start()
openbao.start()
print(postgres.pid, openbao.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT / "src")},
    ) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert all(is_running(pid) for pid in pids)
        parent.kill()
    deadline = time.monotonic() + 5
    while any(is_running(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not [pid for pid in pids if is_running(pid)]


def child(tmp_path: Path, script: str) -> Child:
    return Child(
        name="child",
        command=[sys.executable, "-c", script],
        log=tmp_path / "child.log",
        environment={"PATH": os.defpath},
    )


def test_a_child_that_ends_before_it_is_ready_says_why(tmp_path: Path) -> None:
    failing = child(tmp_path, "print('the reason'); raise SystemExit(3)")
    failing.start()
    with pytest.raises(NotReady, match="the reason"):
        failing.wait_until(lambda: False)
    failing.stop()


def test_a_child_that_is_never_ready_is_not_waited_for_without_end(tmp_path: Path) -> None:
    idle = child(tmp_path, "import time; time.sleep(60)")
    idle.start()
    with pytest.raises(NotReady, match="not ready after"):
        idle.wait_until(lambda: False, within_s=0.1)
    with pytest.raises(NotReady, match="runs already"):
        idle.start()
    idle.stop()
    assert not idle.running
    assert idle.pid is None
    idle.stop()


def test_a_child_that_will_not_stop_is_killed_with_its_own_children(tmp_path: Path) -> None:
    stubborn = child(
        tmp_path,
        "import os, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "inner = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(inner.pid, flush=True)\n"
        "time.sleep(60)\n",
    )
    stubborn.start()
    stubborn.wait_until(lambda: stubborn.log.read_text().strip().isdigit())
    inner = int(stubborn.log.read_text())
    stubborn.stop(signal.SIGTERM, within_s=0.2)
    deadline = time.monotonic() + 5
    while is_running(inner) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_running(inner)


def test_a_free_port_can_be_bound() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", free_port()))
