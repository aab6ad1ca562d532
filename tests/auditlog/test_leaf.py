"""A leaf has one spelling, and no other bytes are read as a leaf."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.auditlog import leaf as reading
from countersign.auditlog.leaf import LARGEST_LEAF, Leaf, NotALeaf, fact_of, read_fact
from countersign.auditlog.openings import check_opening
from countersign.domain.canonical import NotCanonical, canonical, commitment

AT = datetime(2026, 11, 22, 22, 5, tzinfo=UTC)
LEAF = Leaf(type="request-submitted", at=AT, actor="alice", subject="req_abc", data={"n": 1, "text": 'ü", "x'})
SPELLED = (
    '{"actor":"alice","at":"2026-11-22T22:05:00.000Z","data":{"n":1,"text":"ü\\", \\"x"},'
    '"subject":"req_abc","type":"request-submitted","v":1}'
).encode()

keys = st.text(st.characters(max_codepoint=127), max_size=5)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)
names = st.text(st.characters(codec="utf-8"), min_size=1)


def test_a_leaf_is_spelled_by_rfc_8785() -> None:
    assert LEAF.encode() == SPELLED
    assert Leaf.decode(SPELLED) == LEAF


@given(
    kind=names,
    actor=names,
    subject=names,
    at=st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 30), timezones=st.just(UTC)),  # noqa: DTZ001 - the strategy adds the zone
    data=st.dictionaries(keys, values, max_size=4),
)
def test_every_leaf_comes_back_from_its_bytes(
    kind: str, actor: str, subject: str, at: datetime, data: dict[str, object]
) -> None:
    leaf = Leaf(type=kind, at=at, actor=actor, subject=subject, data=data)
    raw = leaf.encode()
    assert Leaf.decode(raw) == leaf
    assert canonical(json.loads(raw)) == raw
    assert Leaf.decode(raw).encode() == raw


@given(at=st.integers(0, len(SPELLED) - 1), flip=st.integers(1, 255))
def test_a_flipped_byte_is_refused_or_says_something_else(at: int, flip: int) -> None:
    bent = SPELLED[:at] + bytes([SPELLED[at] ^ flip]) + SPELLED[at + 1 :]
    try:
        leaf = Leaf.decode(bent)
    except NotALeaf:
        return
    assert leaf != LEAF
    assert leaf.encode() == bent


@given(value=values | st.floats(), ordered=st.booleans(), escaped=st.booleans())
def test_bytes_are_a_leaf_exactly_when_canonical_would_write_them(value: object, ordered: bool, escaped: bool) -> None:  # noqa: FBT001 - drawn, not passed by people
    whole = json.loads(SPELLED) | {"data": {"x": value, "a": 1}}
    raw = json.dumps(whole, separators=(",", ":"), sort_keys=ordered, ensure_ascii=escaped).encode("utf-8")
    try:
        written = canonical(whole) == raw
    except NotCanonical:
        written = False
    try:
        read = Leaf.decode(raw).encode() == raw
    except NotALeaf:
        read = False
    assert read is written


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b" " + SPELLED,
        SPELLED + b"\n",
        SPELLED.replace(b'"v":1', b'"v":2'),
        SPELLED.replace(b'"v":1', b'"v":1.0'),
        SPELLED.replace(b'"v":1', b'"v":true'),
        SPELLED.replace(b'"v":1', b'"v":1,"w":1'),
        SPELLED.replace(b',"v":1', b""),
        SPELLED.replace(b'"v":1', b'"v":1,"v":1'),
        SPELLED.replace(b'"n":1', b'"n":1,"n":1'),
        SPELLED.replace(b'"n":1', b'"n":1.5'),
        SPELLED.replace(b'"n":1', b'"n":NaN'),
        SPELLED.replace(b'"n":1', b'"n":-0'),
        SPELLED.replace(b'"n":1', b'"n":9007199254740992'),
        SPELLED.replace(b'"n":1', b'"n":-9007199254740992'),
        SPELLED.replace(b'"n":1', '"n":1,"ü":1'.encode()),
        SPELLED.replace(b'"n":1', b'"n":"' + b"y" * LARGEST_LEAF + b'"'),
        SPELLED.replace(b'"n":1', b'"n":' + b"[" * 5000 + b"]" * 5000),
        SPELLED.replace(b'"n":1', b'"n":' + b"9" * 5000),
        SPELLED.replace(b'"n":1', b'"n": 1'),
        SPELLED.replace(b'"n":1,', b"").replace(b'"x"}', b'"x","n":1}'),
        SPELLED.replace("ü".encode(), b"\\u00fc"),
        SPELLED.replace("ü".encode(), b"\\ud800"),
        SPELLED.replace(b'"alice"', b"1"),
        SPELLED.replace(b'"alice"', b'""'),
        SPELLED.replace(b'"alice"', b"null"),
        SPELLED.replace(b'"2026-11-22T22:05:00.000Z"', b"1"),
        SPELLED.replace(b"T22:05", b" 22:05"),
        SPELLED.replace(b".000Z", b"Z"),
        SPELLED.replace(b"2026-11-22", b"2026-13-22"),
        json.dumps(json.loads(SPELLED) | {"data": []}, sort_keys=True, separators=(",", ":")).encode(),
    ],
)
def test_other_bytes_are_no_leaf(raw: bytes) -> None:
    assert raw != SPELLED
    with pytest.raises(NotALeaf):
        Leaf.decode(raw)


def test_time_is_cut_to_milliseconds_and_kept_in_utc() -> None:
    leaf = Leaf(
        type="t", at=AT.astimezone(timezone(timedelta(hours=2))).replace(microsecond=1999), actor="a", subject="s"
    )
    assert leaf.at == AT.replace(microsecond=1000)
    assert Leaf.decode(leaf.encode()) == leaf


@pytest.mark.parametrize(
    "change",
    [
        {"actor": ""},
        {"type": 1},
        {"subject": None},
        {"at": AT.replace(tzinfo=None)},
        {"at": "2026-11-22T22:05:00.000Z"},
        {"data": []},
    ],
)
def test_a_leaf_of_wrong_types_is_not_made(change: dict[str, Any]) -> None:
    fields: dict[str, Any] = {"type": "t", "at": AT, "actor": "a", "subject": "s", "data": {}}
    with pytest.raises(NotALeaf):
        Leaf(**fields | change)


@pytest.mark.parametrize("data", [{"x": 1.5}, {"ü": 1}, {"x": "\ud800"}, {"x": object()}, {"x": "y" * LARGEST_LEAF}])
def test_data_without_a_canonical_spelling_is_not_written(data: dict[str, object]) -> None:
    with pytest.raises(NotALeaf):
        Leaf(type="t", at=AT, actor="a", subject="s", data=data).encode()


def test_an_opening_fits_only_its_commitment() -> None:
    made = commitment(b"salt", "because")
    assert check_opening(made, b"salt", "because")
    assert not check_opening(made, b"salt", "because.")
    assert not check_opening(made, b"pepper", "because")
    assert not check_opening(made.upper(), b"salt", "because")
    assert not check_opening("ü", b"salt", "because")
    assert not check_opening(made, b"salt", "\ud800")


wild = st.recursive(
    values | st.floats() | st.integers() | st.text() | st.sampled_from([2**53, -(2**53), 2**64, 10**400]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys | st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
members = st.sampled_from(["actor", "at", "data", "subject", "type", "v", "w", "\u00fc"])
said = st.sampled_from(["a", "", AT.isoformat(), "2026-11-22T22:05:00.000Z", "2026-13-22T22:05:00.000Z", 1, True, {}])


@given(
    whole=st.dictionaries(members, said | wild, max_size=7) | wild,
    data=st.dictionaries(keys, wild, max_size=3),
    shaped=st.booleans(),
    ordered=st.booleans(),
    escaped=st.booleans(),
    bend=st.none()
    | st.tuples(st.integers(0, 10_000), st.sampled_from([b"", b" ", b"1", b'"', b",", b"\\", b"\xff", b"}"])),
)
def test_the_quick_way_takes_what_the_slow_way_takes_and_says_the_same(
    *,
    whole: Any,  # noqa: ANN401 - any JSON at all
    data: dict[str, Any],
    shaped: bool,
    ordered: bool,
    escaped: bool,
    bend: tuple[int, bytes] | None,
) -> None:
    written = json.loads(SPELLED) | {"data": data} if shaped else whole
    raw = json.dumps(written, separators=(",", ":"), sort_keys=ordered, ensure_ascii=escaped).encode(
        "utf-8", "surrogatepass"
    )
    if bend is not None:
        at = bend[0] % (len(raw) + 1)
        raw = raw[:at] + bend[1] + raw[at + 1 :]
    try:
        slowly = reading._read_any(raw)
    except NotALeaf as refused:
        with pytest.raises(NotALeaf, match="^" + re.escape(str(refused)) + "$"):
            read_fact(raw)
        return
    assert json.dumps(read_fact(raw)) == json.dumps(slowly)
    assert fact_of(raw) == slowly


def test_a_leaf_may_be_nested_deeper_than_the_quick_way_reads() -> None:
    nested = SPELLED.replace(b'"n":1', b'"n":' + b"[" * 40 + b"]" * 40)
    assert read_fact(nested)["data"]["text"] == 'ü", "x'


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"[]", b"1", b"null", b'{"a":1} x', b"[" * 100_000])
def test_what_is_no_json_object_says_nothing(raw: bytes) -> None:
    with pytest.raises(NotALeaf):
        fact_of(raw)
