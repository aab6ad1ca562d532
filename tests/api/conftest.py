"""The API over SQLite; tests that ask for it by `database_url` run on PostgreSQL too."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.api.calling import Api, LivedWorld, new_world
from tests.world import Clock, World

from countersign.api import events
from countersign.store import Store


@dataclass(frozen=True, kw_only=True)
class Template:
    """A database with rules and tokens in it, to be copied."""

    path: Path
    tokens: dict[str, str]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    path = tmp_path_factory.mktemp("api") / "template.db"
    api = Api(world=new_world(path))
    api.world.store.close()
    return Template(path=path, tokens=api.tokens)


@pytest.fixture
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if getattr(request, "param", "sqlite") == "postgresql":
        return str(request.getfixturevalue("copied_postgres"))
    shutil.copy(request.getfixturevalue("template").path, tmp_path / "countersign.db")
    return f"sqlite:///{tmp_path / 'countersign.db'}"


@pytest.fixture
def tokens(template: Template, database_url: str) -> dict[str, str]:
    """Return the tokens that are in the database already; none on PostgreSQL."""
    return dict(template.tokens) if database_url.startswith("sqlite") else {}


@pytest.fixture
def store(database_url: str, clock: Clock) -> Iterator[Store]:
    made = Store(database_url, clock=clock, own_clock=True)
    yield made
    made.close()


@pytest.fixture
def world(store: Store, clock: Clock) -> World:
    return LivedWorld(store=store, clock=clock)


@pytest.fixture
def api(world: World, tokens: dict[str, str]) -> Api:
    return Api(world=world, tokens=tokens)


@pytest.fixture(autouse=True)
def short_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let event streams end at once: the client of these tests waits for the end of every answer."""
    monkeypatch.setattr(events, "LONGEST_S", 0.0)
