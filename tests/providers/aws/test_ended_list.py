"""The list of ended leases as a value: pure. It proves the arithmetic of the budget and what counts as foreign."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.domain.ids import LEASE, make_id
from countersign.providers.aws.ended_list import ENTRY_CHARACTERS, STATEMENT_CHARACTERS, EndedList, pattern_of, size_of

START = datetime(2026, 11, 22, 22, 0, tzinfo=UTC)


def lease(number: int) -> str:
    return make_id(LEASE, number.to_bytes(10))


def listed(count: int, until: datetime = START) -> EndedList:
    ended = EndedList()
    for number in range(count):
        ended = ended.with_entry(lease(number), until)
    return ended


def document(ended: EndedList) -> dict[str, Any]:
    text = ended.document()
    assert text is not None
    return dict(json.loads(text))


@given(st.lists(st.tuples(st.integers(0, 2**40), st.integers(0, 50_000)), max_size=30))
def test_what_is_written_is_read_back_as_the_same_list(entries: list[tuple[int, int]]) -> None:
    ended = EndedList()
    for number, seconds in entries:
        ended = ended.with_entry(lease(number), START + timedelta(seconds=seconds))
    text = ended.document()
    assert EndedList.read(json.loads(text) if text else None) == ended
    assert all(lease(number) in ended for number, _ in entries)


def test_an_entry_stands_at_least_until_its_time_and_is_pruned_after_it() -> None:
    until = START + timedelta(seconds=1)
    ended = EndedList().with_entry(lease(1), until)
    assert lease(1) in ended.pruned(until)
    assert lease(1) in ended.pruned(START + timedelta(seconds=899))
    assert lease(1) not in ended.pruned(START + timedelta(seconds=900))
    exact = EndedList().with_entry(lease(1), START)
    assert lease(1) in exact.pruned(START), "an entry due on the mark still outlives its last second"


def test_an_entry_is_not_doubled_and_a_longer_one_wins() -> None:
    once = EndedList().with_entry(lease(1), START)
    assert once.with_entry(lease(1), START) == once
    longer = once.with_entry(lease(1), START + timedelta(hours=1))
    assert lease(1) in longer.pruned(START + timedelta(minutes=30))
    assert longer.with_entry(lease(1), START) == longer


def test_the_pattern_matches_the_lease_and_its_canary_and_no_sibling() -> None:
    assert pattern_of(lease(1)) == f"*:{lease(1)}*"
    written = document(EndedList().with_entry(lease(1), START))
    assert written["Statement"][0]["Condition"] == {"StringLike": {"aws:userid": [f"*:{lease(1)}*"]}}


@pytest.mark.parametrize(
    "text", ["*", "", "lse_*", "lse_AAAAAAAAAAAAAAAA", "lse_aaaaaaaaaaaaaaaa*", "grt_aaaaaaaaaaaaaaaa"]
)
def test_nothing_but_a_lease_id_can_be_entered(text: str) -> None:
    with pytest.raises(ValueError, match="lease id"):
        EndedList().with_entry(text, START)


def test_the_budget_is_counted_as_aws_counts_it() -> None:
    one, many = listed(1), listed(300)
    assert many.characters() - one.characters() == 299 * ENTRY_CHARACTERS
    assert one.characters() <= STATEMENT_CHARACTERS + len('{"Version":"2012-10-17","Statement":[]}') + ENTRY_CHARACTERS
    assert size_of(json.dumps(document(one), indent=8)) == one.characters(), "white space is free"
    assert size_of({"a": "b c"}) == len('{"a":"b c"}'), "but not inside of text"
    assert listed(380).characters() < 10_240 < listed(400).characters()


def _tampered() -> list[dict[str, Any]]:
    ours = document(listed(2))["Statement"][0]
    changes: list[tuple[str, Any]] = [
        ("Effect", "Allow"),
        ("Action", "s3:*"),
        ("Resource", "arn:aws:s3:::x"),
        ("Sid", "Somebody"),
        ("Sid", "CountersignUntil"),
        ("Principal", "*"),
        ("NotAction", "*"),
        ("Condition", {}),
        ("Condition", {"StringNotLike": ours["Condition"]["StringLike"]}),
        ("Condition", {"StringLike": {"aws:userid": ["*"]}}),
        ("Condition", {"StringLike": {"aws:userid": []}}),
        ("Condition", {"StringLike": {"aws:userid": [*ours["Condition"]["StringLike"]["aws:userid"], "*"]}}),
        ("Condition", {"StringLike": {"aws:userid": [7]}}),
        ("Condition", {"StringLike": {"aws:userid": 7}}),
        ("Condition", {"StringLike": {"aws:username": ["*"]}}),
        ("Condition", {**ours["Condition"], "Bool": {"aws:SecureTransport": "false"}}),
    ]
    return [{**copy.deepcopy(ours), name: value} for name, value in changes]


@pytest.mark.parametrize("statement", _tampered())
def test_a_statement_that_we_would_not_have_written_is_foreign_and_kept_as_it_is(statement: dict[str, Any]) -> None:
    ended = EndedList.read({"Version": "2012-10-17", "Statement": [statement]})
    assert ended.foreign == (statement,)
    assert len(ended) == 0
    after = ended.with_entry(lease(9), START)
    assert statement in document(after)["Statement"]
    assert lease(9) in after


@pytest.mark.parametrize("found", ["text", ["x"], {"Statement": "x"}, {"Statement": [7]}])
def test_what_cannot_be_read_is_foreign_too(found: object) -> None:
    assert EndedList.read(found).foreign


def test_a_single_statement_without_a_list_is_read_as_one() -> None:
    assert len(EndedList.read({"Statement": document(listed(2))["Statement"][0]})) == 2


def test_no_policy_is_an_empty_list_and_an_empty_list_is_no_policy() -> None:
    assert EndedList.read(None) == EndedList()
    assert EndedList().document() is None
    assert size_of(None) == 0
