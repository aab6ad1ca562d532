"""Where a session is kept: the system's keyring where one works, a file otherwise, and never both."""

from __future__ import annotations

import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from countersign.cli.failures import CommandFailed
from countersign.cli.keeping import Kept, alone, forget, load, save

KEPT = Kept(
    url="https://broker.example",
    session="ses_aaaaaaaaaaaaaaaa",
    person="alice",
    access_token="csa_secret",
    access_until=1.0,
    refresh_token="csr_secret",
    device_key="key-secret",
    ends_at="2026-11-22T17:00:00.000Z",
)


@dataclass(kw_only=True)
class Ring:
    """A keyring in memory, as the package `keyring` shows itself."""

    priority: float = 5
    held: dict[tuple[str, str], str] = field(default_factory=dict)

    def get_keyring(self) -> SimpleNamespace:
        return SimpleNamespace(priority=self.priority)

    def get_password(self, service: str, name: str) -> str | None:
        return self.held.get((service, name))

    def set_password(self, service: str, name: str, password: str) -> None:
        self.held[service, name] = password

    def delete_password(self, service: str, name: str) -> None:
        del self.held[service, name]


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.delenv("COUNTERSIGN_HOME", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "keyring", None)
    return tmp_path / "countersign"


def test_a_working_keyring_keeps_the_session_and_no_file_does(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    ring = Ring()
    monkeypatch.setitem(sys.modules, "keyring", ring)
    save(KEPT)
    assert load(KEPT.url) == KEPT
    assert list(home.glob("*.json")) == []
    forget(KEPT.url)
    assert (load(KEPT.url), ring.held) == (None, {})


def test_a_keyring_that_does_not_work_here_is_not_used(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    ring = Ring(priority=0)
    monkeypatch.setitem(sys.modules, "keyring", ring)
    save(KEPT)
    (file,) = home.glob("*.json")
    assert (stat.S_IMODE(file.stat().st_mode), ring.held) == (0o600, {})


def test_brokers_are_kept_apart_and_what_cannot_be_read_is_nobody(home: Path) -> None:
    save(KEPT)
    assert load("https://other.example") is None
    (file,) = home.glob("*.json")
    for text in ("", "[]", "{}", '{"url": 1}', file.read_text().replace("https://broker", "https://evil")):
        file.write_text(text)
        assert load(KEPT.url) is None
    file.chmod(0o640)
    with pytest.raises(CommandFailed):
        load(KEPT.url)


def test_a_lock_is_for_its_owner_s_eyes_and_secrets_stay_out_of_repr(home: Path) -> None:
    with alone(KEPT.url):
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert "secret" not in repr(KEPT)
