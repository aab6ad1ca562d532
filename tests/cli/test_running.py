from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from importlib import resources
from pathlib import Path
from string import Template

import pytest
from tests.cli.desk import PROGRAM, SOURCES


def settings(folder: Path, **changes: str) -> dict[str, str]:
    """Return the environment of a broker that keeps everything in a folder."""
    for name in ("catalog.toml", "directory.toml"):
        text = resources.files("countersign.embedded").joinpath(name).read_text(encoding="utf-8")
        values = {"postgres_port": "5432", "reports_role": "arn:aws:iam::123456789012:role/reports"}
        (folder / name).write_text(Template(text).safe_substitute(values), encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERSIGN_")}
    return (
        kept
        | {
            "PYTHONPATH": str(SOURCES),
            "COUNTERSIGN_MODE": "embedded",
            "COUNTERSIGN_STATE_DIR": str(folder / "state"),
            "COUNTERSIGN_CATALOG_PATH": str(folder / "catalog.toml"),
            "COUNTERSIGN_DIRECTORY_PATH": str(folder / "directory.toml"),
            "COUNTERSIGN_LISTEN_PORT": str(port),
        }
        | changes
    )


def serve(environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*PROGRAM, "serve", "--json"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_until_ready(environment: dict[str, str], process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{environment['COUNTERSIGN_LISTEN_PORT']}/readyz") as answer:
                assert answer.status == 200
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"it did not come up: {process.communicate(timeout=5)}")


def test_a_broker_serves_until_it_is_told_to_stop_and_stands_alone(tmp_path: Path) -> None:
    environment = settings(tmp_path)
    process = serve(environment)
    try:
        wait_until_ready(environment, process)
        second = serve(environment)
        _, err = second.communicate(timeout=30)
        assert (second.returncode, "the only broker" in json.loads(err.splitlines()[-1])["error"]["detail"]) == (
            2,
            True,
        )
    finally:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
    assert process.returncode in {0, -signal.SIGTERM, 143}, (out, err)
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"COUNTERSIGN_MODE": "party"}, "mode"),
        ({"COUNTERSIGN_MODE": "production", "COUNTERSIGN_ALLOW_TOKENS": "true"}, "embedded stack only"),
        ({"COUNTERSIGN_CATALOG_PATH": "/no/such/file"}, "/no/such/file"),
        ({"COUNTERSIGN_LISTEN_HOST": "0.0.0.0"}, "loopback"),  # noqa: S104 - what is refused
    ],
)
def test_a_configuration_that_cannot_be_used_is_usage(tmp_path: Path, changes: dict[str, str], said: str) -> None:
    process = serve(settings(tmp_path, **changes))
    _, err = process.communicate(timeout=30)
    told = json.loads(err.splitlines()[-1])["error"]
    assert (process.returncode, told["code"], said in told["detail"]) == (2, "usage", True)


def test_a_key_file_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "log.key").write_text("PRIVATE+KEY+canary")
    (tmp_path / "log.key").chmod(0o644)
    process = serve(settings(tmp_path, COUNTERSIGN_LOG_KEY_PATH=str(tmp_path / "log.key")))
    _, err = process.communicate(timeout=30)
    assert (process.returncode, "chmod 600" in err, "canary" in err) == (2, True, False)
