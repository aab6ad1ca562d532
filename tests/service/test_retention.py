"""What people wrote is erased by two, one of them an auditor, never before its time; the log goes on verifying and names them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.auditlog.test_meaning import broken, meaning_of
from tests.store.test_guards import REFUSED, attempt
from tests.world import CATALOG, World

from countersign.domain.refusals import NotEligible, NotFound, NotPermitted, WrongState
from countersign.domain.retention import Erasure, RetentionHolds
from countersign.domain.retention_facts import ErasureApproved, TextsErased
from countersign.domain.trust import SIX_YEARS_DAYS
from countersign.service.retention import carry_out
from countersign.service.rules import RuleReader
from countersign.service.verification import verify_store
from countersign.store import Store, schema

REASON = "invoice 4711 is stuck"
LATER = timedelta(days=SIX_YEARS_DAYS + 1)


@pytest.fixture
def old(world: World) -> World:
    """A world in which something was asked and denied long ago, and something else just now."""
    world.review(world.ask("alice"), deny=True)
    world.clock.at += LATER
    world.ask("dave")
    return world


def ask(world: World, who: str = "olga", *, days: int = SIX_YEARS_DAYS) -> Erasure:
    before = world.clock.at - timedelta(days=days)
    return world.broker.retention.ask(world.principal(who), before=before, reason="its time is over")


def approve(world: World, erasure: Erasure, who: str = "erin") -> Erasure:
    return world.broker.retention.approve(world.principal(who), erasure.id)


def done(store: Store) -> list[int | None]:
    return [each.texts for each in carry_out(store, RuleReader())]


def texts(world: World) -> Iterator[str]:
    with world.store.read() as tx:
        rows = tx.facts(limit=1000)
        yield from (opening["text"] for row in rows for opening in row["openings"].values())
        yield from (request.reason.text for request in tx.requests(limit=1000))


def test_what_two_people_decided_is_erased_and_nothing_else_and_the_log_verifies(old: World) -> None:
    signed = old.issuing.checkpoints.sign()
    assert signed is not None
    with old.store.read() as tx:
        digests = {request.id: request.digest for request in tx.requests(limit=10)}
    approve(old, ask(old))
    assert done(old.store) == [2]  # a reason and a ticket
    assert done(old.store) == []
    assert sorted(text for text in texts(old) if text) == sorted([REASON, "OPS-1", REASON, "its time is over"])
    with old.store.read() as tx:
        assert {request.id: request.digest for request in tx.requests(limit=10)} == digests
    report = verify_store(old.store, verifiers=[old.signer.verifier()], checkpoints=[signed])
    assert report.ok, report.failures


def test_nothing_is_erased_before_its_time_nor_under_legal_hold(old: World) -> None:
    with pytest.raises(RetentionHolds, match="2192 days"):
        ask(old, days=SIX_YEARS_DAYS - 1)
    asked = ask(old)
    old.adopt(catalog=CATALOG | {"trust": {"legal_hold": True}})
    with pytest.raises(RetentionHolds, match="legal hold"):
        ask(old)
    with pytest.raises(RetentionHolds, match="legal hold"):
        approve(old, asked)
    old.adopt(catalog=CATALOG)
    approve(old, asked)
    old.adopt(catalog=CATALOG | {"trust": {"legal_hold": True}})
    with pytest.raises(RetentionHolds, match="legal hold"):
        done(old.store)
    assert list(texts(old)).count(REASON) == 4
    old.adopt(catalog=CATALOG)
    assert done(old.store) == [2]


def test_two_people_decide_and_one_of_them_is_an_auditor(old: World) -> None:
    asked = ask(old, "olga")
    for who, refusal in (
        ("olga", NotEligible),
        ("oscar", NotEligible),
        ("alice", NotPermitted),
        ("frank", NotPermitted),
    ):
        with pytest.raises(refusal):
            approve(old, asked, who)
    assert done(old.store) == []
    assert approve(old, asked).approved_by == "erin"
    with pytest.raises(WrongState):
        approve(old, asked)
    with pytest.raises(NotFound):
        old.broker.retention.approve(old.principal("erin"), "ers_aaaaaaaaaaaaaaaa")
    for who in ("alice", "bob", "frank"):
        with pytest.raises(NotPermitted):
            ask(old, who)
        with pytest.raises(NotPermitted):
            old.broker.retention.erasures(old.principal(who), limit=5)
    assert [each.id for each in old.broker.retention.erasures(old.principal("olga"), limit=5)] == [asked.id]


def test_the_database_keeps_texts_until_two_people_decided(old: World) -> None:
    openings, requests = schema.openings, schema.requests
    emptied = {"reason": "", "reason_salt": b"x" * 32}
    asked = ask(old)
    for statement in (
        openings.delete(),
        openings.update().values(text="something harmless"),
        requests.update().values(**emptied),
        sa.text("DELETE FROM erasures"),
        sa.text("UPDATE erasures SET approved_by = asked_by, approved_at = asked_at"),
    ):
        with pytest.raises(REFUSED):
            attempt(old.store, statement)
    approve(old, asked)
    with pytest.raises(REFUSED):
        attempt(old.store, openings.delete())  # what is younger is kept
    with pytest.raises(REFUSED):
        attempt(old.store, requests.update().values(reason="something else"))


def test_an_erasure_that_nobody_decided_or_that_came_too_early_is_named(old: World) -> None:
    before = old.clock.at - timedelta(days=SIX_YEARS_DAYS)
    unfounded = TextsErased(
        actor="countersign/retention", subject="ers_x", before=before, asked_by="olga", approved_by="erin", texts=3
    )
    alone = ErasureApproved(actor="olga", subject="ers_y", principal="olga", before=before, asked_by="olga")
    with old.store.begin() as tx:
        tx.record(unfounded, alone)
    assert [each.code for each in broken(meaning_of(old.store))] == ["erasure-unfounded", "erasure-unfounded"]
    approve(old, ask(old))
    old.adopt(catalog=CATALOG | {"trust": {"retention_days": 4000}})
    with pytest.raises(RetentionHolds, match="4000 days"):
        done(old.store)
    [asked] = list(old.broker.retention.erasures(old.principal("erin"), limit=1))
    early = TextsErased(
        actor="countersign/retention",
        subject=asked.id,
        before=asked.before,
        asked_by="olga",
        approved_by="erin",
        texts=2,
    )
    with old.store.begin() as tx:
        tx.record(early)
    assert [each.code for each in broken(meaning_of(old.store))][2:] == ["erasure-early"]
