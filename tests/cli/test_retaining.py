"""`countersign retention`: asked, approved, carried out, and told by `verify`; a text that nobody decided on is missed."""

from __future__ import annotations

import sqlite3
from datetime import timedelta

import pytest
from tests.cli.desk import Desk

from countersign.domain.trust import SIX_YEARS_DAYS
from countersign.service.retention import carry_out
from countersign.service.rules import RuleReader


@pytest.fixture
def later(desk: Desk) -> Desk:
    desk.granted()
    desk.world.clock.at += timedelta(days=SIX_YEARS_DAYS + 3)
    desk.world.sweep()
    desk.asked()
    return desk


def before(desk: Desk) -> str:
    return f"{desk.world.clock.at - timedelta(days=SIX_YEARS_DAYS + 1):%Y-%m-%d}"


def test_an_erasure_is_asked_for_approved_carried_out_and_told(later: Desk) -> None:
    asked = later.run("olga", "retention", "erase", "--before", before(later), "--reason", "over", "--json")
    assert asked.code == 0, asked.err
    assert later.run("olga", "retention", "approve", asked.json()["id"]).code != 0
    assert later.run("erin", "retention", "approve", asked.json()["id"]).code == 0
    assert len(carry_out(later.world.store, RuleReader())) == 1
    [listed] = later.run("erin", "retention", "ls", "--json").json()["items"]
    assert (listed["asked_by"], listed["approved_by"], listed["texts"]) == ("olga", "erin", 1)
    later.world.issuing.checkpoints.sign()
    key = later.world.issuing.checkpoints.signer.verifier().vkey()
    for what in ((), ("--database", f"sqlite:///{later.database}")):
        ran = later.run("erin", "verify", *what, "--key", key)
        assert ran.code == 0, ran.out
        assert "1 texts before" in ran.out
        assert "by olga and erin" in ran.out
    early = later.run("olga", "retention", "erase", "--before", "2032-12-01", "--reason", "over")
    assert (early.code != 0, "is kept" in early.err) == (True, True)


def test_a_text_that_somebody_destroyed_is_missed(later: Desk) -> None:
    with sqlite3.connect(later.database) as connection:
        connection.execute("DROP TRIGGER openings_kept")
        connection.execute("DELETE FROM openings")
    ran = later.run(None, "verify", "--database", f"sqlite:///{later.database}", "--json")
    assert ran.code == 1
    assert {each["code"] for each in ran.json()["failures"]} == {"opening-missing"}
