"""The program that writes packs, as a digest over its own source: who has the same one gets the same pack from the same log."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable

from countersign.domain.canonical import digest

PARTS = ("auditlog", "domain")
_KINDS = (".py", ".html", ".css")


@cache
def program_files() -> dict[str, str]:
    """Return the SHA-256 of every file that has a part in a pack, by its path in the package."""
    found: dict[str, str] = {}
    for part in PARTS:
        _walk(files("countersign") / part, part, found)
    return dict(sorted(found.items()))


@cache
def program_digest() -> str:
    """Return one digest over all of them."""
    return digest("countersign/pack-program/v1", program_files())


def _walk(folder: Traversable, path: str, found: dict[str, str]) -> None:
    for each in folder.iterdir():
        name = f"{path}/{each.name}"
        if each.is_dir():
            _walk(each, name, found)
        elif each.name.endswith(_KINDS):
            found[name] = sha256(each.read_bytes()).hexdigest()
