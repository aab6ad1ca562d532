"""What decides trust is countersigned: another setting stops issuing and not ending, and no database founds itself anew."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tests.world import CATALOG, World

from countersign.config.catalog import parse_catalog
from countersign.domain.configured import Configured
from countersign.domain.lease import LeaseState
from countersign.domain.refusals import Stopped
from countersign.providers.base import Away
from countersign.service.genesis import end_all, look_around
from countersign.service.office import Office
from countersign.service.trusting import record_mismatches
from countersign.service.verification import verify_store

TRUST = {"log_origin": "test.example/log", "providers": {"fake": "https://fake.example"}}


def running_as(world: World, configured: Configured) -> Office:
    """Let the broker run on other settings."""
    office = replace(world.broker.office, configured=configured)
    object.__setattr__(world.issuing.issuer, "office", office)
    return office


@pytest.mark.parametrize(
    ("configured", "named"),
    [
        (Configured(log_origin="test.example/other"), "log_origin"),
        (Configured(providers={"fake": "https://elsewhere.example"}), "the address of fake"),
    ],
)
def test_another_setting_than_the_countersigned_one_stops_issuing_and_not_ending(
    world: World, configured: Configured, named: str
) -> None:
    world.adopt(catalog=CATALOG | {"trust": TRUST})
    lease = world.draw(world.granted()).lease
    later = world.granted("dave")
    office = running_as(world, configured)
    with world.store.begin() as tx:
        record_mismatches(office, tx)
    with pytest.raises(Stopped, match=named):
        world.draw(later, "dave")
    [fact] = world.facts("trust.mismatched")
    assert json.loads(fact["leaf"])["data"] == {"settings": [named]}
    world.broker.control.give_back(world.principal("alice"), lease.grant_id)
    world.sweep()
    with world.store.read() as tx:
        dead = tx.lease(lease.id)
    assert dead is not None
    assert dead.state is LeaseState.REVOKED
    assert verify_store(world.store, verifiers=[]).ok
    running_as(world, Configured(log_origin="test.example/log", providers={"fake": "https://fake.example/"}))
    assert world.draw(later, "dave").lease.person == "dave"


def test_rules_that_say_nothing_leave_the_settings_alone(world: World) -> None:
    office = running_as(world, Configured(log_origin="any.example/log", providers={"fake": "https://any.example"}))
    with world.store.begin() as tx:
        record_mismatches(office, tx)
    assert world.facts("trust.mismatched") == []
    assert world.draw(world.granted()).lease.person == "alice"


def test_a_rule_that_comes_into_force_later_stops_issuing_at_once(world: World) -> None:
    running_as(world, Configured(log_origin="any.example/log"))
    grant_id = world.granted()
    world.adopt(catalog=CATALOG | {"trust": TRUST})
    with pytest.raises(Stopped, match="log_origin"):
        world.draw(grant_id)


def test_what_stands_before_there_are_rules_is_found_and_can_be_ended(world: World) -> None:
    catalog, providers = parse_catalog(CATALOG), {"fake": world.provider}
    assert look_around(providers, catalog).strays == ()
    lease = world.draw(world.granted()).lease
    found = look_around(providers, catalog)
    assert [stray.lease_id for _, stray in found.strays] == [lease.id]
    assert len(end_all(providers, found.strays)) == 1
    assert not world.provider.works(lease.id)


def test_a_provider_that_cannot_be_asked_is_not_taken_for_an_empty_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: object) -> list[object]:
        raise Away("nobody answers")

    monkeypatch.setattr(world.provider, "roll_call", away)
    assert look_around({"fake": world.provider}, parse_catalog(CATALOG)).unseen == ("fake",)
