"""One spelling for ids, names and times, and nothing near it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.domain.ids import GRANT, LEASE, RANDOM_BYTES, REQUEST, is_id, is_name, make_id
from countersign.domain.timestamps import EXAMPLE, NotATime, read, spell, trim


@given(st.sampled_from([REQUEST, GRANT, LEASE]), st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES))
def test_an_id_is_a_prefix_and_sixteen_characters(prefix: str, randomness: bytes) -> None:
    made = make_id(prefix, randomness)
    assert len(made) == 20
    assert is_id(made, prefix)
    assert not any(is_id(made, other) for other in {REQUEST, GRANT, LEASE} - {prefix})


def test_ids_are_these() -> None:
    assert make_id(REQUEST, bytes(10)) == "req_aaaaaaaaaaaaaaaa"
    assert make_id(LEASE, b"\xff" * 10) == "lse_7777777777777777"


@given(st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES), st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES))
def test_other_randomness_makes_another_id(one: bytes, other: bytes) -> None:
    assert (make_id(GRANT, one) == make_id(GRANT, other)) == (one == other)


@pytest.mark.parametrize("length", [0, 9, 11, 16])
def test_an_id_takes_ten_random_bytes(length: int) -> None:
    with pytest.raises(ValueError, match="10 random bytes"):
        make_id(REQUEST, bytes(length))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "req_",
        "req_aaaaaaaaaaaaaaa",
        "req_aaaaaaaaaaaaaaaaa",
        "req_aaaaaaaaaaaaaaa1",
        "req_aaaaaaaaaaaaaaaA",
        "REQ_aaaaaaaaaaaaaaaa",
        "req_aaaaaaaaaaaaaaaa\n",
        " req_aaaaaaaaaaaaaaaa",
        "req-aaaaaaaaaaaaaaaa",
        "grt_aaaaaaaaaaaaaaaa",
        "req_%",
        "req_aaaaaaaaaaaaaaa'",
    ],
)
def test_nothing_else_is_a_request_id(text: str) -> None:
    assert not is_id(text, REQUEST)


@pytest.mark.parametrize("text", ["a", "0", "orders-db-read", "a_b.c-d", "a" * 63, "9lives"])
def test_a_name_is_short_lower_case_ascii(text: str) -> None:
    assert is_name(text)


@pytest.mark.parametrize(
    "text",
    ["", "A", "-a", "_a", ".a", "a" * 64, "a b", "a/b", "a\n", "é", "\u0430", "a@b", "a+b", "countersign/sweep", "٣"],
)
def test_nothing_else_is_a_name(text: str) -> None:
    assert not is_name(text)


FIRST, LAST = datetime(1000, 1, 2), datetime(9998, 12, 30)  # noqa: DTZ001 - hypothesis adds the zone
moments = st.datetimes(min_value=FIRST, max_value=LAST, timezones=st.just(UTC))


@given(moments)
def test_a_time_reads_back_as_it_was_cut(moment: datetime) -> None:
    assert read(spell(moment)) == trim(moment)
    assert spell(trim(moment)) == spell(moment)
    assert timedelta(0) <= moment - trim(moment) < timedelta(milliseconds=1)


@given(moments, moments)
def test_texts_sort_as_times_do(one: datetime, other: datetime) -> None:
    assert (spell(one) < spell(other)) == (trim(one) < trim(other))


def test_a_time_is_spelled_in_utc_and_cut_to_milliseconds() -> None:
    zone = timezone(timedelta(hours=5, minutes=30))
    assert spell(datetime(2026, 11, 23, 3, 35, 0, 999, tzinfo=zone)) == EXAMPLE
    assert spell(datetime(2026, 11, 22, 22, 5, 0, 999_999, tzinfo=UTC)) == "2026-11-22T22:05:00.999Z"
    assert trim(datetime(2026, 11, 23, 3, 35, 0, 1999, tzinfo=zone)) == datetime(
        2026, 11, 22, 22, 5, 0, 1000, tzinfo=UTC
    )
    assert trim(datetime(2026, 11, 23, 3, 35, tzinfo=zone)).tzinfo is UTC
    assert read(EXAMPLE).tzinfo is UTC


def test_a_time_without_a_zone_means_nothing() -> None:
    naive = datetime(2026, 11, 22)  # noqa: DTZ001 - the missing zone is the point
    for act in (spell, trim):
        with pytest.raises(NotATime, match="without a zone"):
            act(naive)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Z",
        "2026-11-22T22:05:00Z",
        "2026-11-22T22:05:00.0Z",
        "2026-11-22T22:05:00.000000Z",
        "2026-11-22T22:05:00.000+00:00",
        "2026-11-22T22:05:00.000z",
        "2026-11-22 22:05:00.000Z",
        "2026-11-22T22:05:00,000Z",
        "2026-W47-7T22:05:00.000Z",
        "2026-11-22X22:05:00.000Z",
        "2026-11-31T22:05:00.000Z",
        "2026-11-22T24:00:00.000Z",
        "2026-11-22T22:05:60.000Z",
        "2026-11-22T22:05:00.00 Z",
        "٢٠٢٦-11-22T22:05:00.000Z",
        " 026-11-22T22:05:00.000Z",
        "2026-11-22T22:05:00.000Z\n",
        "20261122T220500.000000Z",
    ],
)
def test_no_other_spelling_is_a_time(text: str) -> None:
    with pytest.raises(NotATime, match="expected a time such as"):
        read(text)
