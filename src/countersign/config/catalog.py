"""Reading the catalog: `catalog.toml` to `Catalog`, with every problem named by key, expectation and finding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from countersign.config.catalog_file import (
    LONGEST_ACCESS_S,
    BreakGlassTable,
    CatalogFile,
    EntitlementTable,
    ParameterTable,
    TargetTable,
)
from countersign.config.issuer_file import IssuerTable
from countersign.config.matching import factors_of, matching, rule_problems
from countersign.config.problems import ConfigError, Problem, located, problems_of, shown
from countersign.config.sealing import sealing_problems
from countersign.config.tomlfile import read_toml
from countersign.domain.entitlement import (
    BreakGlass,
    Caps,
    Catalog,
    Entitlement,
    Parameter,
    ReviewRule,
    SignatureRule,
    Target,
    strictest,
)
from countersign.domain.environment import Environment
from countersign.domain.refusals import Invalid


def load_catalog(path: Path) -> tuple[dict[str, Any], Catalog]:
    """Return what `catalog.toml` says, as it is kept, and the catalog that it means.

    Raises:
        ConfigError: the file cannot be read, or `parse_catalog` refuses it.
    """
    source = read_toml(path)
    return source, parse_catalog(source)


def parse_catalog(source: Mapping[str, Any], *, longest_access_s: int = LONGEST_ACCESS_S) -> Catalog:
    """Return the catalog that a source means; a source comes through JSON unchanged.

    Args:
        source: the tables of the file.
        longest_access_s: the largest `max_duration_s` that any entitlement may name, in seconds.

    Raises:
        ConfigError: with every problem found.
    """
    try:
        file = CatalogFile.model_validate(source)
    except ValidationError as error:
        raise ConfigError(problems_of(error, model=CatalogFile, source=source)) from None
    problems = [
        *duplicates("target", file.target, source),
        *duplicates("entitlement", file.entitlement, source),
        *issuers_at_odds(file.trust.issuer, source),
        *(
            problem
            for position, item in enumerate(file.entitlement)
            for problem in _Check(file, source, position, longest_access_s).problems(item)
        ),
    ]
    problems += duplicates("rule", file.rule, source)
    problems += rule_problems(file.rule, file.entitlement, source)
    problems += sealing_problems({item.id: item for item in file.target}, file.entitlement, source)
    if problems:
        raise ConfigError(problems)
    targets = {item.id: _target(item) for item in file.target}
    entitlements = {
        item.id: _entitlement(item, targets[item.target], matching(item, file.rule)) for item in file.entitlement
    }
    return Catalog(entitlements=entitlements, trust=file.trust.meaning())


class _Identified(Protocol):
    @property
    def id(self) -> str: ...


def duplicates(table: str, items: Sequence[_Identified], source: object) -> Iterator[Problem]:
    """Name every id that a list of tables uses again, with both positions."""
    first: dict[str, int] = {}
    for position, item in enumerate(items):
        earlier = first.setdefault(item.id, position)
        if earlier != position:
            yield Problem(
                where=located([table, position, "id"], source),
                expected=f"an id that no other {table} has",
                got=f"{shown(item.id)}, which is also that of {table}[{earlier}]",
            )


def issuers_at_odds(issuers: Sequence[IssuerTable], source: Mapping[str, Any]) -> Iterator[Problem]:
    """Name issuers that share an id, or an address for the same audience: a token must be of one of them only."""
    trust = source.get("trust")
    for problem in duplicates("issuer", issuers, trust):
        yield replace(problem, where=f"trust.{problem.where}")
    first: dict[tuple[str, str], str] = {}
    for position, item in enumerate(issuers):
        earlier = first.setdefault((item.url, item.audience), item.id)
        if earlier != item.id:
            yield Problem(
                where=f"trust.{located(['issuer', position, 'audience'], trust)}",
                expected="no two issuers of one url and audience",
                got=f"those of {shown(earlier)}",
            )


class _Check:
    """What one entitlement's keys demand of each other and of the targets."""

    def __init__(self, file: CatalogFile, source: object, position: int, longest_access_s: int) -> None:
        self._targets = {item.id: item for item in file.target}
        self._witnesses = len(file.trust.witness)
        self._rules = file.rule
        self._source = source
        self._position = position
        self._longest = longest_access_s

    def _problem(self, *path: str | int, expected: str, got: str) -> Problem:
        return Problem(where=located(["entitlement", self._position, *path], self._source), expected=expected, got=got)

    def problems(self, item: EntitlementTable) -> Iterator[Problem]:
        yield from self._target(item)
        yield from self._durations(item)
        yield from self._repeated("review", [factor.group for factor in item.review], "group")
        yield from self._repeated("requesters", item.requesters or ())
        for name, parameter in item.parameters.items():
            yield from self._parameter(name, parameter)
        if item.break_glass is not None:
            yield from self._break_glass(item, item.break_glass)
        if item.cosigned and not self._witnesses:
            yield self._problem("cosigned", expected="false while there is no [[trust.witness]]", got="true")
        if item.automatic:
            yield from self._automatic(item)

    def _automatic(self, item: EntitlementTable) -> Iterator[Problem]:
        """Name what an approval in advance would get round."""
        ruled = ", ".join(rule.id for rule in matching(item, self._rules))
        refused = {
            "in production: there every access is approved by people who looked at it": (
                item.environment is Environment.PRODUCTION
            ),
            'with signature = "required": nobody signs what is approved in advance': (
                item.signature is SignatureRule.REQUIRED
            ),
            "with break_glass: an emergency hurries approvals that this does not wait for": (
                item.break_glass is not None
            ),
            f"under a [[rule]] that asks for reviews ({ruled})": bool(ruled),
        }
        for why, holds in refused.items():
            if holds:
                yield self._problem("automatic", expected=f"false {why}", got="true")

    def _break_glass(self, item: EntitlementTable, table: BreakGlassTable) -> Iterator[Problem]:
        if not item.min_duration_s <= table.max_duration_s <= item.max_duration_s:
            yield self._problem(
                "break_glass",
                "max_duration_s",
                expected=f"at least {shown(item.min_duration_s)} and at most {shown(item.max_duration_s)},"
                " as the entitlement says",
                got=shown(table.max_duration_s),
            )
        yield from self._repeated("break_glass", [factor.group for factor in table.review], "group", within="review")

    def _target(self, item: EntitlementTable) -> Iterator[Problem]:
        target = self._targets.get(item.target)
        if target is None:
            known = ", ".join(self._targets) or "none is given"
            yield self._problem("target", expected=f"the id of a [[target]] ({known[:200]})", got=shown(item.target))
        elif target.provider != item.provider:
            yield self._problem(
                "provider",
                expected=f"{shown(target.provider)}, the provider of its target {target.id}",
                got=shown(item.provider),
            )

    def _durations(self, item: EntitlementTable) -> Iterator[Problem]:
        if item.max_duration_s > self._longest:
            yield self._problem(
                "max_duration_s", expected=f"at most {self._longest} seconds", got=shown(item.max_duration_s)
            )
        if item.min_duration_s > item.max_duration_s:
            yield self._problem(
                "min_duration_s",
                expected=f"at most max_duration_s, which is {shown(item.max_duration_s)}",
                got=shown(item.min_duration_s),
            )
        if item.idle_s is not None and item.idle_s >= item.max_duration_s:
            yield self._problem(
                "idle_s",
                expected=f"less than max_duration_s, which is {shown(item.max_duration_s)}, or it ends nothing early",
                got=shown(item.idle_s),
            )
        if item.caps.seconds_per_person_day < item.min_duration_s:
            yield self._problem(
                "caps",
                "seconds_per_person_day",
                expected=f"at least min_duration_s, which is {shown(item.min_duration_s)}, or nobody could ever ask",
                got=shown(item.caps.seconds_per_person_day),
            )

    def _repeated(self, key: str, names: Sequence[str], *inner: str, within: str | None = None) -> Iterator[Problem]:
        path = (key,) if within is None else (key, within)
        for position, name in enumerate(names):
            if name in names[:position]:
                yield self._problem(
                    *path,
                    position,
                    *inner,
                    expected="each group once",
                    got=f"{shown(name)}, which is also that of {path[-1]}[{names.index(name)}]",
                )

    def _parameter(self, name: str, table: ParameterTable) -> Iterator[Problem]:
        place = ("parameters", name)
        if (table.values is None) == (table.pattern is None):
            got = "neither" if table.values is None else "both"
            yield self._problem(*place, expected="either values or pattern", got=got)
            return
        if table.ordered and table.values is None:
            yield self._problem(*place, "ordered", expected="values, from the least to the most", got="a pattern")
        for value, times in Counter(table.values or ()).items():
            if times > 1:
                yield self._problem(*place, "values", expected="each value once", got=f"{shown(value)} {times} times")
        if table.default is not None:
            try:
                _parameter(name, table).judge(table.default)
            except Invalid:
                allowed = f"matching {table.pattern}" if table.values is None else "among values"
                yield self._problem(*place, "default", expected=f"a default {allowed}", got=shown(table.default))


