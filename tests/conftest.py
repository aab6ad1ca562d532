from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.engines import quick_engines
from tests.servers import Stack, running_stack
from tests.stores import (
    clock,
    copied_postgres,
    database_url,
    fresh_database,
    migrated_postgres,
    migrated_sqlite,
    postgres,
    store,
    world,
)

__all__ = [
    "clock",
    "copied_postgres",
    "database_url",
    "fresh_database",
    "migrated_postgres",
    "migrated_sqlite",
    "openbao_stack",
    "postgres",
    "quick_engines",
    "store",
    "world",
]


@pytest.fixture(scope="session")
def openbao_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One real PostgreSQL and OpenBao for the whole run. A test that stops one of them starts it again."""
    with running_stack(tmp_path_factory.mktemp("openbao-stack")) as stack:
        yield stack


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take long, so that no process is still at one when the others have nothing left to do."""
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long)
