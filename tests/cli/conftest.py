from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.desk import Desk, listening_desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with listening_desk(tmp_path) as desk:
        yield desk


@pytest.fixture(scope="module")
def shared_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One desk for a whole table of calls that change nothing for each other."""
    with listening_desk(tmp_path_factory.mktemp("desk")) as desk:
        yield desk
