"""Drawing through two halves: an order goes, a sealed answer comes, and nothing else brings a credential."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import wait
from datetime import timedelta
from pathlib import Path

import pytest
from tests.halves.apart import PLAIN, Apart, running_apart

from countersign.service.order_desk import TAKEN_WITHIN
from countersign.service.verification import verify_store
from countersign.store import OrderState


@pytest.fixture
def apart(copied_postgres: str, tmp_path: Path) -> Iterator[Apart]:
    with running_apart(copied_postgres, tmp_path) as made:
        yield made


def test_an_order_of_the_requester_s_device_brings_a_credential_that_he_alone_opens(apart: Apart) -> None:
    alice, request = apart.signed_in(), apart.asked()
    ordered = apart.order(alice, apart.approved(request), request.digest)
    answer = apart.draw(alice, ordered)
    assert answer.status_code == 200, answer.text
    assert answer.json()["credential"]["kind"] == "sealed"
    opened = ordered.opened(answer.json())
    assert opened["lease"]["id"] == answer.json()["lease"]["id"]
    assert opened["lease"]["state"] == "active"
    assert opened["credential"]["password"]
    assert opened["credential"]["password"] not in answer.text
    assert apart.row(ordered.order.id)["sealed"] is None
    assert apart.row(ordered.order.id)["state"] is OrderState.TAKEN
    (accepted,) = apart.facts("order.accepted")
    assert (accepted["subject"], accepted["actor"]) == (ordered.order.id, "alice")
    assert verify_store(apart.people_store, verifiers=[]).ok


def test_without_an_order_nothing_is_drawn_and_the_refusal_says_what_to_do(apart: Apart) -> None:
    alice, request = apart.signed_in(), apart.asked()
    answer = apart.draw(alice, None, grant=apart.approved(request))
    assert (answer.status_code, answer.json()["code"]) == (403, "order-required")
    assert "countersign login" in answer.json()["next"]
    bodies: list[dict[str, str] | None] = [{}, None]
    for nothing in bodies:
        asked = apart.client().post(
            answer.request.url.path, headers={"Authorization": f"Bearer {alice.token}"}, json=nothing
        )
        assert asked.json()["code"] == "order-required"
    assert not apart.provider.target.reserved


def test_the_refusals_of_the_issuing_half_reach_the_caller_as_they_are(apart: Apart) -> None:
    alice, request = apart.signed_in(), apart.asked("alice", "other")
    grant = apart.approved(request)
    assert apart.draw(alice, apart.order(alice, grant, request.digest)).status_code == 200
    again = apart.draw(alice, apart.order(alice, grant, request.digest))
    assert (again.status_code, again.json()["code"]) == (409, "draws-exhausted")
    assert again.json()["rule"] == "entitlement other: draws = 1"
    (refused,) = [row for row in apart.facts("act.refused") if b"draws-exhausted" in bytes(row["leaf"])]
    assert refused["actor"] == "alice"


def test_approvals_that_are_no_signatures_count_for_nothing(apart: Apart) -> None:
    alice, request = apart.signed_in(), apart.asked("alice", PLAIN)
    answer = apart.draw(alice, apart.order(alice, apart.approved(request), request.digest))
    assert (answer.status_code, answer.json()["code"]) == (409, "approval-unsigned")
    assert not apart.provider.target.reserved


def test_an_order_is_good_once_and_for_a_minute(apart: Apart) -> None:
    alice, request = apart.signed_in(), apart.asked()
    grant = apart.approved(request)
    ordered = apart.order(alice, grant, request.digest)
    assert apart.draw(alice, ordered).status_code == 200
    assert apart.draw(alice, ordered).json()["code"] == "order-void"
    for seconds in (-61, 61):
        late = apart.order(alice, grant, request.digest, at=apart.clock() + timedelta(seconds=seconds))
        assert apart.draw(alice, late).json()["code"] == "order-void"
    assert len(apart.facts("lease.issued")) == 1


def test_a_sealed_credential_that_nobody_takes_is_revoked_and_the_draw_given_back(apart: Apart) -> None:
    alice, request = apart.signed_in(), apart.asked()
    grant = apart.approved(request)
    ordered = apart.order(alice, grant, request.digest)
    left = apart.post(ordered, session=alice.session)
    assert (left["state"], left["sealed"] is None) == (OrderState.SERVED, False)
    apart.desk.tidy()
    assert apart.row(ordered.order.id)["sealed"] is not None
    apart.clock.forward(seconds=TAKEN_WITHIN.total_seconds() + 1)
    apart.desk.tidy()
    assert (apart.row(ordered.order.id)["state"], apart.row(ordered.order.id)["sealed"]) == (OrderState.OVER, None)
    with apart.people_store.read() as tx:
        lease, given = tx.lease(str(left["lease"])), tx.grant(grant)
    assert lease is not None
    assert given is not None
    assert (lease.state.value, given.draws_used) == ("revoking", 0)


def test_an_answer_that_reached_nobody_is_taken_back_over_the_database(apart: Apart) -> None:
    alice, request = apart.signed_in(), apart.asked()
    answer = apart.draw(alice, apart.order(alice, apart.approved(request), request.digest))
    apart.broker.draws.undelivered(answer.json()["lease"]["id"])
    apart.desk.tidy()
    with apart.people_store.read() as tx:
        lease = tx.lease(answer.json()["lease"]["id"])
    assert lease is not None
    assert lease.state.value == "revoking"


def test_an_issuing_half_that_is_away_is_said_to_be_and_serves_nothing_late(
    apart: Apart, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("countersign.service.ordering.CLAIMED_WITHIN_S", 0.1)
    alice, request = apart.signed_in(), apart.asked()
    ordered = apart.order(alice, apart.approved(request), request.digest)
    answer = apart.client().post(
        f"/v1/grants/{ordered.order.grant}/draw", headers={"Authorization": f"Bearer {alice.token}"}, json=ordered.body
    )
    assert (answer.status_code, answer.json()["code"]) == (503, "issuer-away")
    wait(apart.desk.serve_waiting())
    assert not apart.provider.target.reserved


def test_what_has_another_form_is_no_order(apart: Apart) -> None:
    alice, request = apart.signed_in(), apart.asked()
    ordered = apart.order(alice, apart.approved(request), request.digest)
    bodies = [
        ordered.body | {"signature": "x"},
        ordered.body | {"more": 1},
        {"order": ordered.body["order"] | {"at": "yesterday-and-a-bit-more"}, "signature": ordered.signature},
        {"order": ordered.body["order"] | {"seal_to": "_" * 43}, "signature": ordered.signature},
    ]
    for body in bodies:
        answer = apart.client().post(
            f"/v1/grants/{ordered.order.grant}/draw", headers={"Authorization": f"Bearer {alice.token}"}, json=body
        )
        assert answer.status_code == 422, answer.text
    assert not apart.provider.target.reserved
