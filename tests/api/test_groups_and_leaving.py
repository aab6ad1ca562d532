"""Roles need the roster and the issuer's fresh word; who leaves is out with all that he has; factors where they are demanded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.api.calling import ask
from tests.api.signing import Desk, Device, signing_desk
from tests.issuer import CLIENT
from tests.world import entitlement

from countersign.identity.tokens import BACK_CHANNEL

GROUPS: dict[str, Any] = {"groups_claim": "groups", "groups": {"orders-owners": ["orders-leads"], "engineers": ["eng"]}}


@pytest.fixture
def desk(tmp_path: Path, migrated_sqlite: Path) -> Iterator[Desk]:
    with signing_desk(tmp_path, template=migrated_sqlite, **GROUPS) as desk:
        yield desk


def asked(desk: Desk, token: str, **changes: Any) -> httpx2.Response:  # noqa: ANN401 - fields of the body
    return desk.call(token, "POST", "/v1/requests", json=ask(**changes))


def approved(desk: Desk, token: str, request: dict[str, Any]) -> httpx2.Response:
    body = {"decision": "approve", "digest": request["digest"]}
    return desk.call(token, "POST", f"/v1/requests/{request['id']}/reviews", json=body)


def enter(desk: Desk, who: str, *groups: str, **claims: Any) -> str:  # noqa: ANN401 - claims
    return str(desk.tokens(who, groups=list(groups), **claims)["access_token"])


def test_the_roster_and_the_issuer_together_give_a_role_and_neither_alone(desk: Desk) -> None:
    alice = enter(desk, "alice", "eng")
    request = asked(desk, alice).json()
    assert asked(desk, enter(desk, "dave"), reason="the issuer does not know him as an engineer").status_code == 403
    stranger = enter(desk, "olga", "orders-leads", "eng")
    assert approved(desk, stranger, request).json()["code"] == "not-eligible", (
        "an identity administrator makes no approver"
    )
    unconfirmed = enter(desk, "carol", "something-else")
    assert approved(desk, unconfirmed, request).status_code in {403, 404}
    assert approved(desk, enter(desk, "bob", "orders-leads"), request).status_code == 200


def test_a_removal_at_the_issuer_counts_at_the_next_word_and_at_the_latest_when_the_last_is_old(desk: Desk) -> None:
    alice, bob = enter(desk, "alice", "eng"), enter(desk, "bob", "orders-leads")
    request = asked(desk, alice).json()
    enter(desk, "bob", "nothing-any-more")
    assert approved(desk, bob, request).status_code in {403, 404}
    told = desk.tokens("bob", groups=["orders-leads"])
    desk.world.clock.forward(seconds=901)
    renewed = desk.browser().post("/v1/sign-in/refresh", json={"refresh_token": told["refresh_token"]})
    bob = renewed.json()["access_token"]
    fresh = enter(desk, "alice", "eng")
    request = asked(desk, fresh, reason="another").json()
    assert approved(desk, bob, request).status_code in {403, 404}, "the word on bob is older than production allows"
    assert approved(desk, enter(desk, "bob", "orders-leads"), request).status_code == 200


def test_an_approval_is_void_at_the_draw_when_its_approver_s_groups_are_no_longer_confirmed(desk: Desk) -> None:
    alice, bob = enter(desk, "alice", "eng"), enter(desk, "bob", "orders-leads")
    request = asked(desk, alice).json()
    grant = approved(desk, bob, request).json()["grant_id"]
    enter(desk, "bob", "moved-to-sales")
    answer = desk.call(alice, "POST", f"/v1/grants/{grant}/draw")
    assert (answer.status_code, answer.json()["code"]) == (409, "approval-void")
    enter(desk, "bob", "orders-leads")
    assert desk.call(alice, "POST", f"/v1/grants/{grant}/draw").status_code == 200


def test_an_older_word_does_not_overwrite_a_newer_one(desk: Desk) -> None:
    enter(desk, "bob", "orders-leads")
    now = int(desk.world.clock().timestamp())
    enter(desk, "bob", "removed", iat=now - 100, exp=now + 100)
    (word,) = [row for row in desk.world.facts("issuer.groups-said") if row["subject"] == "bob"]
    assert word["actor"] == "countersign/sign-in"
    assert approved(
        desk, enter(desk, "bob", "orders-leads"), asked(desk, enter(desk, "alice", "eng")).json()
    ).is_success


@pytest.mark.parametrize("said", [None, "orders-leads", {"orders-leads": True}, [1, 2], ["orders-leads", None]])
def test_a_groups_claim_that_is_no_list_of_texts_lets_nobody_in(desk: Desk, said: object) -> None:
    device = Device()
    answer = desk.show(device.shows(desk.id_token(device, "bob", groups=said)))
    assert (answer.status_code, answer.json()["code"]) == (401, "identity-refused")


def logout_token(desk: Desk, **changes: Any) -> str:  # noqa: ANN401 - claims
    said = {"aud": CLIENT, "jti": "logout-1", "events": {BACK_CHANNEL: {}}} | changes
    return desk.issuer.sign(desk.issuer.claims("sub-alice", **said), typ="logout+jwt")


def tell(desk: Desk, token: str) -> httpx2.Response:
    return desk.browser().post("/sign-in/back-channel/corp", data={"logout_token": token})


def test_who_left_is_out_at_once_and_his_leases_are_dead_within_a_minute(desk: Desk) -> None:
    alice, bob = enter(desk, "alice", "eng"), enter(desk, "bob", "orders-leads")
    web = desk.signed_in("alice", groups=["eng"])
    grant = approved(desk, bob, asked(desk, alice).json()).json()["grant_id"]
    drawn = desk.call(alice, "POST", f"/v1/grants/{grant}/draw").json()
    left = desk.world.clock()
    assert tell(desk, logout_token(desk)).status_code == 200
    assert desk.me(alice).status_code == web.get("/v1/me").status_code == 401
    while not desk.world.facts("lease.dead"):
        desk.world.sweep()
        desk.world.clock.forward(seconds=1)
        assert (desk.world.clock() - left).total_seconds() < 60
    (dead,) = desk.world.facts("lease.dead")
    assert dead["subject"] == drawn["lease"]["id"]
    assert len(desk.world.facts("issuer.logout")) == 1
    assert tell(desk, logout_token(desk)).json()["code"] == "identity-refused", "a logout token is good once"


def test_a_logout_of_one_of_the_issuer_s_sessions_ends_what_came_of_it_and_nothing_else(desk: Desk) -> None:
    alice = enter(desk, "alice", "eng", sid="laptop")
    other = enter(desk, "alice", "eng", sid="phone")
    grant = approved(desk, enter(desk, "bob", "orders-leads"), asked(desk, other).json()).json()["grant_id"]
    assert tell(desk, logout_token(desk, sid="laptop")).status_code == 200
    assert (desk.me(alice).status_code, desk.me(other).status_code) == (401, 200)
    assert desk.call(other, "POST", f"/v1/grants/{grant}/draw").status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"events": {}},
        {"events": None},
        {"events": "backchannel-logout"},
        {"nonce": "n"},
        {"jti": None},
        {"aud": "another-app"},
        {"sub": None},
        {"exp": 1},
    ],
    ids=str,
)
def test_what_is_no_logout_token_logs_nobody_out(desk: Desk, changes: dict[str, Any]) -> None:
    alice = enter(desk, "alice", "eng")
    assert tell(desk, logout_token(desk, **changes)).json()["code"] == "identity-refused"
    assert tell(desk, desk.id_token(Device())).json()["code"] == "identity-refused"
    assert desk.me(alice).status_code == 200


def test_asking_signing_and_drawing_take_the_factor_that_the_entitlement_demands(desk: Desk) -> None:
    rules = dict(desk.world.catalog)
    rules["entitlement"] = [*rules["entitlement"], entitlement("orders-db-strong", second_factor=["phr", "hwk"])]
    desk.world.adopt(catalog=rules)
    weak, strong = enter(desk, "alice", "eng", amr=["pwd"]), enter(desk, "alice", "eng", amr=["pwd", "hwk"])
    assert asked(desk, weak, entitlement="orders-db-strong").json()["code"] == "second-factor-missing"
    request = asked(desk, strong, entitlement="orders-db-strong").json()
    weak_bob = enter(desk, "bob", "orders-leads")
    answer = approved(desk, weak_bob, request)
    assert (answer.status_code, answer.json()["code"]) == (403, "second-factor-missing")
    grant = approved(desk, enter(desk, "bob", "orders-leads", acr="phr"), request).json()["grant_id"]
    assert desk.call(weak, "POST", f"/v1/grants/{grant}/draw").json()["code"] == "second-factor-missing"
    assert desk.call(strong, "POST", f"/v1/grants/{grant}/draw").status_code == 200
    bearer = desk.world.broker.gate.issue("alice")
    assert asked(desk, bearer, entitlement="orders-db-strong").json()["code"] == "second-factor-missing"
