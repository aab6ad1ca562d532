"""What stands in the log: a leaf, spelled in exactly one way, and the entry that is a leaf at its place."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Never

from countersign.domain.canonical import LARGEST_EXACT_INTEGER, NotCanonical, canonical
from countersign.domain.timestamps import EXAMPLE, NotATime, read, spell, trim

VERSION = 1
LARGEST_LEAF = 65_535
"""Bytes: an entry bundle (C2SP tlog-tiles) spells lengths in sixteen bits."""

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")
_KEYS = {"v", "type", "at", "actor", "subject", "data"}


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
            NotALeaf: they are not UTF-8 JSON, repeat a key, have other keys or types, or `encode` would differ.
        """
        try:
            value = _DECODER.decode(raw.decode("utf-8"))
            spelled = _ENCODER.encode(value).encode("utf-8")
        except NotALeaf:
            raise
        except (ValueError, RecursionError) as error:
            raise NotALeaf(f"not JSON of the accepted kind: {error}") from error
        if spelled != raw:
            raise NotALeaf("the bytes are not the canonical spelling of what they say")
        if not isinstance(value, dict) or value.keys() != _KEYS or len(raw) > LARGEST_LEAF:
            raise NotALeaf(f"a leaf is an object of {', '.join(sorted(_KEYS))}, at most {LARGEST_LEAF} bytes long")
        version = value.pop("v")
        if (
            version is True
            or version != VERSION
            or not isinstance(value["at"], str)
            or not _TIME.fullmatch(value["at"])
        ):
            raise NotALeaf(f"v is {VERSION} and at is a time such as {EXAMPLE}")
        try:
            return cls(**value | {"at": read(value["at"])})
        except NotATime as error:
            raise NotALeaf(str(error)) from error


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
