"""Rules as they stand in the log: taken apart, cut to size, and put together again to the same digests."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.world import BEGINNING, CATALOG, DIRECTORY, entitlement

from countersign.auditlog.leaf import LARGEST_LEAF, Leaf
from countersign.config.catalog import parse_catalog
from countersign.config.directory import parse_directory
from countersign.domain.refusals import Invalid
from countersign.domain.rule_texts import Row, batches, digests, folded, rows_between, sections_of


def sections(catalog: dict[str, Any], directory: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, str]]:
    parsed = parse_catalog(catalog), parse_directory(directory)
    return sections_of(*parsed), (parsed[0].digest, parsed[1].digest)


def test_the_log_alone_gives_the_digests_of_every_rulebook_in_turn() -> None:
    fewer = CATALOG | {"entitlement": CATALOG["entitlement"][1:]}
    other = CATALOG | {"entitlement": [entitlement("orders-db-read", draws=2), *CATALOG["entitlement"][1:]]}
    trusting = other | {"trust": {"log_origin": "other.example/log"}}
    moved = DIRECTORY | {"group": [{**group, "members": group["members"][:1]} for group in DIRECTORY["group"]]}
    told: dict[str, Any] = {}
    before: dict[str, Any] = {}
    for catalog, directory in ((CATALOG, DIRECTORY), (fewer, DIRECTORY), (trusting, moved), (other, DIRECTORY)):
        after, named = sections(catalog, directory)
        for batch in batches(rows_between(before, after)):
            told = folded(told, batch)
        assert digests(told) == named
        before = after


def test_what_did_not_change_is_not_written_again() -> None:
    before, _ = sections(CATALOG, DIRECTORY)
    after, _ = sections(CATALOG | {"entitlement": [*CATALOG["entitlement"], entitlement("another")]}, DIRECTORY)
    assert [(row["section"], row["id"]) for row in rows_between(before, after)] == [("catalog/entitlements", "another")]
    assert list(rows_between(before, before)) == []


def crowd(size: int) -> dict[str, Any]:
    people = [f"person-{number:05d}-of-a-large-firm" for number in range(size)]
    return DIRECTORY | {
        "person": [*DIRECTORY["person"], *({"id": each, "name": each.title()} for each in people)],
        "group": [*DIRECTORY["group"], {"id": "crowd", "members": people, "roles": ["requester"]}],
    }


def test_a_group_of_thousands_is_cut_into_entries_that_fit_a_bundle() -> None:
    after, named = sections(CATALOG, crowd(4000))
    told: dict[str, Any] = {}
    written = list(batches(rows_between({}, after)))
    for batch in written:
        leaf = Leaf(type="rulebook.written", at=BEGINNING, actor="a" * 63, subject="rulebook", data={"rows": batch})
        assert len(leaf.encode()) <= LARGEST_LEAF
        told = folded(told, batch)
    assert len(written) > 3
    assert digests(told) == named


def test_a_thing_that_no_entry_can_hold_is_refused_by_its_name() -> None:
    catalog = CATALOG | {"entitlement": [entitlement("huge", description="x" * 60_000)]}
    after = {"catalog/entitlements": catalog["entitlement"]}
    with pytest.raises(Invalid, match="huge is too large for the log"):
        list(rows_between({}, after))


def test_no_name_of_a_person_is_written() -> None:
    after, _ = sections(
        CATALOG, DIRECTORY | {"person": [{"id": "zed", "name": "Zebulon Quux"}], "group": [], "principal": []}
    )
    assert "Zebulon" not in str(list(rows_between({}, after)))


def test_another_name_is_another_digest() -> None:
    people = [{"id": "zed", "name": "Zebulon"}], [{"id": "zed", "name": "Zeb"}]
    named = [sections(CATALOG, {"schema": 1, "person": each})[1] for each in people]
    assert named[0] != named[1]


things = st.dictionaries(st.sampled_from("abcd"), st.lists(st.sampled_from("xyz"), max_size=3), max_size=4)
documents = st.fixed_dictionaries(
    {}, optional={"catalog/list": things, "catalog/whole": st.integers(0, 3), "directory/other": things}
)


def listed(drawn: dict[str, Any]) -> dict[str, Any]:
    return {
        name: [{"id": key, "members": value[key]} for key in sorted(value)] if isinstance(value, dict) else value
        for name, value in drawn.items()
    }


@settings(max_examples=100, deadline=None)
@given(st.lists(documents, min_size=1, max_size=5))
def test_whatever_follows_whatever_folds_to_the_last(history: list[dict[str, Any]]) -> None:
    told: dict[str, Any] = {}
    before: dict[str, Any] = {}
    for drawn in history:
        after = listed(drawn)
        rows: list[Row] = list(rows_between(before, after))
        told = folded(told, rows)
        assert told == after
        before = after
