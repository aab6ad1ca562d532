"""Canonical bytes: RFC 8785 (JCS) for the JSON that Countersign hashes, which holds no fractions and no exotic keys.

What is hashed must have one spelling. The subset accepted here (objects with ASCII keys, arrays, strings, booleans, null and
integers that every JSON reader keeps exact) is where RFC 8785 and sorted compact JSON coincide; anything else is refused
rather than spelled in a way that another implementation might not share.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

LARGEST_EXACT_INTEGER = 2**53 - 1


class NotCanonical(ValueError):
    """A value that has no canonical spelling here: a fraction, a non-string or non-ASCII key, a lone surrogate."""


def canonical(value: object) -> bytes:
    """Return the RFC 8785 bytes of `value`.

    Raises:
        NotCanonical: the value lies outside the subset described above.
    """
    _check(value)
    text = json.dumps(_plain(value), ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise NotCanonical("text holds a lone surrogate") from error


def digest(label: str, value: object) -> str:
    """Return sha256 of the label, a line feed and the canonical bytes, in hex; labels keep digests of different things apart."""
    return hashlib.sha256(label.encode("ascii") + b"\n" + canonical(value)).hexdigest()


def commitment(salt: bytes, text: str) -> str:
    """Return `sha256(salt ‖ text)` in hex: binds a text into the log without putting the text there."""
    return hashlib.sha256(salt + text.encode("utf-8")).hexdigest()


def _check(value: object) -> None:
    match value:
        case None | bool() | str():
            return
        case int():
            if abs(value) > LARGEST_EXACT_INTEGER:
                raise NotCanonical(f"integer {value} is beyond what every JSON reader keeps exact")
        case Mapping():
            for key, item in value.items():
                if not isinstance(key, str) or not key.isascii():
                    raise NotCanonical(f"key {key!r} is not an ASCII string")
                _check(item)
        case list() | tuple():
            for item in value:
                _check(item)
        case _:
            raise NotCanonical(f"{type(value).__name__} has no canonical spelling")


def _plain(value: object) -> object:
    """Copy read-only mappings and tuples into what the json module accepts."""
    match value:
        case Mapping():
            return {key: _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            return value
