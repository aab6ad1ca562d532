"""Break-glass: fewer people sign, or they signed before; never nobody, never unmarked, never unreviewed for long."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.emergencies import GLASS_CATALOG, ROOT, TWO, with_groups
from tests.world import BEGINNING, World

from countersign.domain.emergency import AfterReview, Emergency, Verdict
from countersign.domain.refusals import (
    AlreadyReviewed,
    ApprovalVoid,
    Conflict,
    Invalid,
    Limit,
    NotEligible,
    NotFound,
    NotPermitted,
    Refused,
    ReviewOutstanding,
    RuleChanged,
    SelfReview,
    WindowOver,
    WrongDigest,
    WrongState,
)
from countersign.domain.request import Request
from countersign.service.envelope_views import EnvelopeView
from countersign.service.memory import LogMemory
from countersign.store import Store, emergency_tables, schema

pytestmark = pytest.mark.slow

REFUSED = (Refused, sa.exc.DBAPIError)
DAY = 86400


@pytest.fixture
def world(store: Store, clock: Any) -> World:  # noqa: ANN401 - the clock of the other fixtures
    return World(store=store, clock=clock, catalog=GLASS_CATALOG, directory=with_groups())


def ask(world: World, who: str = "alice", incident: str = "INC-7", **more: Any) -> Request:  # noqa: ANN401 - fields of Ask
    emergency = Emergency(incident=incident, drill=more.pop("drill", False))
    return world.ask(who, ROOT, emergency=emergency, **more)


def opened(world: World, who: str = "alice", incident: str = "INC-7", by: str = "hugo", **more: Any) -> str:  # noqa: ANN401 - as ask
    request = ask(world, who, incident, **more)
    world.review(request, by)
    return grant_of(world, request)


def grant_of(world: World, request: Request) -> str:
    with world.store.read() as tx:
        grant = tx.grant_of_request(request.id)
    assert grant is not None
    return grant.id


def look_back(world: World, who: str, grant: str, verdict: Verdict = Verdict.JUSTIFIED) -> AfterReview:
    return world.broker.afterwards.review(world.principal(who), grant, verdict=verdict, comment="I looked")


def envelope(world: World, who: str = "bob", *signers: str, **changes: Any) -> EnvelopeView:  # noqa: ANN401 - fields
    said = {"not_before": None, "valid_s": 3 * DAY, "uses": 2, "max_duration_s": 300}
    view = world.broker.envelopes.propose(world.principal(who), entitlement_id=ROOT, **said | changes)
    for signer in signers:
        view = sign(world, signer, view)
    return view


def sign(world: World, who: str, view: EnvelopeView, digest: str | None = None) -> EnvelopeView:
    return world.broker.envelopes.sign(world.principal(who), view.envelope.id, digest=digest or view.envelope.digest)


def open_(world: World, view: EnvelopeView, who: str = "nina", incident: str = "INC-7", seconds: int = 60) -> Request:
    return world.broker.envelopes.open(
        world.principal(who),
        view.envelope.id,
        incident=incident,
        drill=False,
        duration_s=seconds,
        parameters={},
        reason="orders are stuck and nobody answers",
    )


def data_of(world: World, kind: str) -> list[dict[str, Any]]:
    return [json.loads(row["leaf"])["data"] for row in world.facts(kind)]


def attempt(store: Store, statement: sa.Executable) -> None:
    with store.begin() as tx:
        tx._connection.execute(statement)


# --- a smaller quorum of a wider group ---------------------------------------------------------------------------------


def test_one_of_a_wider_group_signs_in_an_emergency_and_the_skipped_are_named(world: World) -> None:
    grant = opened(world)
    assert world.draw(grant).lease.person == "alice"
    [fact] = data_of(world, "break-glass.opened")
    assert fact == {
        "request": fact["request"],
        "person": "alice",
        "entitlement": ROOT,
        "incident": "INC-7",
        "drill": False,
        "envelope": None,
        "approvers": ["hugo"],
        "skipped": ["bob", "carol"],
        "review_due": "2026-11-22T10:00:00.000Z",
    }


def test_the_wider_group_signs_nothing_but_emergencies(world: World) -> None:
    request = world.ask("alice", ROOT)
    with pytest.raises(NotEligible):
        world.review(request, "hugo")


def test_nobody_signs_his_own_emergency_and_no_role_stands_in(store: Store, clock: Any) -> None:  # noqa: ANN401 - as above
    directory = with_groups(responders=["alice", "bob"], **{"orders-owners": ["alice", "bob"]})
    world = World(store=store, clock=clock, catalog=GLASS_CATALOG, directory=directory)
    request = ask(world)
    for who in ("alice", "alice-laptop"):
        with pytest.raises(SelfReview):
            world.review(request, who)
    for who in ("olga", "nina", "erin", "bob-bot"):
        with pytest.raises((NotEligible, NotFound)):
            world.review(request, who)
    world.review(request, "bob")
    assert world.draw(grant_of(world, request)).lease.person == "alice"


def test_an_emergency_is_shorter_and_names_an_incident(world: World) -> None:
    with pytest.raises(Invalid) as refusal:
        ask(world, seconds=601)
    assert (refusal.value.field, refusal.value.rule) == (
        "duration_s",
        f"entitlement {ROOT}: min_duration_s = 10, break_glass.max_duration_s = 600",
    )
    assert world.ask("alice", ROOT, seconds=601).emergency is None
    for incident in ("", "x", "-1", "INC 7", "INC\n7", "x" * 41):
        with pytest.raises(Invalid) as refusal:
            Emergency(incident=incident)
        assert refusal.value.field == "emergency.incident"


def test_what_knows_no_break_glass_has_none(world: World) -> None:
    with pytest.raises(Invalid) as refusal:
        world.ask("alice", "orders-db-read", emergency=Emergency(incident="INC-7"))
    assert refusal.value.field == "emergency"


def test_the_mark_is_part_of_what_is_signed_and_a_drill_is_marked(world: World) -> None:
    request = ask(world, drill=True)
    assert request.statement()["emergency"] == {"incident": "INC-7", "drill": True, "envelope": None}
    assert "emergency" not in world.ask("alice", ROOT).statement()
    world.review(request, "hugo")
    assert data_of(world, "break-glass.opened")[0]["drill"] is True


@pytest.mark.parametrize("change", [{"incident": None, "drill": None}, {"incident": "INC-8"}, {"drill": True}])
def test_the_mark_is_never_removed_even_past_the_service(world: World, change: dict[str, Any]) -> None:
    ask(world)
    with pytest.raises(REFUSED):
        attempt(world.store, schema.requests.update().values(**change))


def test_a_mark_taken_away_with_the_guards_down_voids_the_approval(world: World) -> None:
    if world.store._engine.dialect.name != "sqlite":
        drop = "ALTER TABLE requests DISABLE TRIGGER ALL"
    else:
        drop = "DROP TRIGGER requests_pinned"
    grant = opened(world)
    attempt(world.store, sa.text(drop))
    attempt(world.store, schema.requests.update().values(incident=None, drill=None))
    with pytest.raises(ApprovalVoid):
        world.draw(grant)


def test_who_signed_an_emergency_and_left_the_wider_group_no_longer_counts(world: World) -> None:
    grant = opened(world)
    world.adopt(directory=with_groups(responders=["bob", "carol"]))
    with pytest.raises(ApprovalVoid):
        world.draw(grant)


# --- the review afterwards ---------------------------------------------------------------------------------------------


def test_neither_requester_nor_granter_reviews_afterwards(world: World) -> None:
    grant = opened(world, by="bob")
    for who in ("alice", "alice-laptop", "bob"):
        with pytest.raises(SelfReview):
            look_back(world, who, grant)
    for who in ("hugo", "erin", "olga"):
        with pytest.raises(NotEligible):
            look_back(world, who, grant)
    with pytest.raises(NotFound):
        look_back(world, "frank", grant)
    given = look_back(world, "carol", grant)
    assert (given.reviewer, given.verdict) == ("carol", Verdict.JUSTIFIED)
    with pytest.raises(AlreadyReviewed):
        look_back(world, "carol", grant)
    [fact] = data_of(world, "break-glass.reviewed")
    assert (fact["verdict"], fact["incident"], fact["late"]) == ("justified", "INC-7", False)


@pytest.mark.parametrize("reviewer", ["alice", "bob"])
def test_the_database_refuses_requester_and_granter_as_reviewers_too(world: World, reviewer: str) -> None:
    opened(world, by="bob")
    said = {"reviewer": reviewer, "verdict": "justified", "reviewed_at": BEGINNING}
    with pytest.raises(REFUSED):
        attempt(world.store, emergency_tables.after_reviews.update().values(**said))


def test_a_word_that_was_given_and_what_is_owed_cannot_be_changed(world: World) -> None:
    grant = opened(world)
    table = emergency_tables.after_reviews
    changes: list[dict[str, Any]] = [{"due_at": BEGINNING + timedelta(days=9)}, {"incident": "INC-8"}, {"granters": []}]
    for change in changes:
        with pytest.raises(REFUSED):
            attempt(world.store, table.update().values(**change))
    with pytest.raises(REFUSED):
        attempt(world.store, table.delete())
    look_back(world, "carol", grant)
    with pytest.raises(REFUSED):
        attempt(world.store, table.update().values(verdict="not-justified"))


def test_what_was_not_justified_and_is_open_is_revoked(world: World) -> None:
    grant = opened(world)
    world.draw(grant)
    look_back(world, "bob", grant, Verdict.NOT_JUSTIFIED)
    world.sweep()
    assert not world.provider.target.live or not any(map(world.provider.works, world.provider.target.live))


def test_until_the_review_only_the_same_incident_and_only_so_often(world: World) -> None:
    first = opened(world)
    with pytest.raises(ReviewOutstanding):
        ask(world, incident="INC-8")
    second = opened(world)
    with pytest.raises(ReviewOutstanding) as refusal:
        ask(world)
    assert "somebody else on call" in (refusal.value.hint or "")
    assert ask(world, "dave", "INC-8").person == "dave"
    look_back(world, "bob", first)
    with pytest.raises(ReviewOutstanding):
        ask(world, incident="INC-8")
    look_back(world, "bob", second)
    assert ask(world, incident="INC-8").person == "alice"


def test_two_emergencies_asked_at_once_are_not_both_granted(world: World) -> None:
    one, other = ask(world, incident="INC-7"), ask(world, incident="INC-8")
    world.review(one, "hugo")
    with pytest.raises(ReviewOutstanding):
        world.review(other, "hugo")
    assert len(data_of(world, "break-glass.opened")) == 1


def test_what_nobody_reviews_in_time_is_escalated_once_and_stays_owed(world: World) -> None:
    grant = opened(world)
    world.clock.forward(seconds=3599)
    world.sweep()
    assert not data_of(world, "break-glass.unreviewed")
    world.clock.forward(seconds=1)
    for _ in range(3):
        world.sweep()
    [fact] = data_of(world, "break-glass.unreviewed")
    assert (fact["person"], fact["incident"], fact["drill"]) == ("alice", "INC-7", False)
    with pytest.raises(ReviewOutstanding):
        ask(world, incident="INC-8")
    world.clock.forward(seconds=1)
    look_back(world, "bob", grant)
    assert data_of(world, "break-glass.reviewed")[0]["late"] is True
    assert world.broker.afterwards.reviews(world.principal("erin"), owed=True, limit=9) == []


# --- envelopes ---------------------------------------------------------------------------------------------------------


def test_who_is_on_call_opens_what_two_people_signed_before(world: World) -> None:
    view = envelope(world, "bob", "bob", "carol")
    assert (view.state, view.uses_left) == ("in-force", 2)
    world.clock.forward(hours=12)
    request = open_(world, view)
    assert (request.state.value, request.person) == ("approved", "nina")
    assert world.draw(grant_of(world, request), "nina").lease.person == "nina"
    [fact] = data_of(world, "break-glass.opened")
    assert (fact["envelope"], fact["approvers"], fact["skipped"]) == (view.envelope.id, ["bob", "carol"], [])
    assert data_of(world, "grant.opened")[-1]["approvers"] == ["bob", "carol"]


def test_an_envelope_takes_two_people_and_the_whole_rule(world: World) -> None:
    view = envelope(world, "carol", "carol")
    assert view.state == "unsigned"
    with pytest.raises(AlreadyReviewed):
        sign(world, "carol", view)
    with pytest.raises(ApprovalVoid):
        open_(world, view)
    assert world.facts("grant.opened") == []
    assert sign(world, "bob", view).state == "in-force"


def test_one_signature_never_suffices_even_where_the_rule_asks_for_one(store: Store, clock: Any) -> None:  # noqa: ANN401 - as above
    items = [e | {"review": TWO[:1]} if e["id"] == ROOT else e for e in GLASS_CATALOG["entitlement"]]
    world = World(store=store, clock=clock, catalog={**GLASS_CATALOG, "entitlement": items}, directory=with_groups())
    view = envelope(world, "bob", "bob")
    assert (view.state, view.quorum and view.quorum.reached) == ("unsigned", True)
    with pytest.raises(ApprovalVoid, match="1 of those who signed"):
        open_(world, view)
    sign(world, "carol", view)
    assert open_(world, view).person == "nina"


@pytest.mark.parametrize("who", ["alice", "nina", "hugo", "olga", "erin", "bob-bot"])
def test_nobody_but_who_signs_normally_signs_an_envelope(world: World, who: str) -> None:
    with pytest.raises((NotEligible, NotFound)):
        sign(world, who, envelope(world))
    with pytest.raises(NotEligible):
        envelope(world, who)


def test_a_signer_and_a_writer_do_not_open_their_envelope(store: Store, clock: Any) -> None:  # noqa: ANN401 - as above
    shift = {"night-shift": ["bob", "carol", "nina"], "orders-owners": ["bob", "dora"]}
    directory = with_groups(**shift)
    directory["person"] = [*directory["person"], {"id": "dora", "name": "Dora"}]
    world = World(store=store, clock=clock, catalog=GLASS_CATALOG, directory=directory)
    view = envelope(world, "bob", "dora", "carol")
    for who in ("bob", "carol"):
        with pytest.raises(SelfReview):
            open_(world, view, who)
    assert open_(world, view, "nina").person == "nina"
    world.adopt(
        directory={
            **directory,
            "group": [
                g | {"members": [*g["members"], "nina"]} if g["id"] == "orders-owners" else g
                for g in directory["group"]
            ],
        }
    )
    with pytest.raises(REFUSED):
        attempt(
            world.store,
            emergency_tables.envelope_signatures.insert().values(
                envelope_id=view.envelope.id, person="nina", principal="nina", digest="0" * 64, at=BEGINNING
            ),
        )


def test_only_who_is_on_call_and_may_ask_opens(world: World) -> None:
    view = envelope(world, "bob", "bob", "carol")
    for who in ("alice", "hugo", "olga", "erin", "frank"):
        with pytest.raises(NotPermitted):
            open_(world, view, who)
    world.adopt(directory=with_groups(security=["carol", "hugo"]))
    with pytest.raises(NotEligible):
        open_(world, view, "hugo")


def test_an_envelope_is_over_used_up_or_revoked(world: World) -> None:
    view = envelope(world, "bob", "bob", "carol", not_before=BEGINNING + timedelta(hours=1), uses=1)
    assert view.state == "waiting"
    with pytest.raises(WrongState):
        open_(world, view)
    world.clock.forward(hours=1)
    open_(world, view)
    with pytest.raises(Limit):
        open_(world, view)
    second = envelope(world, "bob", "bob", "carol")
    with pytest.raises(WrongDigest):
        sign(world, "carol", envelope(world, "bob"), digest=second.envelope.digest)
    world.clock.forward(days=3)
    with pytest.raises(WindowOver):
        open_(world, second)
    third = envelope(world, "bob", "bob", "carol")
    world.broker.envelopes.revoke(world.principal("olga"), third.envelope.id)
    with pytest.raises(WrongState):
        open_(world, third)
    with pytest.raises(Conflict):
        world.broker.envelopes.revoke(world.principal("olga"), third.envelope.id)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"valid_s": 7 * DAY + 1}, "valid_s"),
        ({"valid_s": 0}, "valid_s"),
        ({"not_before": BEGINNING - timedelta(seconds=1)}, "not_before"),
        ({"not_before": BEGINNING + timedelta(days=4, seconds=1)}, "not_before"),
        ({"uses": 0}, "uses"),
        ({"uses": 21}, "uses"),
        ({"max_duration_s": 601}, "max_duration_s"),
        ({"max_duration_s": 9}, "max_duration_s"),
    ],
)
def test_an_envelope_is_narrow(world: World, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        envelope(world, **changes)
    assert refusal.value.field == field


def test_longer_than_was_signed_is_not_opened(world: World) -> None:
    with pytest.raises(Invalid) as refusal:
        open_(world, envelope(world, "bob", "bob", "carol"), seconds=301)
    assert refusal.value.field == "duration_s"


def test_a_changed_rule_voids_its_envelopes(world: World) -> None:
    view = envelope(world, "bob", "bob", "carol")
    items = [e | {"draws": 2} if e["id"] == ROOT else e for e in GLASS_CATALOG["entitlement"]]
    world.adopt(catalog={**GLASS_CATALOG, "entitlement": items})
    with pytest.raises(RuleChanged):
        open_(world, view)
    assert world.broker.envelopes.envelope(world.principal("bob"), view.envelope.id).state == "void"


@pytest.mark.parametrize("event", ["signer left", "off call", "revoked"])
def test_the_envelope_is_judged_again_at_the_draw(world: World, event: str) -> None:
    view = envelope(world, "bob", "bob", "carol")
    grant = grant_of(world, open_(world, view))
    if event == "signer left":
        world.adopt(directory=with_groups(**{"orders-owners": ["carol"]}))
    elif event == "off call":
        directory = with_groups(**{"night-shift": ["dave"]})
        directory["group"] = [
            g | {"members": [*g["members"], "nina"]} if g["id"] == "engineers" else g for g in directory["group"]
        ]
        world.adopt(directory=directory)
    else:
        world.broker.envelopes.revoke(world.principal("bob"), view.envelope.id)
    with pytest.raises((ApprovalVoid, NotEligible)):
        world.draw(grant, "nina")
    assert not world.provider.target.live


def test_a_signer_of_the_envelope_does_not_review_afterwards(world: World) -> None:
    grant = grant_of(world, open_(world, envelope(world, "bob", "bob", "carol")))
    for who in ("bob", "carol", "nina"):
        with pytest.raises(SelfReview):
            look_back(world, who, grant)
    said = {"reviewer": "carol", "verdict": "justified", "reviewed_at": BEGINNING}
    with pytest.raises(REFUSED):
        attempt(world.store, emergency_tables.after_reviews.update().values(**said))
    assert world.broker.control.revoke(world.principal("carol"), grant, reason="false alarm").state.value == "revoked"


def test_signatures_and_the_words_of_an_envelope_are_kept_as_they_were(world: World) -> None:
    envelope(world, "bob", "bob")
    tables = emergency_tables
    for statement in (
        tables.envelope_signatures.update().values(person="carol"),
        tables.envelope_signatures.delete(),
        tables.envelopes.update().values(uses=20),
        tables.envelopes.update().values(not_after=BEGINNING + timedelta(days=30)),
        tables.envelopes.delete(),
    ):
        with pytest.raises(REFUSED):
            attempt(world.store, statement)


def test_a_use_is_counted_from_the_requests_that_bear_the_envelope(world: World) -> None:
    view = envelope(world, "bob", "bob", "carol")
    open_(world, view)
    again = world.broker.envelopes.envelope(world.principal("bob"), view.envelope.id)
    assert again.uses_left == 1


def test_of_two_who_open_the_last_use_at_once_one_does(world: World) -> None:
    view = envelope(world, "bob", "bob", "carol", uses=1)
    begin = threading.Barrier(2)
    outcomes: dict[str, str] = {}

    def try_it(who: str) -> None:
        begin.wait()
        try:
            outcomes[who] = open_(world, view, who).state.value
        except Refused as refusal:
            outcomes[who] = refusal.code

    threads = [threading.Thread(target=try_it, args=(who,)) for who in ("nina", "dave")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes.values()) == ["approved", "limit"]
    assert len(data_of(world, "break-glass.opened")) == 1


@pytest.mark.parametrize("who", ["bob", "carol"])
def test_the_database_refuses_a_request_by_which_a_signer_would_open_his_envelope(world: World, who: str) -> None:
    opened_by_nina = open_(world, envelope(world, "bob", "bob", "carol"))
    with world.store.read() as tx:
        query = sa.select(schema.requests).where(schema.requests.c.id == opened_by_nina.id)
        row = dict(tx._connection.execute(query).mappings().one())
    with pytest.raises(REFUSED):
        attempt(world.store, schema.requests.insert().values(**row | {"id": "req_zzzzzzzzzzzzzzzz", "person": who}))
    attempt(world.store, schema.requests.insert().values(**row | {"id": "req_yyyyyyyyyyyyyyyy", "person": "dave"}))
    with world.store.read() as tx:
        assert tx.times_opened(row["envelope_id"]) == 2


def past_the_guards(world: World, table: str, statement: sa.Executable) -> None:
    """Write as whoever owns the database can."""
    with world.store.begin() as tx:
        if world.store.is_embedded:
            named = sa.text("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :table")
            for trigger in list(tx._connection.execute(named, {"table": table}).scalars()):
                tx._connection.exec_driver_sql(f'DROP TRIGGER "{trigger}"')
        else:
            tx._connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        tx._connection.execute(statement)


def test_a_revocation_of_an_envelope_that_is_hidden_in_the_database_still_holds(world: World) -> None:
    view = envelope(world, "bob", "bob", "carol")
    grant = grant_of(world, open_(world, view))
    world.broker.envelopes.revoke(world.principal("bob"), view.envelope.id)
    unrevoked = emergency_tables.envelopes.update().values(revoked_at=None, revoked_by=None)
    past_the_guards(world, "envelopes", unrevoked)
    with pytest.raises(ApprovalVoid, match="as the log has it"):
        world.draw(grant, "nina")
    assert not world.provider.target.live


def test_an_envelope_opens_no_oftener_when_the_requests_that_opened_it_are_hidden(world: World) -> None:
    view = envelope(world, "bob", "bob", "carol", uses=1)
    grant = grant_of(world, open_(world, view))
    world.draw(grant, "nina")
    other = envelope(world, "bob", "bob", "carol", uses=1)
    hidden = schema.requests.update().values(envelope_id=other.envelope.id)
    past_the_guards(world, "requests", hidden)
    past_the_guards(world, "after_reviews", emergency_tables.after_reviews.delete())
    second = grant_of(world, open_(world, view))
    with pytest.raises(ApprovalVoid, match="as the log has it"):
        world.draw(second, "nina")


def test_which_requests_opened_an_envelope_is_remembered_over_a_restart(world: World, tmp_path: Path) -> None:
    view = envelope(world, "bob", "bob", "carol")
    grant = grant_of(world, open_(world, view))
    path = tmp_path / "memory.json"
    for _ in range(2):
        memory = LogMemory(path=path)
        memory.wake(world.store)
        memory.keep()
    kept = json.loads(path.read_text())
    assert list(kept["envelopes"]["openings"]) == [view.envelope.id]
    path.write_text(json.dumps({name: value for name, value in kept.items() if name != "envelopes"}))
    issuer = replace(world.issuing.issuer, memory=LogMemory(path=path))
    assert issuer.draw(world.principal("nina"), grant).lease.grant_id == grant
