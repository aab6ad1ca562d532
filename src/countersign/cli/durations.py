"""Durations as people type them (`45m`, `1h30m`, `90s`, `PT45M`) and as they read them."""

from __future__ import annotations

import re

import click

_TYPED = re.compile(r"(?:(?P<d>[0-9]+)d)?(?:(?P<h>[0-9]+)h)?(?:(?P<m>[0-9]+)m)?(?:(?P<s>[0-9]+)s)?")
_ISO = re.compile(r"P(?:(?P<d>[0-9]+)D)?(?:T(?:(?P<h>[0-9]+)H)?(?:(?P<m>[0-9]+)M)?(?:(?P<s>[0-9]+)S)?)?")
_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_LONGEST_TEXT = 32


class NotADuration(ValueError):
    """A text that is no duration, or one of no time at all."""


def read_duration(text: str) -> int:
    """Return the seconds that a text means.

    Raises:
        NotADuration: it has another form, or comes to zero.
    """
    found = _TYPED.fullmatch(text) or _ISO.fullmatch(text.upper())
    if not text.isascii() or len(text) > _LONGEST_TEXT or found is None:
        raise NotADuration("expected a duration such as 45m, 1h30m, 90s or PT45M")
    seconds = sum(int(count) * _SECONDS[unit] for unit, count in found.groupdict().items() if count)
    if seconds == 0:
        raise NotADuration("expected a duration longer than nothing, such as 45m")
    return seconds


def spell_duration(seconds: int) -> str:
    """Return seconds as a person would type them, such as `1h30m`."""
    parts, left = [], seconds
    for unit, size in _SECONDS.items():
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


class Duration(click.ParamType[int]):
    """An option's value that is a duration; it arrives as whole seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the text; click repeats the call with what it returned."""
        if isinstance(value, int):
            return value
        try:
            return read_duration(str(value))
        except NotADuration as error:
            self.fail(str(error), param, ctx)
