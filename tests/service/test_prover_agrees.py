"""The prover against the running broker: a coalition tries everything there is, and gets what the prover says it can get."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from itertools import product
from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st
from tests.quick import histories, quick_world
from tests.world import CATALOG, World, entitlement

from countersign.config.catalog import parse_catalog
from countersign.config.directory import parse_directory
from countersign.domain.emergency import Emergency
from countersign.domain.envelope import Envelope
from countersign.domain.people import Principal
from countersign.domain.proving import Prover
from countersign.domain.refusals import Refused
from countersign.domain.request import Request
from countersign.domain.review import Decision

PEOPLE = ("ann", "ben", "cai", "dov")
GROUPS = ("g0", "g1", "g2")
CAPS = {"pending_per_person": 1000, "open_per_person": 1000, "open_per_target": 1000, "seconds_per_person_day": 604800}
ACTING = ("requester", "approver", "on-call")


@st.composite
def directories(draw: st.DrawFn) -> dict[str, Any]:
    """Return a directory: some people have several accounts, some only a machine's, one may operate the broker."""
    some = st.sets(st.sampled_from(PEOPLE)).map(sorted)
    accounts: list[dict[str, Any]] = []
    for person in PEOPLE:
        match draw(st.sampled_from(["one", "one", "two", "machine as well", "machine"])):
            case "two":
                accounts += [{"id": person, "person": person}, {"id": f"{person}-2", "person": person}]
            case "machine as well":
                accounts += [{"id": person, "person": person}, {"id": f"{person}-ci", "person": person, "human": False}]
            case "machine":
                accounts += [{"id": f"{person}-ci", "person": person, "human": False}]
    sides = st.sampled_from([["production"]] * 4 + [["development"], ["staging", "development"]])
    accounts = [account | {"environments": draw(sides)} for account in accounts]
    groups = [
        {"id": group, "members": draw(some), "roles": draw(st.sets(st.sampled_from(ACTING), min_size=1).map(sorted))}
        for group in GROUPS
    ]
    signers = {person for group in groups if "approver" in group["roles"] for person in group["members"]}
    operators = [person for person in draw(some) if person not in signers]
    groups += [
        {"id": "everybody", "members": list(PEOPLE), "roles": draw(st.sampled_from([["requester"], []]))},
        {"id": "operators", "members": operators, "roles": ["operator"]},
    ]
    return {
        "schema": 1,
        "person": [{"id": person, "name": person.title()} for person in PEOPLE],
        "principal": accounts,
        "group": groups,
    }


@st.composite
def catalogs(draw: st.DrawFn) -> dict[str, Any]:
    """Return a catalog of one or two entitlements."""
    factor = st.fixed_dictionaries({"group": st.sampled_from(GROUPS), "count": st.sampled_from([1, 1, 1, 2])})
    rules = st.lists(factor, min_size=1, max_size=3, unique_by=lambda one: one["group"])
    asking = st.lists(st.sampled_from(GROUPS), min_size=1, max_size=2, unique=True)
    items = []
    for number in range(draw(st.integers(1, 2))):
        item = entitlement(f"e{number}", owner="g0", review=draw(rules), requesters=draw(asking), caps=CAPS)
        if draw(st.booleans()):
            del item["requesters"]
        if draw(st.sampled_from([False, False, True])):
            item |= {"environment": "development", "target": "other-db"}
        if draw(st.booleans()):
            item["break_glass"] = {"review": draw(rules), "max_duration_s": 600, "per_incident": 20}
        items.append(item)
    return {**CATALOG, "entitlement": items}


