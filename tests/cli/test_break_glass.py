"""Break-glass from a shell: asking with a second person awake, envelopes for when there is none, and the word afterwards."""

from __future__ import annotations

import pytest
from tests.cli.desk import Desk
from tests.emergencies import GLASS_CATALOG, ROOT, with_groups

from countersign.cli.commands.emergencies import _demand_true
from countersign.cli.failures import CommandFailed
from countersign.cli.statement import demand_true


@pytest.fixture
def glass(desk: Desk) -> Desk:
    desk.world.adopt(catalog=GLASS_CATALOG, directory=with_groups())
    desk.tokens |= {who: desk.world.broker.gate.issue(who) for who in ("hugo", "nina")}
    return desk


def test_an_emergency_is_asked_for_signed_used_and_looked_back_at(glass: Desk) -> None:
    made = glass.asked("alice", "--break-glass", "INC-7", "--drill", what=ROOT)
    assert made["emergency"] == {"incident": "INC-7", "drill": True, "envelope": None}
    shown = glass.run("hugo", "show", made["id"])
    assert "INC-7 (a drill)" in shown.out
    signed = glass.run("hugo", "approve", made["id"], "--digest", made["digest"], "--json").json()
    assert glass.run("alice", "draw", signed["grant_id"], "--json").code == 0
    assert "owed" in glass.run("bob", "ls", "after-reviews").out
    word = ("after-review", made["id"], "--verdict", "justified", "--comment", "we practised")
    assert glass.run("alice", *word).code == 6
    assert "was justified" in glass.run("bob", *word).out
    assert "justified" in glass.run("erin", "ls", "after-reviews").out


def test_an_envelope_is_written_signed_shown_opened_and_revoked(glass: Desk) -> None:
    made = glass.run("bob", "envelope", "propose", ROOT, "--valid", "3d", "--for", "5m", "--json").json()
    for who in ("bob", "carol"):
        assert glass.run(who, "envelope", "sign", made["id"], "--digest", made["digest"]).code == 0
    assert "in-force" in glass.run("nina", "envelope", "show", made["id"]).out
    opening = ("envelope", "open", made["id"], "--incident", "INC-9", "--for", "2m", "--reason", "nobody answers")
    assert glass.run("carol", *opening).code == 6
    opened = glass.run("nina", *opening)
    assert opened.code == 0, opened.err
    assert f"INC-9, by {made['id']}" in opened.out
    assert "countersign draw grt_" in opened.err
    assert "used-up" in glass.run("nina", "envelope", "ls").out
    assert "used-up" in glass.run("nina", "ls", "envelopes").out
    assert "revoked" in glass.run("carol", "envelope", "revoke", made["id"]).out


def test_what_makes_no_sense_is_refused_before_the_broker_is_asked(glass: Desk) -> None:
    said = ("request", ROOT, "--for", "1m", "--reason", "x", "--drill")
    assert glass.run("alice", *said).code == 2
    assert glass.run("bob", "envelope", "show", "req_aaaaaaaaaaaaaaaa").code == 2


def test_a_mark_that_is_hidden_or_made_up_is_not_signed(glass: Desk) -> None:
    marked = glass.asked("alice", "--break-glass", "INC-7", what=ROOT)
    plain = glass.asked("alice")
    demand_true(marked)
    hidden = {name: value for name, value in marked.items() if name != "emergency"}
    made_up = plain | {"emergency": marked["emergency"]}
    for lie in (hidden, made_up, marked | {"emergency": marked["emergency"] | {"incident": "INC-8"}}):
        with pytest.raises(CommandFailed, match="mark of an emergency"):
            demand_true(lie)


def test_an_envelope_that_shows_what_its_digest_does_not_bind_is_not_signed(glass: Desk) -> None:
    made = glass.run("bob", "envelope", "propose", ROOT, "--valid", "1d", "--for", "5m", "--json").json()
    _demand_true(made)
    for lie in ({"uses": 9}, {"statement": None}, {"digest": "0" * 64}, {"statement": made["statement"] | {"uses": 9}}):
        with pytest.raises(CommandFailed, match="do not sign"):
            _demand_true(made | lie)
