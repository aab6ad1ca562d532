"""Every kind of fact that the log can hold, and one example of each."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import types
import typing
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum

from countersign import domain
from countersign.domain.facts import Fact
from countersign.domain.request import Sealed

TEXT = "free text that stays out of the log"
SEALED = Sealed(text=TEXT, salt=b"\x07" * 16)
MOMENT = datetime(2026, 11, 22, 22, 5, 0, 123_999, tzinfo=UTC)


class Colour(StrEnum):
    RED = "red"


def _kinds(base: type[Fact] = Fact) -> Iterator[type[Fact]]:
    for kind in base.__subclasses__():
        if kind.__module__.startswith(f"{domain.__name__}."):
            yield kind
            yield from _kinds(kind)


for _module in pkgutil.iter_modules(domain.__path__, f"{domain.__name__}."):
    importlib.import_module(_module.name)
KINDS = sorted(_kinds(), key=lambda kind: kind.type)
"""All of them, whichever module of the domain they stand in."""
EXAMPLES: dict[object, object] = {
    str: "text",
    bool: True,
    int: 5,
    datetime: MOMENT,
    Sealed: SEALED,
    Mapping: {"at": MOMENT, "list": [1, (2,)], "colour": Colour.RED, "sealed": SEALED},
    frozenset: frozenset({"b", "a"}),
    tuple: ("bob", "carol"),
}


def example(kind: type[Fact]) -> Fact:
    """Return a fact of a kind with a value of the right type in every field, optional ones included."""
    hints = typing.get_type_hints(kind)
    given = {}
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        if isinstance(hint, types.UnionType):
            hint = next(part for part in typing.get_args(hint) if part is not type(None))
        given[field.name] = EXAMPLES[typing.get_origin(hint) or hint]
    return kind(**given)  # type: ignore[arg-type]  # each field got a value of its own type
