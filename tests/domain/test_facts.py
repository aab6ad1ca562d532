"""Facts: each has its own tag, is spelled canonically, and shows of free text only the commitment."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum

import pytest

from countersign.domain import facts
from countersign.domain.canonical import canonical
from countersign.domain.facts import BROKER, Anomaly, Fact, LeaseIssued, RequestSubmitted, ReviewRecorded
from countersign.domain.ids import is_name
from countersign.domain.request import Sealed
from countersign.domain.timestamps import NotATime

TEXT = "free text that stays out of the log"
SEALED = Sealed(text=TEXT, salt=b"\x07" * 16)
MOMENT = datetime(2026, 11, 22, 22, 5, 0, 123_999, tzinfo=UTC)
TAGS = {
    "broker.started",
    "rulebook.adopted",
    "rulebook.proposed",
    "rulebook.decided",
    "clock.stepped",
    "token.issued",
    "token.revoked",
    "person.disabled",
    "request.submitted",
    "review.recorded",
    "request.decided",
    "act.refused",
    "grant.opened",
    "grant.closed",
    "lease.prepared",
    "lease.reserved",
    "lease.issued",
    "lease.end-asked",
    "lease.end-written",
    "lease.overdue",
    "lease.dead",
    "provider.anomaly",
    "stop.placed",
    "stop.lifted",
    "audit.asked",
}


class Colour(StrEnum):
    RED = "red"


def kinds(base: type[Fact] = Fact) -> Iterator[type[Fact]]:
    for kind in base.__subclasses__():
        if kind.__module__ == facts.__name__:
            yield kind
            yield from kinds(kind)


KINDS = list(kinds())
EXAMPLES: dict[object, object] = {
    str: "text",
    bool: True,
    int: 5,
    datetime: MOMENT,
    Sealed: SEALED,
    Mapping: {"at": MOMENT, "list": [1, (2,)], "colour": Colour.RED, "sealed": SEALED},
    frozenset: frozenset({"b", "a"}),
    tuple: ("bob", "carol"),
}


def example(kind: type[Fact]) -> Fact:
    """Return a fact of a kind with a value of the right type in every field, optional ones included."""
    hints = typing.get_type_hints(kind)
    given = {}
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        if isinstance(hint, types.UnionType):
            hint = next(part for part in typing.get_args(hint) if part is not type(None))
        given[field.name] = EXAMPLES[typing.get_origin(hint) or hint]
    return kind(**given)  # type: ignore[arg-type]  # each field got a value of its own type


def test_every_tag_is_known_and_used_once() -> None:
    tags = [kind.type for kind in KINDS]
    assert len(tags) == len(set(tags))
    assert set(tags) >= TAGS, "a tag never goes away: the log may hold it"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.type)
def test_every_fact_is_spelled_canonically_without_its_free_texts(kind: type[Fact]) -> None:
    fact = example(kind)
    data = fact.data()
    assert TEXT.encode() not in canonical(data)
    assert set(data) == {field.name for field in dataclasses.fields(kind)} - {"actor", "subject"}
    sealed = {field.name for field in dataclasses.fields(kind) if getattr(fact, field.name) is SEALED}
    assert fact.openings() == dict.fromkeys(sealed, SEALED)
    for name in sealed:
        assert data[name] == SEALED.commitment


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.type)
def test_no_fact_can_be_changed(kind: type[Fact]) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        example(kind).actor = "mallory"  # type: ignore[misc]  # the attempt is the test


def test_values_are_spelled_as_plain_json() -> None:
    fact = Anomaly(
        actor="countersign/reconcile",
        subject="lse_aaaaaaaaaaaaaaaa",
        provider="vault",
        kind="orphan",
        seen={"at": MOMENT, "list": [1, (2,)], "colour": Colour.RED, "sealed": SEALED, "set": {"b", "a"}},
    )
    assert fact.data() == {
        "provider": "vault",
        "kind": "orphan",
        "seen": {
            "at": "2026-11-22T22:05:00.123Z",
            "list": [1, [2]],
            "colour": "red",
            "sealed": SEALED.commitment,
            "set": ["a", "b"],
        },
    }


def test_a_set_is_spelled_in_order() -> None:
    fact = ReviewRecorded(
        actor="bob", subject="req_x", principal="bob", decision="approve", digest="d", groups=frozenset("cab")
    )
    assert fact.data() == {
        "principal": "bob",
        "decision": "approve",
        "digest": "d",
        "groups": ["a", "b", "c"],
        "comment": None,
        "signature": None,
    }
    assert fact.openings() == {}


def test_both_free_texts_of_a_request_are_opened_by_name() -> None:
    ticket = Sealed(text="OPS-1", salt=b"\x08" * 16)
    fact = RequestSubmitted(
        actor="alice",
        subject="req_x",
        principal="alice",
        digest="d",
        statement={},
        lapses_at=MOMENT,
        reason=SEALED,
        ticket=ticket,
    )
    assert fact.openings() == {"reason": SEALED, "ticket": ticket}


def test_a_fact_with_a_time_without_a_zone_is_refused() -> None:
    fact = LeaseIssued(actor="a", subject="b", grant="g", expires_at=datetime(2026, 1, 1))  # noqa: DTZ001 - the missing zone is the point
    with pytest.raises(NotATime):
        fact.data()


def test_no_person_can_pass_for_the_broker() -> None:
    assert BROKER == "countersign"
    assert not is_name(f"{BROKER}/sweep")
