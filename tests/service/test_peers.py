"""Failures of systems that do this job elsewhere, each tried here as an attacker would, over the API."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import httpx2
import pytest
from tests.api.calling import Api, ask
from tests.quick import quick_world
from tests.world import CATALOG, DIRECTORY, World, entitlement

from countersign.auditlog.leaf import Leaf
from countersign.config.catalog import parse_catalog
from countersign.config.directory import parse_directory
from countersign.config.problems import ConfigError
from countersign.domain.entitlement import Factor
from countersign.domain.lease import LeaseState
from countersign.domain.review import Quorum, could_be_reached
from countersign.providers.fake import Fault
from countersign.service.verification import verify_store
from countersign.store import Stop, schema

TWO: dict[str, Any] = {"entitlement": "orders-db-write", "parameters": {"table": "orders"}}
PAIR = [{"group": "orders-owners", "count": 2}]


@pytest.fixture
def world() -> Iterator[World]:
    with quick_world(directory=directory(dave="orders-owners", olga="engineers", frank="engineers")) as made:
        yield made


@pytest.fixture
def api(world: World) -> Api:
    return Api(world=world)


def directory(**joining: str) -> dict[str, Any]:
    """Return the directory with people in further groups: dave asks and signs, olga and frank ask besides what they do."""
    made = copy.deepcopy(DIRECTORY)
    for person, group in joining.items():
        next(g for g in made["group"] if g["id"] == group)["members"].append(person)
    return made


def leaving(made: dict[str, Any], person: str, *groups: str) -> dict[str, Any]:
    changed = copy.deepcopy(made)
    for group in changed["group"]:
        if group["id"] in groups:
            group["members"].remove(person)
    return changed


def said(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "ok")


def review(api: Api, who: str, request: dict[str, Any], **changes: Any) -> tuple[int, str]:  # noqa: ANN401 - fields of the body
    body = {"decision": "approve", "digest": request["digest"]} | changes
    return said(api.post(who, f"/v1/requests/{request['id']}/reviews", json=body))


def state(api: Api, request: dict[str, Any]) -> str:
    return str(api.get("erin", f"/v1/requests/{request['id']}").json()["state"])


def drawn(api: Api, grant: str, who: str = "alice") -> str:
    answer = api.draw(grant, who)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["lease"]["id"])


def refused_draw(api: Api, grant: str, who: str = "alice") -> tuple[int, str]:
    issued = dict(api.world.provider.target.issued)
    answer = said(api.draw(grant, who))
    assert api.world.provider.target.issued == issued
    return answer


# --- who counts --------------------------------------------------------------------------------------------------------


def test_an_operator_is_not_exempt_from_self_review_and_signs_for_nobody(api: Api) -> None:
    own = api.asked("olga")
    assert review(api, "olga", own) == (403, "self-review")
    assert review(api, "olga", api.asked("alice")) == (403, "not-eligible")
    assert state(api, own) == "pending"


def test_people_are_counted_and_not_their_groups(api: Api) -> None:
    request = api.asked(**TWO)
    assert review(api, "carol", request) == (200, "ok")
    assert review(api, "carol", request) == (409, "already-reviewed")
    assert state(api, request) == "pending"
    assert review(api, "bob", request) == (200, "ok")
    assert state(api, request) == "approved"


def test_a_token_a_machine_and_their_owner_are_one_person(api: Api) -> None:
    request = api.asked("alice-laptop")
    assert review(api, "alice", request) == (403, "self-review")
    assert review(api, "bob-bot", request) == (403, "not-eligible")
    assert review(api, "bob", request) == (200, "ok")


def test_an_approver_who_asks_does_not_sign_for_himself_and_may_for_his_peer(api: Api) -> None:
    request = api.asked("dave")
    assert review(api, "dave", request) == (403, "self-review")
    assert review(api, "bob", request) == (200, "ok")
    assert review(api, "dave", api.asked("alice")) == (200, "ok")


def test_one_approver_in_many_requests_at_once_counts_once(api: Api) -> None:
    items = [entitlement("orders-db-read", review=PAIR)]
    api.world.adopt(catalog={**CATALOG, "entitlement": items})
    request = api.asked()
    answers: list[tuple[int, str]] = []
    together = threading.Barrier(4)

    def sign() -> None:
        together.wait()
        answers.append(review(api, "bob", request))

    threads = [threading.Thread(target=sign) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers).count((200, "ok")) == 1
    assert {code for _, code in answers} <= {"ok", "already-reviewed", "conflict"}
    assert state(api, request) == "pending"


def test_groups_are_known_by_their_whole_id_and_hold_persons_only() -> None:
    for change in ({"id": "Security"}, {"id": "orders-owners "}, {"members": ["security"]}, {"members": ["bob-bot"]}):
        groups = [g | change if g["id"] == "orders-owners" else g for g in DIRECTORY["group"]]
        with pytest.raises(ConfigError):
            parse_directory({**DIRECTORY, "group": groups})


# --- nobody means nobody -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [[], [{"group": "security", "count": 0}], [{"group": "security", "count": -1}]])
def test_no_approvals_asked_for_is_no_rule_and_is_refused(rule: list[dict[str, Any]]) -> None:
    with pytest.raises(ConfigError):
        parse_catalog({**CATALOG, "entitlement": [entitlement("orders-db-read", review=rule)]})


@pytest.mark.parametrize("rule", [(), (Factor(group="security", count=0),)])
def test_a_rule_that_asks_for_nobody_is_never_fulfilled_even_if_it_got_past_the_reader(
    rule: tuple[Factor, ...],
) -> None:
    assert not could_be_reached(rule, requester="alice", directory=parse_directory(DIRECTORY))
    assert not Quorum(factors=()).reached


def test_what_no_rule_names_cannot_be_had(api: Api) -> None:
    assert said(api.post("alice", "/v1/requests", json=ask(entitlement="customers-db"))) == (422, "invalid")
    assert said(api.post("alice", "/v1/requests", json=ask(entitlement="orders-db-nobody"))) == (403, "not-eligible")


def test_an_empty_group_of_approvers_is_nobody_and_the_request_is_refused_at_once(api: Api) -> None:
    api.world.adopt(directory=leaving(api.world.directory, "carol", "security"))
    assert said(api.post("alice", "/v1/requests", json=ask(**TWO))) == (422, "nobody-can-approve")


def test_a_request_says_who_may_approve_it_and_its_requester_learns_the_outcome(api: Api) -> None:
    request = api.asked()
    assert request["review"] == [{"group": "orders-owners", "count": 1, "have": 0}]
    assert review(api, "bob", request, decision="deny") == (200, "ok")
    seen = api.get("alice", f"/v1/requests/{request['id']}").json()
    assert seen["state"] == "denied"
    assert "bob" in str(seen)


# --- what was approved is what is given --------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "POST"])
def test_a_submitted_request_knows_no_edit(api: Api, method: str) -> None:
    request = api.asked()
    answer = api.call("alice", method, f"/v1/requests/{request['id']}", json={"duration_s": 3600})
    assert answer.status_code == HTTPStatus.METHOD_NOT_ALLOWED


@pytest.mark.parametrize(
    "extra",
    [{"state": "approved"}, {"approved_by": "bob"}, {"person": "dave"}, {"draws": 9}, {"not_after": "2027-01-01"}],
)
def test_a_caller_assigns_nothing_that_is_not_his(api: Api, extra: dict[str, Any]) -> None:
    assert said(api.post("alice", "/v1/requests", json=ask(**extra))) == (422, "invalid")
    assert review(api, "bob", api.asked(), **extra) == (422, "invalid")


def test_who_reviews_is_who_signed_in_whatever_the_body_says(api: Api) -> None:
    request = api.asked()
    assert review(api, "alice", request, person="bob") == (422, "invalid")
    assert review(api, "frank", request) == (404, "not-found")
    assert state(api, request) == "pending"


def test_a_request_whose_record_was_changed_after_its_approval_gives_nothing(api: Api) -> None:
    grant = api.granted(duration_s=60)
    with api.world.store.begin() as tx:
        tx._connection.exec_driver_sql("DROP TRIGGER requests_pinned")
        tx._connection.execute(schema.requests.update().values(duration_s=3600))
    assert refused_draw(api, grant) == (409, "approval-void")


def test_a_record_that_was_changed_all_through_but_for_the_grant_gives_nothing(api: Api) -> None:
    grant = api.granted(duration_s=60)
    with api.world.store.begin() as tx:
        for trigger in ("requests_pinned", "reviews_UPDATE_refused"):
            tx._connection.exec_driver_sql(f"DROP TRIGGER {trigger}")
        tx._connection.execute(schema.requests.update().values(duration_s=3600))
        [request] = tx.requests()
        tx._connection.execute(schema.requests.update().values(digest=request.digest))
        tx._connection.execute(schema.reviews.update().values(digest=request.digest))
    assert refused_draw(api, grant) == (409, "approval-void")


def test_a_digest_of_something_else_approves_nothing(api: Api) -> None:
    one, other = api.asked(), api.asked(duration_s=61)
    assert review(api, "bob", one, digest=other["digest"]) == (409, "wrong-digest")
    assert state(api, one) == "pending"


def test_a_path_in_a_parameter_reaches_no_provider(api: Api) -> None:
    for value in ("../orders", "orders/", "orders\u0000", "*", ""):
        answer = api.post("alice", "/v1/requests", json=ask(**{**TWO, "parameters": {"table": value}}))
        assert said(answer) == (422, "invalid")


def test_an_endless_reason_is_refused(api: Api) -> None:
    assert said(api.post("alice", "/v1/requests", json=ask(reason="x" * 2001))) == (422, "invalid")
    assert said(api.post("alice", "/v1/requests", json=ask(reason="x" * 70_000))) == (413, "too-large")


# --- it ends -----------------------------------------------------------------------------------------------------------


def test_each_grant_has_a_credential_of_its_own_and_an_elapsed_one_is_not_armed_again(api: Api) -> None:
    request = api.asked()
    first = api.draw(str(api.approve("bob", request)["grant_id"])).json()
    second = api.draw(api.granted()).json()
    assert first["credential"]["password"] != second["credential"]["password"]
    api.world.clock.forward(seconds=61)
    api.world.sweep()
    assert review(api, "bob", request) == (409, "already-reviewed")
    assert review(api, "carol", request) == (409, "wrong-state")
    assert refused_draw(api, first["lease"]["grant_id"])[1] in {"wrong-state", "window-over"}
    assert not any(api.world.provider.works(answer["lease"]["id"]) for answer in (first, second))


def test_the_first_end_does_not_take_a_second_grant_with_it(api: Api) -> None:
    first, second = drawn(api, api.granted(duration_s=60)), drawn(api, api.granted(duration_s=600))
    api.world.clock.forward(seconds=61)
    api.world.sweep()
    assert (api.world.provider.works(first), api.world.provider.works(second)) == (False, True)


def test_a_credential_drawn_late_does_not_get_the_whole_time_again(api: Api) -> None:
    grant = api.granted(entitlement="orders-db-thrice", duration_s=60)
    first = api.draw(grant).json()["lease"]["not_after"]
    api.world.clock.forward(seconds=59)
    assert api.draw(grant).json()["lease"]["not_after"] == first
    api.world.clock.forward(seconds=1)
    assert refused_draw(api, grant) == (410, "window-over")


def test_waiting_for_a_review_eats_none_of_the_time_and_waits_are_bounded(api: Api) -> None:
    request = api.asked(duration_s=60)
    api.world.clock.forward(seconds=500)
    grant = str(api.approve("bob", request)["grant_id"])
    api.world.clock.forward(seconds=200)
    assert api.world.provider.works(drawn(api, grant))
    late, unsigned = api.granted(), api.asked()
    api.world.clock.forward(seconds=601)
    api.world.sweep()
    assert refused_draw(api, late)[1] in {"wrong-state", "window-over"}
    assert state(api, unsigned) == "lapsed"


@pytest.mark.parametrize("who", ["alice", "bob", "olga"])
def test_revoking_ends_what_is_live_and_nothing_revives_it(api: Api, who: str) -> None:
    grant = api.granted(entitlement="orders-db-thrice")
    lease = drawn(api, grant)
    assert api.post(who, f"/v1/grants/{grant}/revoke", json={"reason": "it looks wrong"}).status_code == 200
    api.world.sweep()
    assert not api.world.provider.works(lease)
    assert refused_draw(api, grant) == (409, "wrong-state")
    api.world.clock.forward(seconds=-30)
    assert refused_draw(api, grant) == (503, "stopped")


def test_access_is_handed_back_early_and_says_so(api: Api) -> None:
    grant = api.granted()
    lease = drawn(api, grant)
    assert api.post("alice", f"/v1/grants/{grant}/return").json()["state"] == "returned"
    api.world.sweep()
    assert not api.world.provider.works(lease)


def test_a_revocation_that_fails_is_told_and_tried_until_it_is_seen(api: Api) -> None:
    lease = drawn(api, api.granted(duration_s=60))
    api.world.clock.forward(seconds=60)
    for _ in range(12):  # twice as often as others give up
        api.world.provider.faults["end"] = Fault.LIES
        api.world.clock.forward(seconds=2)
        api.world.provider.target.live[lease] = api.world.clock.at.replace(year=2030)
        api.world.restart()
        api.world.sweep()
        assert api.get("erin", f"/v1/leases/{lease}").json()["state"] == LeaseState.REVOKING
    assert len(api.world.facts("lease.overdue")) == 1
    api.world.provider.faults.clear()
    api.world.restart()
    api.world.sweep()
    assert not api.world.provider.works(lease)
    assert api.get("erin", f"/v1/leases/{lease}").json()["state"] == LeaseState.REVOKED


def test_a_stop_holds_back_even_a_grant_that_slipped_past_it(api: Api) -> None:
    """A stop ends what is open; an approval that commits at the same moment may still open something after it."""
    grant = api.granted()
    with api.world.store.begin() as tx:
        tx.add_stop(Stop(id="stp_aaaaaaaaaaaaaaaa", scope="person", target="alice", placed_by="olga", placed_at=tx.now))
    assert refused_draw(api, grant) == (503, "stopped")


def test_an_entitlement_that_is_deleted_ends_what_was_drawn_under_it(api: Api) -> None:
    lease, undrawn = drawn(api, api.granted(duration_s=60)), api.granted()
    api.world.adopt(catalog={**CATALOG, "entitlement": [entitlement("something-else")]})
    assert refused_draw(api, undrawn) == (409, "rule-changed")
    api.world.clock.forward(seconds=61)
    api.world.sweep()
    assert not api.world.provider.works(lease)


# --- the rules obey the rules ------------------------------------------------------------------------------------------


def test_an_approver_who_lost_the_role_no_longer_counts_and_a_new_one_does_not_reach_back(api: Api) -> None:
    grant = api.granted(by=("bob",))
    api.world.adopt(directory=leaving(api.world.directory, "bob", "orders-owners"))
    assert refused_draw(api, grant) == (409, "approval-void")


def test_a_requester_who_lost_the_role_no_longer_draws(api: Api) -> None:
    grant = api.granted()
    api.world.adopt(directory=leaving(api.world.directory, "alice", "engineers"))
    assert refused_draw(api, grant) == (403, "not-eligible")


def test_a_disabled_person_has_nothing_left_anywhere(api: Api) -> None:
    pending, grant = api.asked(), api.granted()
    lease = drawn(api, api.granted())
    body = {"reason": "left the company"}
    assert api.post("olga", "/v1/persons/alice/disable", json=body).status_code == 200
    for account in ("alice", "alice-laptop"):
        for path in ("/v1/me", "/v1/requests", "/v1/grants", "/v1/leases", "/v1/entitlements"):
            assert said(api.get(account, path)) == (401, "unauthenticated")
        assert said(api.draw(grant, account)) == (401, "unauthenticated")
    assert review(api, "bob", pending) == (409, "wrong-state")
    api.world.sweep()
    assert not api.world.provider.works(lease)


def test_who_wrote_a_rule_has_nothing_from_it(api: Api) -> None:
    wider = [entitlement("orders-db-read", max_duration_s=7200)]
    api.world.adopt(catalog={**CATALOG, "entitlement": wider})  # frank proposes, grace approves
    assert said(api.post("frank", "/v1/requests", json=ask())) == (403, "not-eligible")


def test_an_approver_who_turns_out_to_have_written_the_rule_no_longer_counts(api: Api) -> None:
    grant = api.granted(by=("bob",))
    with api.world.store.begin() as tx:
        tx.set_rule_authors("orders-db-read", {"bob", "grace"})
    api.world.restart()  # the rules are read anew
    assert refused_draw(Api(world=api.world, tokens=api.tokens), grant) == (409, "approval-void")


def test_no_call_adds_a_member_a_role_or_an_approval(api: Api) -> None:
    """Members and roles change by a proposal that another author approves, and in no other way."""
    paths = api.app.openapi()["paths"]
    writing = {path for path, calls in paths.items() if set(calls) - {"get"}}
    assert not [path for path in writing if any(word in path for word in ("group", "member", "role", "principal"))]
    for who in ("olga", "erin", "bob", "alice"):
        answer = api.post(who, "/v1/catalog/proposals", json={"catalog": {}, "reason": "more for me"})
        assert answer.status_code in {403, 422}


def test_a_stranger_who_knows_an_id_can_do_nothing_with_it(api: Api) -> None:
    grant = api.granted(**TWO, by=("bob", "carol"))
    lease = drawn(api, grant)
    for call in (f"/v1/grants/{grant}/return", f"/v1/grants/{grant}/draw"):
        assert said(api.post("frank", call)) == (404, "not-found")
    assert said(api.post("frank", f"/v1/grants/{grant}/revoke", json={"reason": "mine"})) == (404, "not-found")
    assert said(api.get("frank", f"/v1/leases/{lease}")) == (404, "not-found")


# --- it is on record ---------------------------------------------------------------------------------------------------


def test_every_decision_and_every_attempt_is_in_the_log_and_an_edit_is_found(api: Api) -> None:
    request = api.asked()
    review(api, "alice", request)
    api.approve("bob", request)
    types = [row["type"] for row in api.world.facts() if row["subject"] == request["id"]]
    assert types == ["request.submitted", "act.refused", "review.recorded", "request.decided"]
    assert verify_store(api.world.store, verifiers=[]).ok
    row = next(row for row in api.world.facts() if row["type"] == "review.recorded")
    leaf = Leaf.decode(bytes(row["leaf"]))
    forged = Leaf(type=leaf.type, at=leaf.at, actor="carol", subject=leaf.subject, data=leaf.data)
    with api.world.store.begin() as tx:
        tx._connection.exec_driver_sql("DROP TRIGGER facts_UPDATE_refused")
        edit = schema.facts.update().where(schema.facts.c.index == row["index"])
        tx._connection.execute(edit.values(leaf=forged.encode(), actor="carol"))
    assert not verify_store(api.world.store, verifiers=[]).ok
