"""The shape of `catalog.toml`: which keys there are, of which types and within which bounds.

What one key demands of another is judged in `catalog`.
"""

from __future__ import annotations

import copy
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from countersign.config.patterns import fault_of
from countersign.config.problems import expected, shown
from countersign.domain.canonical import LARGEST_EXACT_INTEGER
from countersign.domain.entitlement import LONGEST_PARAMETER, Delivery, Environment
from countersign.domain.ids import is_name

SCHEMA = 1
LONGEST_ACCESS_S = 12 * 3600
LONGEST_WAIT_S = 7 * 24 * 3600
MOST_DRAWS = 100
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


class TargetTable(Table):
    """`[[target]]`."""

    id: Name
    provider: Name
    kind: Name
    settings: PlainTable = Field(default_factory=dict)


class ParameterTable(Table):
    """`[entitlement.parameters.<name>]`."""

    values: Annotated[tuple[Value, ...], Field(strict=False, min_length=1)] | None = None
    pattern: Pattern | None = None
    default: Value | None = None


class FactorTable(Table):
    """An item of `review`."""

    group: Name
    count: Annotated[int, Field(ge=1, le=20)]


class CapsTable(Table):
    """`[entitlement.caps]`."""

    pending_per_person: Bound = 5
    open_per_person: Bound = 3
    open_per_target: Bound = 50
    seconds_per_person_day: Annotated[int, Field(ge=1, le=LONGEST_WAIT_S)] = 8 * 3600


class BreakGlassTable(Table):
    """`[entitlement.break_glass]`; `reviewers` is the owner where it is not given."""

    review: Annotated[tuple[FactorTable, ...], Field(strict=False, min_length=1)]
    max_duration_s: Annotated[int, Field(ge=1)]
    after_review_s: Wait = 24 * 3600
    reviewers: Name | None = None
    per_incident: Annotated[int, Field(ge=1, le=20)] = 3


class EntitlementTable(Table):
    """`[[entitlement]]`."""

    id: Name
    owner: Name
    environment: Annotated[Environment, Field(strict=False)]
    provider: Name
    target: Name
    parameters: dict[Name, ParameterTable] = Field(default_factory=dict)
    grants: PlainTable
    min_duration_s: Annotated[int, Field(ge=1)]
    max_duration_s: Annotated[int, Field(ge=1)]
    review_ttl_s: Wait = 24 * 3600
    draw_ttl_s: Wait = 3600
    draws: Annotated[int, Field(ge=1, le=MOST_DRAWS)] = 1
    backstop_s: Annotated[int, Field(ge=1, le=3600)] = 30
    delivery: Annotated[Delivery, Field(strict=False)] = Delivery.DIRECT
    review: Annotated[tuple[FactorTable, ...], Field(strict=False, min_length=1)]
    requesters: Annotated[tuple[Name, ...], Field(strict=False, min_length=1)] | None = None
    caps: CapsTable = CapsTable()
    description: Line = ""
    break_glass: BreakGlassTable | None = None


class CatalogFile(Table):
    """The whole file."""

    schema_version: SchemaVersion = Field(alias="schema")
    target: Annotated[tuple[TargetTable, ...], Field(strict=False)] = ()
    entitlement: Annotated[tuple[EntitlementTable, ...], Field(strict=False)] = ()
