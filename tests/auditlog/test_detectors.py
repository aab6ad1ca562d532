"""Detectors on seeded histories: what was planted is found, and what was not is left alone."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from countersign.auditlog.meaning import Finding, Severity, Thresholds
from countersign.auditlog.meaning.detectors import Detectors
from countersign.domain.timestamps import spell

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SEEDS = range(8)
Planted = set[tuple[str, frozenset[str]]]


@dataclass(kw_only=True)
class History:
    """Facts in the making, in any order; told in the order of their times."""

    facts: list[tuple[datetime, dict[str, Any]]] = field(default_factory=list)
    planted: Planted = field(default_factory=set)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def tell(self, at: datetime, kind: str, actor: str, subject: str, /, **data: object) -> None:
        fact = {"type": kind, "at": spell(at), "actor": actor, "subject": subject, "data": data}
        self.facts.append((at, fact))

    def decided(
        self,
        at: datetime,
        asker: str,
        signer: str,
        *,
        what: str = "db",
        wait: float = 600,
        deny: bool = False,
        comment: bool = True,
    ) -> None:
        """Tell of one request, reviewed after so many seconds."""
        number = next(self.numbers)
        later, name = at + timedelta(seconds=wait), f"req_{number}"
        said = "f" * 64 if comment else None
        self.tell(at, "request.submitted", asker, name, statement={"entitlement": what})
        self.tell(later, "review.recorded", signer, name, decision="deny" if deny else "approve", comment=said)
        self.tell(later, "request.decided", signer, name, state="denied" if deny else "approved")
        if not deny:
            self.tell(later, "grant.opened", signer, f"grt_{number}", request=name, person=asker, approvers=[signer])

    def found(self, thresholds: Thresholds | None = None) -> list[Finding]:
        detectors = Detectors(thresholds or Thresholds())
        for index, (_, fact) in enumerate(sorted(self.facts, key=lambda told: told[0])):
            detectors.feed(index, fact)
        return detectors.finish()

    def seen(self) -> Planted:
        """Return what was found, each as its code and whom it names."""
        return {(finding.code, frozenset(re.findall(r"\b[a-z]+[0-9]+\b", finding.detail))) for finding in self.found()}


def everyday(history: History, dice: Random) -> None:
    """Tell of 60 days in which 24 people ask and sign as people do."""
    people = [f"ann{number}" for number in range(24)]
    for _ in range(1500):
        asker, signer = dice.sample(people, 2)
        history.decided(
            BEGIN + timedelta(seconds=dice.uniform(0, 60 * 86400)),
            asker,
            signer,
            what=f"db-{dice.choice('abcdefgh')}",
            wait=dice.lognormvariate(6, 1.2),
            deny=dice.random() < 0.08,
            comment=dice.random() < 0.5,
        )


def seeded(seed: int) -> History:
    dice, history = Random(seed), History()  # noqa: S311 - histories, not secrets
    everyday(history, dice)

    def day() -> datetime:
        return BEGIN + timedelta(days=dice.uniform(1, 25))

    for number in range(3):
        one, other, busy, quick, stamp, greedy, sly, rash = (
            f"{name}{number}" for name in ("eve", "mal", "tom", "quentin", "stan", "greg", "sid", "rex")
        )
        begin = day()
        for step in range(4):
            history.decided(begin + timedelta(days=5 * step), one, other)
            history.decided(begin + timedelta(days=5 * step + 2), other, one)
        history.planted.add(("reciprocal-pair", frozenset({one, other})))
        for step in range(25):
            history.decided(begin + timedelta(minutes=2 * step), f"ann{step % 24}", busy, what="x", wait=30)
        history.planted.add(("tired-approver", frozenset({busy})))
        for step in range(24):
            history.decided(begin + timedelta(hours=20 * step), f"ann{step}", quick, wait=dice.uniform(1, 8))
        history.planted.add(("hasty-approver", frozenset({quick})))
        for step in range(55):
            history.decided(begin + timedelta(hours=11 * step), f"ann{step % 24}", stamp, what="y", comment=False)
        history.planted.add(("rubber-stamp", frozenset({stamp})))
        for step in range(6):
            history.decided(begin + timedelta(hours=3 * step), greedy, f"ann{step}", what="z")
        history.planted.add(("frequent-grants", frozenset({greedy})))
        history.tell(day(), "act.refused", sly, "req_x", act="approve", code="self-review")
        history.planted.add(("self-approval-attempt", frozenset({sly})))
        for step in range(3):
            history.tell(begin + timedelta(days=9 * step), "break-glass.opened", "x", "g", person=rash, drill=False)
        history.planted.add(("emergency-overuse", frozenset({rash})))
    return history


def test_on_seeded_histories_what_was_planted_is_found_and_hardly_anything_else() -> None:
    planted = found = right = 0
    for seed in SEEDS:
        history = seeded(seed)
        seen = history.seen()
        planted += len(history.planted)
        found += len(seen)
        right += len(seen & history.planted)
    # The habits planted here stand out by their making; real ones will not be told apart so well.
    assert (right / planted, right / found) == (1.0, 1.0)
    assert planted == 21 * len(SEEDS)


def test_an_everyday_history_is_left_alone() -> None:
    for seed in SEEDS:
        history = History()
        everyday(history, Random(seed))  # noqa: S311 - histories, not secrets
        assert history.found() == []


def pair(each_way: int, *, days: float = 1, others: int = 0) -> list[Finding]:
    history = History()
    for step in range(each_way):
        history.decided(BEGIN + timedelta(days=days * step), "eve1", "mal1", what=f"a{step}")
        history.decided(BEGIN + timedelta(days=days * step, hours=1), "mal1", "eve1", what=f"a{step}")
    for step in range(others):
        history.decided(BEGIN + timedelta(minutes=step), f"ann{step}", "eve1")
    return history.found()


def test_a_pair_is_told_of_at_its_third_time_each_way_and_once() -> None:
    assert [finding.code for finding in pair(6)] == ["reciprocal-pair"]
    assert pair(2) == []
    [found] = pair(3)
    assert (found.severity, found.index) == (Severity.MEDIUM, 23)


def test_a_pair_is_none_when_it_is_slow_or_when_others_are_signed_for_as_much() -> None:
    assert pair(6, days=16) == []
    assert pair(3, others=3) == []
    assert [finding.code for finding in pair(3, others=2)] == ["reciprocal-pair"]


def test_thresholds_say_what_is_too_much() -> None:
    history = History()
    for step in range(5):
        history.decided(BEGIN + timedelta(hours=step), "greg1", "ann1")
    assert [finding.code for finding in history.found()] == ["frequent-grants"]
    assert history.found(Thresholds(grants_per_day=6)) == []


def test_drills_are_no_overuse_and_other_refusals_no_attempt_at_self_approval() -> None:
    history = History()
    for step in range(5):
        at = BEGIN + timedelta(days=step)
        history.tell(at, "break-glass.opened", "x", "g", person="rex1", drill=True)
        history.tell(at, "act.refused", "eve1", "req_x", act="draw", code="not-yours")
    assert history.found() == []


@pytest.mark.parametrize("fact", [{}, {"type": "grant.opened"}, {"type": "review.recorded", "at": 5, "actor": "x"}])
def test_what_is_no_fact_is_left_to_the_replay(fact: dict[str, Any]) -> None:
    detectors = Detectors()
    detectors.feed(0, fact)
    assert detectors.finish() == []


def test_an_order_that_proves_nobody_is_told_of_and_the_third_within_an_hour_is_grave() -> None:
    history = History()
    for minutes in (0, 59, 61, 62, 500):
        said = {"grant": "grt_x", "code": "order-void"}
        history.tell(BEGIN + timedelta(minutes=minutes), "order.refused", "countersign/orders", "0" * 64, **said)
    found = [each for each in history.found() if each.code == "order-refused"]
    medium, high = Severity.MEDIUM, Severity.HIGH
    assert [each.severity for each in found] == [medium, medium, medium, high, medium]
    assert found[3].evidence == (1, 2, 3)
    assert {each.owner for each in found} == {"role:operator"}
