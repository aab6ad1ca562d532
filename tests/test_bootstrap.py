"""Putting the broker together: what a start demands, and how a process leaves."""

from __future__ import annotations

import json
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from importlib import resources
from pathlib import Path

import pytest
import structlog
from tests.world import Clock

from countersign.bootstrap.beginning import look_before_the_first_start
from countersign.bootstrap.building import build
from countersign.bootstrap.founding import open_store
from countersign.bootstrap.serving import configure_logging, hold_alone
from countersign.config.problems import ConfigError
from countersign.config.settings import Settings, load_settings
from countersign.providers.base import Answer, Away, Stray
from countersign.providers.fake import FakeProvider

CATALOG = """
schema = 1

[[target]]
id = "nothing"
provider = "fake"
kind = "memory"

[[entitlement]]
id = "nothing-at-all"
owner = "orders-owners"
environment = "development"
provider = "fake"
target = "nothing"
grants = {}
min_duration_s = 60
max_duration_s = 600
review = [{ group = "orders-owners", count = 1 }]
"""


def prepared(folder: Path, **more: object) -> Settings:
    (folder / "catalog.toml").write_text(CATALOG, encoding="utf-8")
    directory = resources.files("countersign.embedded").joinpath("directory.toml").read_text(encoding="utf-8")
    (folder / "directory.toml").write_text(directory, encoding="utf-8")
    values = {
        "mode": "embedded",
        "allow_tokens": True,
        "state_dir": folder / "state",
        "catalog_path": folder / "catalog.toml",
        "directory_path": folder / "directory.toml",
    }
    return load_settings(**values | more)


def test_the_first_rules_of_a_production_broker_are_pinned_by_a_second_person(tmp_path: Path) -> None:
    production = {"mode": "production", "allow_tokens": False}
    with pytest.raises(ConfigError, match="genesis") as refusal:
        build(prepared(tmp_path, **production))
    digest = refusal.value.problems[0].expected.partition(",")[0]
    with pytest.raises(ConfigError, match="genesis"):
        build(prepared(tmp_path, **production, genesis="0" * 64))
    running = build(prepared(tmp_path, **production, genesis=digest))
    running.broker.office.store.close()


def test_a_log_that_was_signed_is_not_signed_with_another_key(tmp_path: Path) -> None:
    settings = prepared(tmp_path)
    running = build(settings)
    running.issuing.checkpoints.sign()
    running.broker.office.store.close()
    settings.log_key_path.rename(tmp_path / "lost.key")
    with pytest.raises(ConfigError, match="log_key_path"):
        build(settings)
    shutil.move(tmp_path / "lost.key", settings.log_key_path)
    build(settings).broker.office.store.close()


def test_a_logged_fault_shows_no_values_of_variables(capsys: pytest.CaptureFixture[str]) -> None:
    before = structlog.get_config()
    configure_logging()
    try:
        password = secrets.token_hex(16)
        try:
            {"known": 1}[f"{len(password)}"]
        except KeyError:
            structlog.get_logger("test").exception("a fault")
    finally:
        structlog.configure(**before)
    shown = capsys.readouterr().err
    assert json.loads(shown)["event"] == "a fault"
    assert "Traceback" in shown
    assert password not in shown


def test_a_second_broker_is_kept_off_an_embedded_database(tmp_path: Path) -> None:
    settings = prepared(tmp_path)
    with hold_alone(settings), pytest.raises(ConfigError, match="only broker"):
        hold_alone(settings)
    hold_alone(settings).close()


def test_a_broker_that_is_told_to_end_leaves_in_good_order(tmp_path: Path) -> None:
    settings = prepared(tmp_path)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        "COUNTERSIGN_MODE": "embedded",
        "COUNTERSIGN_ALLOW_TOKENS": "true",
        "COUNTERSIGN_STATE_DIR": str(settings.state_dir),
        "COUNTERSIGN_CATALOG_PATH": str(settings.catalog_path),
        "COUNTERSIGN_DIRECTORY_PATH": str(settings.directory_path),
        "COUNTERSIGN_LISTEN_PORT": str(port),
        "PYTHONPATH": str(Path(__file__).parents[1] / "src"),
    }
    process = subprocess.Popen([sys.executable, "-m", "countersign", "serve"], env=environment, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1) as answer:
                    assert answer.status == 200
                break
            except OSError:
                assert time.monotonic() < deadline
                assert process.poll() is None
                time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
    finally:
        process.kill()
        process.communicate()
    assert not (settings.state_dir / "countersign.db-wal").exists()


def test_what_the_first_sweep_does_not_need_is_not_loaded_before_it() -> None:
    heavy = "alembic", "boto3", "fastapi", "starlette", "uvicorn", "jinja2", "webauthn"
    script = f"import sys, countersign.bootstrap.serving; print(*(name for name in {heavy!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []


def test_an_empty_database_beside_living_credentials_founds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = prepared(tmp_path)
    provider = FakeProvider(clock=Clock())
    monkeypatch.setattr("countersign.bootstrap.building.make_providers", lambda *_: {"fake": provider})
    stray = Stray(lease_id="lse_aaaaaaaaaaaaaaaa", target="nothing", place="memory", ref={})
    monkeypatch.setattr(provider, "roll_call", lambda _: [stray])
    monkeypatch.setattr(provider, "end_stray", lambda _: Answer(said={}))
    with pytest.raises(ConfigError, match=r"countersign strays.*lse_aaaaaaaaaaaaaaaa"):
        build(settings)
    store = open_store(settings)
    found, ended = look_before_the_first_start(store, settings, {"fake": provider}, ending=True)
    assert ([each for _, each in found.strays], [each for each, _ in ended]) == ([stray], [stray])
    monkeypatch.setattr(provider, "roll_call", _away)
    with pytest.raises(ConfigError, match="no answer from fake"):
        build(prepared(tmp_path, mode="production", allow_tokens=False))
    monkeypatch.setattr(provider, "roll_call", lambda _: [])
    build(settings).broker.office.store.close()
    with pytest.raises(ConfigError, match="in which a broker lives"):
        look_before_the_first_start(store, settings, {"fake": provider}, ending=True)
    store.close()


def _away(_: object) -> list[Stray]:
    raise Away("nobody answers")
