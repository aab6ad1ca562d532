"""What is wrong with a configuration: where it stands, what was expected there and what was found, in lines for a person."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError

SHOWN_AT_MOST = 60
LARGEST_SHOWN_INTEGER = 10**18
TOO_SHORT = "too_short"
OUR_WORDS = {
    "int_type": "an integer",
    "bool_type": "true or false",
    "string_type": "a string",
    "string_unicode": "whole characters",
    "tuple_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    TOO_SHORT: "at least one item",
}
"""What to say for pydantic's error types that speak of Python."""


class Severity(StrEnum):
    """Whether a problem stops the configuration from being used."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        where: the key, such as `entitlement[2] "orders-db-read".review[0].count`; positions count from 0 as in JSON.
        expected: what would be right.
        got: what was found, shortened; never a secret.
        severity: an error refuses the configuration, a warning says that something in it means nobody.
    """

    where: str
    expected: str
    got: str
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        return f"{self.severity}: {self.where}: expected {self.expected}; got {self.got}"


class ConfigError(Exception):
    """A configuration that cannot be used, with everything that is wrong with it, one line each."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


def expected(what: str) -> PydanticCustomError:
    """Return the error with which a field's validator says what it expected."""
    return PydanticCustomError("expected", "{what}", {"what": what})


def shown(value: object) -> str:
    """Return a value as one short, printable, ASCII piece of text."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value) if abs(value) <= LARGEST_SHOWN_INTEGER else "an integer beyond all bounds"
        case float():
            return f"the fraction {value}"
        case str():
            text = json.dumps(value[: SHOWN_AT_MOST + 1])
            return text if len(value) <= SHOWN_AT_MOST else f'{text[:SHOWN_AT_MOST]}…" ({len(value)} characters)'
        case dict():
            return f"a table of {len(value)} keys"
        case list() | tuple():
            return f"a list of {len(value)}"
        case _:
            return f"a {type(value).__name__}"


def located(path: Sequence[str | int], source: object) -> str:
    """Return the dotted key of a place in `source`, naming the items of lists by their `id` where they have one."""
    text, here = "", source
    for step in path:
        if isinstance(step, int):
            here = here[step] if isinstance(here, list) and step < len(here) else None
            name = here.get("id") if isinstance(here, dict) else None
            text += f"[{step}]" + (f" {shown(name)}" if isinstance(name, str) else "")
        else:
            here = here.get(step) if isinstance(here, dict) else None
            key = step if step.isidentifier() and step.isascii() else shown(step)
            text += f".{key}" if text else key
    return text or "the whole"


def problems_of(error: ValidationError, *, model: type[BaseModel], source: object, show: bool = True) -> list[Problem]:
    """Say what pydantic found wrong with `source` in our own words; `show` says whether values may be seen."""
    found = [dict(item) for item in error.errors(include_url=False)]
    return [_problem(item, model, source, show=show) for item in found if not _is_echo(item)]


def _is_echo(item: Mapping[str, Any]) -> bool:
    """Say whether a list is only "too short" because pydantic left out the items that it had already complained of."""
    return item["type"] == TOO_SHORT and len(item["input"]) > 0


def _problem(item: Mapping[str, Any], model: type[BaseModel], source: object, *, show: bool) -> Problem:
    path = [step for step in item["loc"] if step != "[key]"]
    got = shown(item["input"]) if show else "something else (not shown)"
    match item["type"]:
        case "extra_forbidden":
            what, got = f"one of the keys {', '.join(_known_keys(model, path))}", "an unknown key"
        case "missing":
            what, got = "this key", "nothing"
        case "expected":
            what = item["ctx"]["what"]
        case kind:
            what = OUR_WORDS.get(kind) or item["msg"].removeprefix("Input should be ")
    return Problem(where=located(path, source), expected=what, got=got)


def _known_keys(model: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    """Follow `path` through nested tables to the one that holds its last step; positions and free names stay in place."""
    table = model
    for step in path[:-1]:
        fields = {field.alias or name: field for name, field in table.model_fields.items()}
        if step in fields:
            table = next(_tables_in(fields[str(step)].annotation), table)
    return [field.alias or name for name, field in table.model_fields.items()]


def _tables_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _tables_in(part)
