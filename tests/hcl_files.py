"""Reads terraform's files for tests: what the parser gives, without the quotes and marks that it keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hcl2


def read_hcl(path: Path) -> dict[str, Any]:
    """Return a file's blocks by kind."""
    read: dict[str, Any] = plain(hcl2.loads(path.read_text(encoding="utf-8")))
    return read


def plain(value: Any) -> Any:  # noqa: ANN401 -- as untyped as the parser's
    if isinstance(value, dict):
        return {key.strip('"'): plain(item) for key, item in value.items() if not key.startswith("__")}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.strip('"') if isinstance(value, str) else value


def named(blocks: list[dict[str, Any]]) -> dict[str, Any]:
    """Return blocks with one label (variables, modules, outputs) by it."""
    return {name: body for block in blocks for name, body in block.items()}