def reached(world: World, entitlement_id: str, coalition: Collection[str]) -> bool:
    """Let a coalition try everything, in every account of its members; say whether it ends up with what works."""
    before = set(world.provider.target.issued)
    with world.store.read() as tx:
        known = world.broker.office.rules.current(tx).directory.principals.values()
    accounts = sorted((account for account in known if account.person in coalition), key=lambda account: account.id)
    _use_every_power(world, accounts, entitlement_id)
    requests = []
    for account, emergency in product(accounts, (None, Emergency(incident="INC-1"))):
        with suppress(Refused):
            requests.append(world.ask(account.id, entitlement_id, seconds=10, emergency=emergency))
    for account, request in product([*accounts, *reversed(accounts)], requests):
        with suppress(Refused):
            world.broker.requests.review(account, request.id, decision=Decision.APPROVE, digest=request.digest)
    requests += _open_envelopes(world, accounts, entitlement_id)
    with world.store.read() as tx:
        grants = [grant.id for request in requests if (grant := tx.grant_of_request(request.id)) is not None]
    for account, grant_id in product(accounts, grants):
        with suppress(Refused):
            world.issuing.issuer.draw(account, grant_id)
    return any(world.provider.works(lease_id) for lease_id in set(world.provider.target.issued) - before)


def _open_envelopes(world: World, accounts: Collection[Principal], entitlement_id: str) -> list[Request]:
    """Write, sign and open envelopes in every account; return the requests that came of it."""
    envelopes: list[Envelope] = []
    opened: list[Request] = []
    for account in accounts:
        with suppress(Refused):
            view = world.broker.envelopes.propose(
                account, entitlement_id=entitlement_id, not_before=None, valid_s=3600, uses=5, max_duration_s=10
            )
            envelopes.append(view.envelope)
    for account, envelope in product(accounts, envelopes):
        with suppress(Refused):
            world.broker.envelopes.sign(account, envelope.id, digest=envelope.digest)
    for account, envelope in product(accounts, envelopes):
        with suppress(Refused):
            opened.append(
                world.broker.envelopes.open(
                    account, envelope.id, incident="INC-1", drill=False, duration_s=10, parameters={}, reason="help"
                )
            )
    for account, envelope in product(accounts, envelopes[:1]):
        with suppress(Refused):
            past = Emergency(incident="INC-1", envelope=envelope.id)  # as if it had been opened
            request = world.ask(account.id, entitlement_id, seconds=10, emergency=past)
            opened.append(request)
            for signer in accounts:
                with suppress(Refused):
                    world.broker.requests.review(signer, request.id, decision=Decision.APPROVE, digest=request.digest)
    return opened


def _use_every_power(world: World, accounts: Collection[Principal], entitlement_id: str) -> None:
    """Stop and lift whatever their roles let them: none of it may add a signer."""
    control = world.broker.control
    for account in accounts:
        with suppress(Refused):
            control.stop(account, scope="entitlement", target=entitlement_id, reason="to see what happens")
        with suppress(Refused):
            world.broker.gate.rotate(account)
    with world.store.read() as tx:
        stops = tx.stops()
    for account, stop in product(accounts, stops):
        with suppress(Refused):
            control.lift(account, stop.id)
    with world.store.begin() as tx:
        for stop in tx.stops():
            tx.lift_stop(stop, by="the test")  # whom a stop could hold back is not what is asked here


@histories(ci=12, nightly=2000)
@given(catalog=catalogs(), directory=directories(), data=st.data())
def test_a_coalition_gets_exactly_what_the_prover_says(
    catalog: dict[str, Any], directory: dict[str, Any], data: st.DataObject
) -> None:
    rules, people = parse_catalog(catalog), parse_directory(directory)
    prover = Prover(rules, people)
    with quick_world(catalog=catalog, directory=directory) as world:
        for item in rules.entitlements.values():
            answer = prover.answer(item)
            tried = [frozenset(data.draw(st.sets(st.sampled_from(PEOPLE), min_size=1)))]
            tried += [frozenset({person}) for person in PEOPLE]
            for found in [way.witness for way in answer.ways if way.witness is not None]:
                witness = frozenset({found.requester, *(seat.person for seat in found.signers)})
                tried += [witness, *(witness - {person} for person in witness)]
            for coalition in tried:
                said = prover.can_reach(item, coalition)
                event(f"reached: {said}, by {len(coalition)}")
                assert reached(world, item.id, coalition) == said, sorted(coalition)
            assert reached(world, item.id, PEOPLE) == (answer.least is not None)
