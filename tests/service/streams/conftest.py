"""Streams know nothing of databases: SQLite alone. Followers themselves are tried on both."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def database_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    shutil.copy(migrated_sqlite, tmp_path / "countersign.db")
    return f"sqlite:///{tmp_path / 'countersign.db'}"
