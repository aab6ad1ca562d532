"""The API over SQLite; tests that ask for it by `database_url` run on PostgreSQL too."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.api.calling import Api
from tests.stores import clock, fresh_database, postgres, store, world
from tests.world import World

__all__ = ["clock", "fresh_database", "postgres", "store", "world"]


@pytest.fixture
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if getattr(request, "param", "sqlite") == "postgresql":
        return str(request.getfixturevalue("fresh_database"))
    return f"sqlite:///{tmp_path / 'countersign.db'}"


@pytest.fixture
def api(world: World) -> Api:
    return Api(world=world)
