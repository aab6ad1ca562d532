"""Canonical bytes: RFC 8785 (JCS) for the JSON that Countersign hashes, which holds no fractions and no exotic keys.

What is hashed must have one spelling. The subset accepted here (objects with ASCII keys, arrays, strings, booleans, null and
integers that every JSON reader keeps exact) is where RFC 8785 and sorted compact JSON coincide; anything else is refused
rather than spelled in a way that another implementation might not share.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping

LARGEST_EXACT_INTEGER = 2**53 - 1


class NotCanonical(ValueError):
    """A value that has no canonical spelling here: a fraction, a non-string or non-ASCII key, a lone surrogate."""


def canonical(value: object) -> bytes:
    """Return the RFC 8785 bytes of `value`.

    Raises:
        NotCanonical: the value lies outside the subset described above.
    """
    text = _ENCODER.encode(_plain(value))
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


_AS_THEY_ARE = frozenset({str, bool, type(None)})


def _plain(value: object) -> object:
    """Copy read-only mappings and tuples into what the json module accepts, and refuse what lies outside the subset."""
    if type(value) in _AS_THEY_ARE or isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        if not _are_ascii(value):
            raise NotCanonical(f"a key of {list(value)!r} is not an ASCII string")
        # The commonest types are not asked twice: every entry of the log passes here.
        return {key: item if type(item) in _AS_THEY_ARE else _plain(item) for key, item in value.items()}
    if isinstance(value, int):
        if abs(value) > LARGEST_EXACT_INTEGER:
            raise NotCanonical(f"integer {value} is beyond what every JSON reader keeps exact")
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    raise NotCanonical(f"{type(value).__name__} has no canonical spelling")


def _are_ascii(keys: Iterable[object]) -> bool:
    try:
        return "".join(keys).isascii()  # type: ignore[arg-type] # what is no string is what is looked for
    except TypeError:
        return False


_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
