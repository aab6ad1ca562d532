"""Parameters on the command line: NAME=VALUE, each name once."""

from __future__ import annotations

from collections.abc import Iterable

from countersign.cli.failures import usage


def parameters_of(params: Iterable[str], *, field: str = "--param") -> dict[str, str]:
    """Return what NAME=VALUE options say."""
    given: dict[str, str] = {}
    for item in params:
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise usage("a parameter is given as NAME=VALUE", field=field)
        if name in given:
            raise usage(f"the parameter {name} is given twice", field=field)
        given[name] = value
    return given
