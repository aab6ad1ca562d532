"""Refusals: each has a stable code of its own, and carries what it was given."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from countersign.domain import refusals
from countersign.domain.refusals import Refused

CODES = {
    "self-review",
    "not-eligible",
    "not-permitted",
    "nobody-can-approve",
    "wrong-digest",
    "already-reviewed",
    "wrong-state",
    "draws-exhausted",
    "window-over",
    "rule-changed",
    "approval-void",
    "not-yours",
    "not-found",
    "invalid",
    "too-large",
    "limit",
    "already-delivered",
    "idempotency-key-reused",
    "conflict",
    "provider-away",
    "provider-refused",
    "stopped",
    "log-unavailable",
    "unauthenticated",
}


def kinds(base: type[Refused] = Refused) -> Iterator[type[Refused]]:
    for kind in base.__subclasses__():
        if kind.__module__ == refusals.__name__:
            yield kind
            yield from kinds(kind)


def test_every_code_is_known_and_used_once() -> None:
    codes = [kind.code for kind in kinds()]
    assert len(codes) == len(set(codes))
    assert set(codes) >= CODES, "a code never goes away: clients rely on it"
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in codes)
    assert Refused.code not in codes


@pytest.mark.parametrize("kind", list(kinds()), ids=lambda kind: kind.code)
def test_a_refusal_carries_detail_rule_hint_and_field(kind: type[Refused]) -> None:
    refusal = kind("no", rule="the rule", hint="do this", field="reason")
    assert (str(refusal), refusal.detail, refusal.rule, refusal.hint, refusal.field) == (
        "no",
        "no",
        "the rule",
        "do this",
        "reason",
    )
    bare = kind("no")
    assert (bare.rule, bare.hint, bare.field) == (None, None, None)
