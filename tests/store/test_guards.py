"""What the database refuses by itself, on SQLite and PostgreSQL alike, when the services are bypassed."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from tests.world import World

from countersign.domain.refusals import Conflict, Refused
from countersign.store import Store, schema


def attempt(store: Store, statement: sa.Executable) -> None:
    with store.begin() as tx:
        tx._connection.execute(statement)


REFUSED = (Refused, sa.exc.DBAPIError)


@pytest.mark.parametrize("table", schema.APPEND_ONLY)
@pytest.mark.parametrize("verb", ["update", "delete"])
def test_append_only_tables_refuse_every_change(world: World, table: str, verb: str) -> None:
    world.granted()
    world.issuing.checkpoints.sign()
    target = schema.metadata.tables[table]
    first = next(iter(target.columns))
    statement: sa.Executable = target.delete() if verb == "delete" else target.update().values({first: first})
    with pytest.raises(REFUSED, match=r"append-only|rule that holds"):
        attempt(world.store, statement)


def test_a_submitted_request_is_immutable_but_for_its_state(world: World) -> None:
    world.ask()
    for name in schema.PINNED_REQUEST_COLUMNS:
        column = schema.requests.c[name]
        with pytest.raises(REFUSED):
            attempt(world.store, schema.requests.update().values({name: column}))
    with pytest.raises(REFUSED):
        attempt(world.store, schema.requests.delete())
    attempt(world.store, schema.requests.update().values(state="denied"))


def review_row(request_id: str, person: str, requester: str) -> dict[str, object]:
    return {
        "request_id": request_id,
        "person": person,
        "requester_person": requester,
        "principal": person,
        "decision": "approve",
        "digest": "0" * 64,
        "at": "2026-11-22T09:00:00.000Z",
    }


@pytest.mark.parametrize(("person", "requester"), [("alice", "alice"), ("alice", "bob")])
def test_no_review_by_the_requester_enters_the_table_however_it_is_dressed(
    world: World, person: str, requester: str
) -> None:
    request = world.ask("alice")
    row = review_row(request.id, person, requester)
    columns = ", ".join(row)
    values = ", ".join(f":{name}" for name in row)
    with pytest.raises(Conflict):
        attempt(world.store, sa.text(f"INSERT INTO reviews ({columns}) VALUES ({values})").bindparams(**row))  # noqa: S608 - names of our own


def test_one_person_reviews_once_even_past_the_service(world: World) -> None:
    request = world.ask(what="orders-db-write", parameters={"table": "orders"})
    world.review(request, "bob")
    row = review_row(request.id, "bob", "alice")
    columns = ", ".join(row)
    values = ", ".join(f":{name}" for name in row)
    with pytest.raises(Conflict):
        attempt(world.store, sa.text(f"INSERT INTO reviews ({columns}) VALUES ({values})").bindparams(**row))  # noqa: S608 - names of our own


def test_a_lease_is_not_revoked_without_a_certificate(world: World) -> None:
    world.draw(world.granted())
    with pytest.raises(Conflict):
        attempt(world.store, schema.leases.update().values(state="revoked"))


def test_a_stop_is_not_lifted_by_who_placed_it(world: World) -> None:
    world.broker.control.stop(world.principal("olga"), scope="all", target=None, reason="an incident")
    with pytest.raises(Conflict):
        attempt(world.store, schema.stops.update().values(lifted_by="olga"))


def test_no_more_draws_are_on_record_than_were_approved(world: World) -> None:
    world.granted()
    with pytest.raises(Conflict):
        attempt(world.store, schema.grants.update().values(draws_used=2))
