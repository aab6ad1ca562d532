"""The pattern language: what is in it, what is not, and that nothing in it can be made slow."""

from __future__ import annotations

import re
import time
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.config.patterns import fault_of
from countersign.domain.entitlement import LONGEST_PARAMETER, Parameter
from countersign.domain.refusals import Invalid

WITHIN = [
    ("[a-z]{3,12}", "orders"),
    ("team/[a-z0-9-]{1,20}/[0-9]{4}", "team/blue-1/2026"),
    ("report-[0-9]{8}[.]csv", "report-20261122.csv"),
    ("[-a]{2}", "-a"),
    ("[a-]{2}", "a-"),
    ("[-]", "-"),
    ("[.]", "."),
    ("[A-Za-z0-9_./:@=-]{1,128}", "A/b.c:d@e=f-g_0"),
    ("a{2}", "aa"),
    ("x{0,2}y", "y"),
    ("user@[a-z]{1,9}", "user@host"),
    ("[0-9]{1,9}[0-9]{1,9}[0-9]{1,9}", "123"),
    ("[a-a]", "a"),
    ("x" * 128, "x" * 128),
]
OUTSIDE = [
    "",
    ".",
    ".*",
    "a.c",
    "a*",
    "a+",
    "a?",
    "(a)",
    "(?i)a",
    "a|b",
    "^a",
    "a$",
    "\\d",
    "\\.",
    "a\\",
    "[^a]",
    "[]",
    "[]a]",
    "[[a]",
    "[a",
    "a]",
    "[z-a]",
    "[A-z]",
    "[0-z]",
    "[a-c-e]",
    "[--]",
    "[+--]",
    "[a\\d]",
    "[a&&b]",
    "[a||b]",
    "[é]",
    "é",
    "a b",
    "[ ]",
    "a\n",
    "\n",
    "{2}",
    "a{2",
    "a{,2}",
    "a{2,}",
    "a{3,2}",
    "a{0}",
    "a{0,0}",
    "a{1}{2}",
    "a{1,2}?",
    "a{1,2}+",
    "a{٣}",
    "[a-z]{0,129}",
    "a{1000}",
    "[a-z]{1,64}[A-Z]{1,65}",
    "[a-z]{0,9}[a-z]{0,9}[a-z]{0,9}[a-z]{0,9}",
    "x" * 129,
    "'",
    '"',
    ";",
    "%",
    "$",
    "[a-z]{1,3}\x00",
]


@pytest.mark.parametrize(("pattern", "text"), WITHIN)
def test_a_pattern_within_the_language_matches_what_it_shows(pattern: str, text: str) -> None:
    assert fault_of(pattern) is None
    assert re.fullmatch(pattern, text, re.ASCII)


@pytest.mark.parametrize("pattern", OUTSIDE)
def test_everything_else_is_refused_with_the_reason(pattern: str) -> None:
    fault = fault_of(pattern)
    assert fault is not None
    assert len(fault) > 10


def test_the_first_wrong_character_is_named() -> None:
    fault = fault_of("ab[c-d]{2}(")
    assert fault is not None
    assert fault.endswith("(at character 11)")
    for wrong in ("ab{3,2}", "a[z-a]"):
        assert "(at character 2)" in str(fault_of(wrong))


@given(st.text(alphabet="ab-z09[]{},.^\\*+?|()$ A", max_size=12))
def test_whatever_is_let_through_is_a_regular_expression_without_warnings_and_of_bounded_length(pattern: str) -> None:
    if fault_of(pattern) is not None:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compiled = re.compile(pattern, re.ASCII)
    assert compiled.fullmatch("~") is None
    assert compiled.fullmatch("a" * (LONGEST_PARAMETER + 1)) is None
    assert compiled.fullmatch("'; DROP TABLE orders; --") is None


def test_the_slowest_pattern_on_the_worst_text_stays_fast() -> None:
    pattern = "[a-z]{0,42}[a-z]{0,43}[a-z]{0,42}[0-9]"
    assert fault_of(pattern) is None
    parameter = Parameter(name="p", pattern=pattern)
    began = time.perf_counter()
    with pytest.raises(Invalid):
        parameter.judge("a" * LONGEST_PARAMETER)
    with pytest.raises(Invalid):
        parameter.judge("a" * 64)
    assert time.perf_counter() - began < 0.5
