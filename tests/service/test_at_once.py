"""A draw against a change of the rules at the same moment: one outcome each, and the log's order is that of the judgement."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from typing import Any

import pytest
from tests.world import CATALOG, DIRECTORY, World, entitlement

from countersign.domain.refusals import Conflict, Refused
from countersign.service.judgement import judge_for_draw
from countersign.service.verification import verify_store
from countersign.store.unit.requests_part import RequestsPart


def out_of(group: str, person: str) -> dict[str, Any]:
    changed = copy.deepcopy(DIRECTORY)
    next(g for g in changed["group"] if g["id"] == group)["members"].remove(person)
    return changed


SHORTER = {**CATALOG, "entitlement": [entitlement("orders-db-read", max_duration_s=1800), *CATALOG["entitlement"][1:]]}
CHANGES: dict[str, Callable[[World], object]] = {
    "the approver leaves his group": lambda world: world.adopt(directory=out_of("orders-owners", "bob")),
    "the requester leaves hers": lambda world: world.adopt(directory=out_of("engineers", "alice")),
    "the entitlement changes": lambda world: world.adopt(catalog=SHORTER),
    "the approver is disabled": lambda world: world.broker.control.disable(
        world.principal("olga"), "bob", reason="left"
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_draw_and_a_change_of_the_rules_have_one_order_and_the_log_s(
    world: World, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant_id = world.granted()
    changing = threading.Thread(target=CHANGES[change], args=(world,))

    def judged_while_it_changes(*args: Any, **more: Any) -> Any:  # noqa: ANN401 - passes on what it is given
        found = judge_for_draw(*args, **more)
        changing.start()
        changing.join(timeout=1.0)  # on SQLite the change waits for the draw; on PostgreSQL it is committed by now
        return found

    monkeypatch.setattr("countersign.service.issuer.judge_for_draw", judged_while_it_changes)
    try:
        drawn: Any = world.draw(grant_id)
    except Conflict:
        drawn = None
    changing.join()
    monkeypatch.undo()
    order = [row["type"] for row in world.facts("lease.prepared", "rulebook.adopted", "person.disabled")][1:]
    assert (order[0] == "lease.prepared") is (drawn is not None)
    assert len(order) == 1 + (drawn is not None)
    assert world.store.is_embedded is (drawn is not None)
    with pytest.raises(Refused):
        world.draw(grant_id)
    assert verify_store(world.store, verifiers=[]).ok


def test_a_review_and_a_change_of_the_rules_have_one_order(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    request = world.ask()
    changing = threading.Thread(target=CHANGES["the approver leaves his group"], args=(world,))
    kept = RequestsPart.add_review

    def kept_while_it_changes(*args: Any, **more: Any) -> None:  # noqa: ANN401 - as above
        kept(*args, **more)
        changing.start()
        changing.join(timeout=1.0)

    monkeypatch.setattr(RequestsPart, "add_review", kept_while_it_changes)
    try:
        world.review(request)
        signed = True
    except Conflict:
        signed = False
    changing.join()
    monkeypatch.undo()
    order = [row["type"] for row in world.facts("review.recorded", "rulebook.adopted")][1:]
    assert (order[0] == "review.recorded") is signed is world.store.is_embedded
    assert verify_store(world.store, verifiers=[]).ok
