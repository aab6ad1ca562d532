"""What stands in the log: a leaf, spelled in exactly one way, and the entry that is a leaf at its place.

A replay reads a million of them, so the usual leaf is read by msgspec and its spelling made anew to be compared. What that does
not take is left to the standard library, slowly: it alone refuses, and says why.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal, Never, TypedDict

import msgspec

from countersign.domain.canonical import LARGEST_EXACT_INTEGER, NotCanonical, canonical
from countersign.domain.timestamps import EXAMPLE, NotATime, read, spell, trim

VERSION = 1
LARGEST_LEAF = 65_535
"""Bytes: an entry bundle (C2SP tlog-tiles) spells lengths in sixteen bits."""

KEYS = frozenset({"v", "type", "at", "actor", "subject", "data"})

Fact = Mapping[str, Any]
"""A leaf as JSON: `type`, `at`, `actor`, `subject`, `data`. Times stay texts; their one spelling sorts as they do."""


class NotALeaf(ValueError):
    """A value that cannot be written as a leaf, or bytes that are not exactly what `Leaf.encode` writes."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the log as it was stored.

    Attributes:
        index: zero-based place.
        leaf: the bytes that were hashed.
        leaf_hash: the hash stored beside them, or None where none is kept.
    """

    index: int
    leaf: bytes
    leaf_hash: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """A fact as it is hashed.

    Attributes:
        type: what happened, as a tag that never changes its meaning.
        at: when, cut to milliseconds.
        actor: who did it.
        subject: what it happened to.
        data: everything else; free text only as a commitment.
    """

    type: str
    at: datetime
    actor: str
    subject: str
    data: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("type", "actor", "subject"):
            if not isinstance(getattr(self, name), str) or not getattr(self, name):
                raise NotALeaf(f"{name} is a text that is not empty")
        if not isinstance(self.at, datetime) or self.at.tzinfo is None:
            raise NotALeaf("at is a time with a zone")
        if not isinstance(self.data, Mapping):
            raise NotALeaf("data is an object")
        object.__setattr__(self, "at", trim(self.at))

    def encode(self) -> bytes:
        """Return the RFC 8785 bytes that are hashed and stored.

        Raises:
            NotALeaf: the data has no canonical spelling, or the whole is longer than `LARGEST_LEAF`.
        """
        value = {
            "v": VERSION,
            "type": self.type,
            "at": spell(self.at),
            "actor": self.actor,
            "subject": self.subject,
            "data": self.data,
        }
        try:
            raw = canonical(value)
        except (NotCanonical, RecursionError) as error:
            raise NotALeaf(str(error)) from error
        if len(raw) > LARGEST_LEAF:
            raise NotALeaf(f"{len(raw)} bytes are more than the {LARGEST_LEAF} that an entry may have")
        return raw

    @classmethod
    def decode(cls, raw: bytes) -> Leaf:
        """Return the leaf that these bytes spell.

        Raises:
            NotALeaf: as `read_fact`.
        """
        said = read_fact(raw)
        return cls(
            type=said["type"], at=read(said["at"]), actor=said["actor"], subject=said["subject"], data=said["data"]
        )


def read_fact(raw: bytes) -> Fact:
    """Return what a leaf's bytes say, if they are exactly what `Leaf.encode` writes.

    Raises:
        NotALeaf: they are not UTF-8 JSON, repeat a key, have other keys or types, or `encode` would differ.
    """
    try:
        fact = _USUAL.decode(raw)
        # Equal bytes are the proof of one spelling: no key twice or too many, none out of its order, no other way to write it.
        if _SPELLED(fact) == raw and raw.isascii() and len(raw) <= LARGEST_LEAF:
            read(fact["at"])
            return fact
    except (ValueError, RecursionError):
        pass  # the slow way says why, or takes it after all
    return _read_any(raw)


def ending_of(type_: str) -> bytes:
    """Return how every leaf of a type ends: its keys are sorted, and `type` and `v` are the last of them."""
    return f'"type":"{type_}","v":{VERSION}}}'.encode("ascii")


def fact_of(raw: bytes) -> Fact:
    """Return what a leaf's bytes say, whatever their spelling: for bytes whose hash was verified, or that we wrote ourselves.

    Raises:
        NotALeaf: they are no JSON object.
    """
    try:
        fact = _ANY_JSON(raw)
    except (ValueError, RecursionError) as error:
        raise NotALeaf("the bytes are no JSON") from error
    if not isinstance(fact, dict):
        raise NotALeaf("the bytes are JSON, and no object")
    return fact


def spelled(value: object) -> bytes:
    """Return the canonical bytes of what was read from a leaf; nothing is refused, for what has none was refused there."""
    return _SPELLED(value)


_Integer = Annotated[int, msgspec.Meta(ge=-LARGEST_EXACT_INTEGER, le=LARGEST_EXACT_INTEGER)]
_Value: Any = str | _Integer | bool | None
for _ in range(
    5
):  # twice the work at a start for each step; deeper leaves, such as those of rules, are read the slow way
    _Value = str | _Integer | bool | list[_Value] | dict[str, _Value] | None
_Name = Annotated[str, msgspec.Meta(min_length=1)]


class _Usual(TypedDict):
    v: Literal[1]
    type: _Name
    at: str
    actor: _Name
    subject: _Name
    data: dict[str, _Value]


_USUAL = msgspec.json.Decoder(_Usual)
_SPELLED = msgspec.json.Encoder(order="deterministic").encode
_ANY_JSON = msgspec.json.Decoder().decode


def _read_any(raw: bytes) -> Fact:
    try:
        value = _DECODER.decode(raw.decode("utf-8"))
        spelled = _ENCODER.encode(value).encode("utf-8")
    except NotALeaf:
        raise
    except (ValueError, RecursionError) as error:
        raise NotALeaf(f"not JSON of the accepted kind: {error}") from error
    if spelled != raw:
        raise NotALeaf("the bytes are not the canonical spelling of what they say")
    if not isinstance(value, dict) or value.keys() != KEYS or len(raw) > LARGEST_LEAF:
        raise NotALeaf(f"a leaf is an object of {', '.join(sorted(KEYS))}, at most {LARGEST_LEAF} bytes long")
    version, at = value["v"], value["at"]
    if version is True or version != VERSION or not isinstance(at, str):
        raise NotALeaf(f"v is {VERSION} and at is a time such as {EXAMPLE}")
    try:
        Leaf(**{name: value[name] for name in ("type", "actor", "subject", "data")}, at=read(at))
    except NotATime as error:
        raise NotALeaf(str(error)) from error
    return value


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs) or not all(map(str.isascii, value)):
        raise NotALeaf("a key stands twice or is not ASCII")
    return value


def _integer(text: str) -> int:
    number = int(text)
    if abs(number) > LARGEST_EXACT_INTEGER:
        raise NotALeaf(f"integer {number} is beyond what every JSON reader keeps exact")
    return number


def _refuse(text: str) -> Never:
    raise NotALeaf(f"{text} is no integer")


# Together they accept what `canonical` writes and nothing else, several times faster than reading and calling it would be;
# a test holds the two against each other.
_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_float=_refuse, parse_constant=_refuse)
_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
