"""The seal between production and everything else, in the catalog: no target, provider role or mount serves both sides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from countersign.config.problems import Problem, located, shown
from countersign.domain.environment import Environment

IDENTIFYING: tuple[tuple[str, ...], ...] = (("role_arn",), ("mount",), ("host", "port", "dbname"))
"""Settings that, where two targets of one provider agree in all of a row, make them one place or one provider role."""


class _Target(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def provider(self) -> str: ...
    @property
    def settings(self) -> Mapping[str, Any]: ...


class _Entitlement(Protocol):
    @property
    def target(self) -> str: ...
    @property
    def environment(self) -> Environment: ...


def sealing_problems(
    targets: Mapping[str, _Target], entitlements: Sequence[_Entitlement], source: object
) -> Iterator[Problem]:
    """Name each entitlement whose target, or what that target is at its provider, serves the other side of the seal too."""
    sides: dict[tuple[object, ...], tuple[bool, int]] = {}
    for position, item in enumerate(entitlements):
        target = targets.get(item.target)
        if target is None:
            continue  # told of already
        production = item.environment is Environment.PRODUCTION
        for place in _places(target):
            side, first = sides.setdefault(place, (production, position))
            if side is not production:
                yield Problem(
                    where=located(["entitlement", position, "target"], source),
                    expected="a target, provider role and mount of its own environment (production is sealed from the rest)",
                    got=f"{shown(item.target)}, which shares its {_named(place)} with entitlement[{first}]",
                )
                break


def _places(target: _Target) -> Iterator[tuple[object, ...]]:
    yield ("target", target.id)
    for keys in IDENTIFYING:
        values = tuple(str(target.settings[key]) for key in keys if key in target.settings)
        if len(values) == len(keys):
            yield (" and ".join(keys), target.provider, *values)


def _named(place: tuple[object, ...]) -> str:
    return str(place[0])
