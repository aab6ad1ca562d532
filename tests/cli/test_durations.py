from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.cli.durations import NotADuration, read_duration, spell_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("45m", 2700),
        ("1h30m", 5400),
        ("90s", 90),
        ("PT45M", 2700),
        ("pt1h30m", 5400),
        ("P1D", 86_400),
        ("P1DT1S", 86_401),
        ("1d2h3m4s", 93_784),
        ("0h5s", 5),
    ],
)
def test_durations_are_read_as_people_type_them(text: str, seconds: int) -> None:
    assert read_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "45",
        "m",
        "0s",
        "0m0s",
        "-5m",
        "+5m",
        "1.5h",
        "5m1h",
        "5 m",
        " 5m",
        "5m\n",
        "P",
        "PT",
        "1e3s",
        "٣m",
        "5M",
        "nan",
        "9" * 40 + "s",
    ],
)
def test_what_could_be_read_in_two_ways_is_no_duration(text: str) -> None:
    with pytest.raises(NotADuration, match="such as 45m"):
        read_duration(text)


@given(st.integers(1, 10**9))
def test_what_is_spelled_is_read_back(seconds: int) -> None:
    assert read_duration(spell_duration(seconds)) == seconds
