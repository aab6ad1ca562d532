"""Review rules of a catalog that hold for many entitlements: which match one, and what the strictest of them all is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Protocol

from pydantic import Field

from countersign.config.problems import Problem, located
from countersign.config.table import Name, Table
from countersign.domain.entitlement import Factor, ReviewRule
from countersign.domain.environment import Environment


class FactorTable(Table):
    """An item of `review`."""

    group: Name
    count: Annotated[int, Field(ge=1, le=20)]


class RuleTable(Table):
    """`[[rule]]`: what it names must all be so of an entitlement, and what it does not name may be anything."""

    id: Name
    environment: Annotated[Environment, Field(strict=False)] | None = None
    owner: Name | None = None
    provider: Name | None = None
    target: Name | None = None
    review: Annotated[tuple[FactorTable, ...], Field(strict=False, min_length=1)]


class _Matched(Protocol):
    """What of an entitlement's table rules are matched against."""

    @property
    def environment(self) -> Environment: ...
    @property
    def owner(self) -> str: ...
    @property
    def provider(self) -> str: ...
    @property
    def target(self) -> str: ...


def factors_of(tables: Sequence[FactorTable]) -> tuple[Factor, ...]:
    """Return a rule's factors."""
    return tuple(Factor(group=each.group, count=each.count) for each in tables)


def matching(item: _Matched, rules: Sequence[RuleTable]) -> tuple[ReviewRule, ...]:
    """Return the rules that hold for an entitlement beside its own."""
    return tuple(ReviewRule(id=rule.id, review=factors_of(rule.review)) for rule in rules if _matches(rule, item))


def rule_problems(
    rules: Sequence[RuleTable], items: Sequence[_Matched], source: Mapping[str, object]
) -> Iterator[Problem]:
    """Name rules that hold for nothing, which is a slip, and groups that stand twice in one."""
    for position, rule in enumerate(rules):
        if not any(_matches(rule, item) for item in items):
            yield Problem(
                where=located(["rule", position], source),
                expected="a rule that holds for some entitlement",
                got="one that matches none",
            )
        groups = [factor.group for factor in rule.review]
        for place, group in enumerate(groups):
            if group in groups[:place]:
                yield Problem(
                    where=located(["rule", position, "review", place, "group"], source),
                    expected="each group once",
                    got=f"{group} again",
                )


def _matches(rule: RuleTable, item: _Matched) -> bool:
    named: tuple[tuple[str | None, str], ...] = (
        (rule.environment, item.environment),
        (rule.owner, item.owner),
        (rule.provider, item.provider),
        (rule.target, item.target),
    )
    return all(wanted is None or wanted == found for wanted, found in named)
