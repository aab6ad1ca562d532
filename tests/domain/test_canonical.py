"""Canonical bytes against an independent RFC 8785 implementation, and digests that must never change."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from types import MappingProxyType

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from countersign.domain.canonical import LARGEST_EXACT_INTEGER, NotCanonical, canonical, commitment, digest


class Colour(StrEnum):
    RED = "red"


class Number(IntEnum):
    TWO = 2


keys = st.text(alphabet=st.characters(max_codepoint=127), max_size=8)
scalars = st.none() | st.booleans() | st.integers(-LARGEST_EXACT_INTEGER, LARGEST_EXACT_INTEGER) | st.text(max_size=20)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(keys, inner, max_size=5))


@given(values)
def test_what_is_accepted_is_spelled_as_rfc_8785_says(value: object) -> None:
    assert canonical(value) == rfc8785.dumps(value)  # type: ignore[arg-type]  # a recursive type mypy cannot match


@given(st.dictionaries(keys, scalars, max_size=8))
def test_the_order_of_keys_makes_no_difference(table: dict[str, object]) -> None:
    assert canonical(table) == canonical(dict(reversed(table.items())))


def test_the_bytes_are_these() -> None:
    value = {"b": [1, -2, True, False, None], "a": 'ü"\\\n\x1f\x7f€😀', "A": {}, "aa": [], "": "\u2028"}
    assert canonical(value) == (
        '{"":"\u2028","A":{},"a":"ü\\"\\\\\\n\\u001f\x7f€😀","aa":[],"b":[1,-2,true,false,null]}'.encode()
    )


def test_read_only_tables_tuples_and_enumerations_are_spelled_as_what_they_hold() -> None:
    assert canonical(MappingProxyType({"a": (Colour.RED, Number.TWO, MappingProxyType({}))})) == b'{"a":["red",2,{}]}'


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        0.0,
        math.nan,
        math.inf,
        LARGEST_EXACT_INTEGER + 1,
        -LARGEST_EXACT_INTEGER - 1,
        b"bytes",
        bytearray(b"x"),
        memoryview(b"x"),
        range(2),
        {1, 2},
        frozenset(),
        object(),
        datetime(2026, 1, 1, tzinfo=UTC),
        {1: "a"},
        {None: "a"},
        {"é": 1},
        {"\ud800": 1},
        "\ud800",
        "a\udfff",
    ],
)
@pytest.mark.parametrize("inside", [lambda v: v, lambda v: [v], lambda v: {"k": [{"k": v}]}, lambda v: (v,)])
def test_what_has_no_single_spelling_is_refused(value: object, inside: object) -> None:
    assert callable(inside)
    with pytest.raises(NotCanonical):
        canonical(inside(value))


def test_the_largest_exact_integers_are_accepted() -> None:
    assert canonical([2**53 - 1, -(2**53 - 1)]) == b"[9007199254740991,-9007199254740991]"


def test_a_digest_is_sha256_of_label_line_feed_and_bytes() -> None:
    value: Mapping[str, object] = {"b": 1, "a": "x"}
    assert digest("countersign/test/v1", value) == (hashlib.sha256(b'countersign/test/v1\n{"a":"x","b":1}').hexdigest())
    assert digest("countersign/test/v1", value) != digest("countersign/test/v2", value)


def test_a_commitment_is_sha256_of_salt_and_text() -> None:
    assert commitment(b"\x00" * 16, "because ü") == hashlib.sha256(b"\x00" * 16 + "because ü".encode()).hexdigest()
    assert commitment(b"\x00" * 16, "a") != commitment(b"\x01" * 16, "a")
