"""Reading bodies: bounded in size, depth and time, and JSON in the strict sense, before anything is made of it."""

from __future__ import annotations

import json
import math
from typing import Any, Never

import anyio
from fastapi import Request

from countersign.api.problems import TooSlow, UnsupportedMediaType, shown
from countersign.domain.refusals import Invalid, TooLarge

LARGEST_BODY = 64 * 1024
LARGEST_LEFTOVER = 4 * 1024 * 1024
"""What is still taken in, and thrown away, of a body that is too large, so that its sender comes to read why."""
READ_WITHIN_S = 10.0
DEEPEST = 20


class _NotStrict(ValueError):
    """JSON that our reading refuses; the message echoes no value."""

    def __init__(self, detail: str, *, field: str = "body") -> None:
        super().__init__(detail)
        self.field = field


async def read_body(request: Request) -> bytes:
    """Return the whole body.

    Raises:
        TooLarge: longer than `LARGEST_BODY`, by its own word or in fact.
        TooSlow: it did not arrive in time.
    """
    body = bytearray()
    length = 0
    too_large = TooLarge(f"a body has at most {LARGEST_BODY} bytes", field="body")
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared[:20]) > LARGEST_BODY + LARGEST_LEFTOVER:
        raise too_large
    try:
        with anyio.fail_after(READ_WITHIN_S):
            async for chunk in request.stream():
                length += len(chunk)
                if length > LARGEST_BODY + LARGEST_LEFTOVER:
                    raise too_large
                if length <= LARGEST_BODY:
                    body += chunk
    except TimeoutError:
        raise TooSlow(f"a body must arrive within {READ_WITHIN_S:.0f} seconds") from None
    if length > LARGEST_BODY:
        raise too_large
    return bytes(body)


def demand_json(request: Request) -> None:
    """Refuse a body that is not said to be plain, uncompressed JSON in UTF-8.

    Raises:
        UnsupportedMediaType: naming what is expected.
    """
    said = request.headers.getlist("content-type")
    kind, *parameters = said[0].lower().split(";") if len(said) == 1 else [""]
    plain = kind.strip() == "application/json" and all(
        "".join(parameter.split()) in {"", "charset=utf-8", 'charset="utf-8"'} for parameter in parameters
    )
    if not plain or request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("a body is sent as Content-Type: application/json, uncompressed", field="body")


def parse(raw: bytes) -> Any:  # noqa: ANN401 - JSON, to be judged by a model
    """Return what a body says.

    Raises:
        Invalid: not UTF-8, not JSON, a repeated key, a number without a value, too deep, or text that cannot be kept.
    """
    try:
        value = _DECODER.decode(raw.decode("utf-8"))
        _demand_fit(value)
    except UnicodeDecodeError:
        raise Invalid("the body is not UTF-8", field="body") from None
    except json.JSONDecodeError as error:
        raise Invalid(f"the body is not JSON from character {error.pos}", field="body") from None
    except RecursionError:
        raise Invalid(f"the body is nested deeper than {DEEPEST}", field="body") from None
    except _NotStrict as error:
        raise Invalid(str(error), field=error.field) from None
    except ValueError:
        raise Invalid("the body holds a number that is too long", field="body") from None
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [name for name, _ in pairs]
        twice = shown(next(name for name in names if names.count(name) > 1), longest=40)
        raise _NotStrict(f"the key {twice} stands twice", field=twice)
    return value


def _fraction(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _NotStrict("the body holds a number beyond all bounds")
    return value


def _constant(text: str) -> Never:
    raise _NotStrict(f"{text} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_fraction, parse_constant=_constant)


def _demand_fit(value: object) -> None:
    """Refuse what is nested too deep, and text with a NUL or a lone surrogate, wherever it stands."""
    level: list[object] = [value]
    depth = 0
    while level:
        depth += 1
        below: list[object] = []
        for item in level:
            match item:
                case dict() | list() if depth > DEEPEST:
                    raise _NotStrict(f"the body is nested deeper than {DEEPEST}")
                case dict():
                    below += [*item.keys(), *item.values()]
                case list():
                    below += item
                case str() if any(char == "\0" or "\ud800" <= char <= "\udfff" for char in item):
                    raise _NotStrict("the body holds a NUL or half a character")
        level = below
