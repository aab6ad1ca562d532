"""Facts: what happened, in typed frozen values; the log holds nothing else.

Each fact class has a tag (`type`) that never changes its meaning: a new meaning is a new tag. Field values are plain JSON,
moments (spelled as text) or `Sealed` free text, of which only the commitment reaches the log; the opening is kept beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from enum import Enum
from typing import Any, ClassVar

from countersign.domain.request import Sealed
from countersign.domain.timestamps import spell

BROKER = "countersign"
"""The actor of what no person did: the broker itself. No person can bear this name with a slash after it."""


@dataclass(frozen=True, kw_only=True)
class Fact:
    """Base of all facts.

    Attributes:
        actor: the person who did it, or `countersign/<part>` for the broker's own acts.
        subject: the id of what it happened to.
    """

    type: ClassVar[str]
    actor: str
    subject: str

    def data(self) -> dict[str, Any]:
        """Return the fact's own fields as plain JSON, free texts as commitments."""
        return {name: _plain(getattr(self, name)) for name in _own_fields(type(self))}

    def openings(self) -> dict[str, Sealed]:
        """Return the free texts that the leaf only commits to, by field."""
        found = ((name, getattr(self, name)) for name in _own_fields(type(self)))
        return {name: value for name, value in found if isinstance(value, Sealed)}


_OWN_FIELDS: dict[type[Fact], tuple[str, ...]] = {}


def _own_fields(kind: type[Fact]) -> tuple[str, ...]:
    names = _OWN_FIELDS.get(kind)
    if names is None:
        names = _OWN_FIELDS[kind] = tuple(f.name for f in fields(kind) if f.name not in {"actor", "subject"})
    return names


_AS_THEY_ARE = frozenset({str, int, bool, type(None)})


def _plain(value: object) -> object:
    if type(value) in _AS_THEY_ARE:
        return value
    match value:
        case Sealed():
            return value.commitment
        case datetime():
            return spell(value)
        case Enum():
            return value.value
        case Mapping():
            return {key: _plain(item) for key, item in value.items()}
        case frozenset() | set():
            return sorted(str(_plain(item)) for item in value)
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            return value
