"""What every table of a configuration file shares: exact types, no other keys, and the kinds of value that occur in several."""

from __future__ import annotations

import copy
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from countersign.config.patterns import fault_of
from countersign.config.problems import expected, shown
from countersign.domain.canonical import LARGEST_EXACT_INTEGER
from countersign.domain.entitlement import LONGEST_PARAMETER
from countersign.domain.ids import is_name

SCHEMA = 1
LONGEST_WAIT_S = 7 * 24 * 3600
DEEPEST_TABLE = 8
NAME = "a name: a-z or 0-9 first, then up to 62 of a-z 0-9 _ . -"


def _is_a_name(text: str) -> str:
    if not is_name(text):
        raise expected(NAME)
    return text


def _is_plain(table: dict[str, Any]) -> dict[str, Any]:
    _demand_plain(table, "", DEEPEST_TABLE)
    return copy.deepcopy(table)


def _demand_plain(value: object, where: str, depth: int) -> None:
    """Refuse what has no canonical spelling, at any depth, and say where in the table it stands."""
    if depth == 0:
        raise expected(f"tables and lists no deeper than {DEEPEST_TABLE}")
    match value:
        case dict():
            for key, item in value.items():
                if not (isinstance(key, str) and key and key.isascii() and key.isprintable()):
                    raise expected(f"printable ASCII keys (not so in {where or 'this table'})")
                _demand_plain(item, f"{where}.{key}".lstrip("."), depth - 1)
        case list():
            for position, item in enumerate(value):
                _demand_plain(item, f"{where}[{position}]", depth - 1)
        case str() | int() if _is_plain_scalar(value):
            return
        case _:
            raise expected(
                f"strings, integers up to 2^53 - 1, booleans, lists and tables only ({where} is {shown(value)})"
            )


def _is_plain_scalar(value: str | int) -> bool:
    if isinstance(value, str):
        return not any("\ud800" <= character <= "\udfff" for character in value)
    return abs(value) <= LARGEST_EXACT_INTEGER


def _is_a_pattern(text: str) -> str:
    fault = fault_of(text)
    if fault is not None:
        raise expected(fault)
    return text


def _is_printable(text: str) -> str:
    if not text.isprintable():
        raise expected("printable characters on one line")
    return text


def _is_known(version: int) -> int:
    if version != SCHEMA:
        raise expected(f"{SCHEMA}, the only version of this file's shape")
    return version


SchemaVersion = Annotated[int, AfterValidator(_is_known)]
Name = Annotated[str, AfterValidator(_is_a_name)]
PlainTable = Annotated[dict[str, Any], AfterValidator(_is_plain)]
Pattern = Annotated[str, AfterValidator(_is_a_pattern)]
Value = Annotated[str, Field(min_length=1, max_length=LONGEST_PARAMETER), AfterValidator(_is_printable)]
Line = Annotated[str, Field(max_length=500), AfterValidator(_is_printable)]
Wait = Annotated[int, Field(ge=1, le=LONGEST_WAIT_S)]
Bound = Annotated[int, Field(ge=1, le=1_000_000)]


class Table(BaseModel):
    """A table of a configuration file: exact types, no other keys, never changed after it was read."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