def _target(table: TargetTable) -> Target:
    return Target(id=table.id, provider=table.provider, kind=table.kind, settings=table.settings)


def _parameter(name: str, table: ParameterTable) -> Parameter:
    return Parameter(
        name=name, values=table.values or (), pattern=table.pattern, default=table.default, ordered=table.ordered
    )


def _break_glass(table: BreakGlassTable, *, owner: str) -> BreakGlass:
    return BreakGlass(
        review=factors_of(table.review),
        max_duration=timedelta(seconds=table.max_duration_s),
        after_review=timedelta(seconds=table.after_review_s),
        reviewers=table.reviewers or owner,
        per_incident=table.per_incident,
    )


def _entitlement(table: EntitlementTable, target: Target, rules: tuple[ReviewRule, ...]) -> Entitlement:
    return Entitlement(
        id=table.id,
        owner=table.owner,
        environment=table.environment,
        provider=table.provider,
        target=target,
        parameters={name: _parameter(name, parameter) for name, parameter in table.parameters.items()},
        grants=table.grants,
        min_duration=timedelta(seconds=table.min_duration_s),
        max_duration=timedelta(seconds=table.max_duration_s),
        review_ttl=timedelta(seconds=table.review_ttl_s),
        draw_ttl=timedelta(seconds=table.draw_ttl_s),
        draws=table.draws,
        backstop=timedelta(seconds=table.backstop_s),
        delivery=table.delivery,
        review=strictest(factors_of(table.review), *(rule.review for rule in rules)),
        rules=(ReviewRule(id=table.id, review=factors_of(table.review)), *rules) if rules else (),
        requesters=table.requesters,
        caps=Caps(**table.caps.model_dump()),
        description=table.description,
        idle=None if table.idle_s is None else timedelta(seconds=table.idle_s),
        break_glass=None if table.break_glass is None else _break_glass(table.break_glass, owner=table.owner),
        cosigned=table.cosigned,
        signature=table.signature,
        second_factor=table.second_factor,
        automatic=table.automatic,
    )
