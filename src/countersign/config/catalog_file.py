"""The shape of `catalog.toml`: which keys there are, of which types and within which bounds.

What one key demands of another is judged in `catalog`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from countersign.config.matching import FactorTable, RuleTable
from countersign.config.table import (
    LONGEST_WAIT_S,
    Bound,
    Line,
    Name,
    Pattern,
    PlainTable,
    SchemaVersion,
    Table,
    Value,
    Wait,
)
from countersign.config.trust_file import TrustTable
from countersign.domain.entitlement import Delivery, SignatureRule
from countersign.domain.environment import Environment

LONGEST_ACCESS_S = 12 * 3600
MOST_DRAWS = 100


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
    ordered: bool = False


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
    idle_s: Annotated[int, Field(ge=60)] | None = None
    break_glass: BreakGlassTable | None = None
    cosigned: bool = False
    signature: Annotated[SignatureRule, Field(strict=False)] = SignatureRule.OPTIONAL
    second_factor: Annotated[tuple[Value, ...], Field(strict=False)] = ()
    automatic: bool = False


class CatalogFile(Table):
    """The whole file."""

    schema_version: SchemaVersion = Field(alias="schema")
    trust: TrustTable = TrustTable()
    target: Annotated[tuple[TargetTable, ...], Field(strict=False)] = ()
    rule: Annotated[tuple[RuleTable, ...], Field(strict=False)] = ()
    entitlement: Annotated[tuple[EntitlementTable, ...], Field(strict=False)] = ()
