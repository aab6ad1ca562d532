from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.desk import Desk, listening_desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with listening_desk(tmp_path) as desk:
        yield desk
