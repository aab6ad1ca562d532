"""Production sealed from development, and words judged by whose account spoke them, as the directory stands now."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tests.world import CATALOG, DIRECTORY, World, entitlement

from countersign.config.catalog import parse_catalog
from countersign.config.directory import parse_directory
from countersign.config.problems import ConfigError
from countersign.domain.refusals import ApprovalVoid, NobodyCanApprove, NotEligible, NotFound, Refused, SelfReview
from countersign.domain.request import RequestState
from countersign.domain.review import Decision
from countersign.service.verification import verify_store

DEV = ["development"]


def two_worlds(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - lists of the directory's tables
    """Return the directory in which alice, dave and bob have an account for development beside their own."""
    accounts = [
        *DIRECTORY["principal"],
        {"id": "dave", "person": "dave"},
        *({"id": f"{who}-dev", "person": who, "environments": DEV} for who in ("alice", "dave", "bob")),
    ]
    return {**DIRECTORY, "principal": accounts} | changes


def both_catalogs() -> dict[str, Any]:
    sandbox = entitlement("sandbox", environment="development", target="other-db")
    items = [e for e in CATALOG["entitlement"] if e["target"] == "orders-db"]
    return {**CATALOG, "entitlement": [*items, sandbox]}


@pytest.fixture
def sealed(world: World) -> World:
    world.adopt(catalog=both_catalogs(), directory=two_worlds())
    return world


@pytest.mark.parametrize(("who", "what"), [("alice", "sandbox"), ("alice-dev", "orders-db-read")])
def test_nobody_asks_with_an_account_of_the_other_side(sealed: World, who: str, what: str) -> None:
    with pytest.raises(NotEligible, match="account for"):
        sealed.ask(who, what)


@pytest.mark.parametrize(
    ("asks", "what", "wrong", "right"),
    [("alice", "orders-db-read", "bob-dev", "bob"), ("alice-dev", "sandbox", "bob", "bob-dev")],
)
def test_nobody_signs_or_draws_with_an_account_of_the_other_side(
    sealed: World, asks: str, what: str, wrong: str, right: str
) -> None:
    request = sealed.ask(asks, what)
    with pytest.raises(NotEligible, match="account for"):
        sealed.review(request, wrong)
    assert sealed.review(request, right).state is RequestState.APPROVED
    with sealed.store.read() as tx:
        grant = tx.grant_of_request(request.id)
    assert grant is not None
    other = "alice-dev" if asks == "alice" else "alice"
    with pytest.raises(NotEligible, match="account for"):
        sealed.draw(grant.id, other)
    assert sealed.draw(grant.id, asks).lease.person == "alice"
    assert verify_store(sealed.store, verifiers=[]).ok


def test_who_has_an_account_for_production_alone_signs_nothing_of_development(sealed: World) -> None:
    directory = two_worlds()
    directory["principal"] = [a for a in directory["principal"] if a["id"] != "bob-dev"]
    sealed.adopt(directory=directory)
    with pytest.raises(NobodyCanApprove):
        sealed.ask("alice-dev", "sandbox")


def test_an_account_that_was_moved_across_the_seal_voids_what_it_signed_and_asked(sealed: World) -> None:
    grant_id = sealed.granted("alice", "orders-db-read")
    moved = two_worlds()
    moved["principal"] = [a | ({"environments": DEV} if a["id"] == "bob" else {}) for a in moved["principal"]]
    moved["principal"].append({"id": "bob-new", "person": "bob"})
    sealed.adopt(directory=moved)
    with pytest.raises(ApprovalVoid):
        sealed.draw(grant_id)
    moved = two_worlds()
    moved["principal"] = [a | ({"environments": DEV} if a["id"] == "alice" else {}) for a in moved["principal"]]
    sealed.adopt(directory=moved)
    with pytest.raises(NotEligible):
        sealed.draw(grant_id, "alice-laptop")


def as_alice_s(account: str) -> dict[str, Any]:
    """Return the directory in which an account of dave's turned out to be alice's."""
    directory = copy.deepcopy(DIRECTORY)
    directory["principal"] += [{"id": "dave", "person": "dave"}, {"id": account, "person": "alice"}]
    return directory


def test_two_persons_who_turn_out_to_be_one_have_never_signed_for_each_other(world: World) -> None:
    two = copy.deepcopy(DIRECTORY)
    two["principal"] += [{"id": "dave", "person": "dave"}, {"id": "dave-tablet", "person": "dave"}]
    next(g for g in two["group"] if g["id"] == "orders-owners")["members"].append("dave")
    world.adopt(directory=two)
    by_dave = world.ask("alice")
    world.review(by_dave, "dave-tablet")
    for_dave = world.ask("dave-tablet")
    world.review(for_dave, "bob")
    world.adopt(directory=as_alice_s("dave-tablet"))
    with world.store.read() as tx:
        granted = {r.id: grant.id for r in (by_dave, for_dave) if (grant := tx.grant_of_request(r.id))}
    with pytest.raises(ApprovalVoid):
        world.draw(granted[by_dave.id])
    # What the account asked for as dave is nobody's now: neither the old person's nor the new one's.
    with pytest.raises(NotEligible):
        world.draw(granted[for_dave.id], "dave")
    with pytest.raises(NotFound):
        world.draw(granted[for_dave.id], "dave-tablet")


def test_an_account_that_is_gone_is_no_part_of_an_approval_and_the_person_may_sign_nothing_twice(world: World) -> None:
    directory = copy.deepcopy(DIRECTORY)
    directory["principal"] += [{"id": "carol", "person": "carol"}, {"id": "carol-tablet", "person": "carol"}]
    world.adopt(directory=directory)
    request = world.ask("alice")
    world.review(request, "carol-tablet")
    with world.store.read() as tx:
        grant = tx.grant_of_request(request.id)
    assert grant is not None
    world.adopt(directory=DIRECTORY)
    with pytest.raises(ApprovalVoid):
        world.draw(grant.id)
    with pytest.raises(Refused):
        world.review(request, "carol")


def test_a_person_merged_before_the_review_is_the_requester(world: World) -> None:
    two = copy.deepcopy(DIRECTORY)
    two["principal"] += [{"id": "carol", "person": "carol"}, {"id": "spare", "person": "carol"}]
    world.adopt(directory=two)
    request = world.ask("alice")
    merged = copy.deepcopy(DIRECTORY)
    merged["principal"] += [{"id": "spare", "person": "alice"}]
    world.adopt(directory=merged)
    with pytest.raises(SelfReview):
        world.broker.requests.review(
            world.principal("spare"), request.id, decision=Decision.APPROVE, digest=request.digest
        )


# --- the files ----------------------------------------------------------------------------------------------------------


def test_an_account_that_says_nothing_is_for_production_alone() -> None:
    assert parse_directory(DIRECTORY).principals["alice"].environments == {"production"}
    said = copy.deepcopy(DIRECTORY)
    said["principal"][0]["environments"] = ["production"]
    assert parse_directory(said).digest == parse_directory(DIRECTORY).digest
    said["principal"][0]["environments"] = ["staging", "development"]
    assert parse_directory(said).digest != parse_directory(DIRECTORY).digest


@pytest.mark.parametrize("environments", [["production", "development"], [], ["prod"], "production"])
def test_no_account_stands_on_both_sides(environments: object) -> None:
    said = copy.deepcopy(DIRECTORY)
    said["principal"][0]["environments"] = environments
    with pytest.raises(ConfigError, match="environments"):
        parse_directory(said)


TARGET = {"provider": "fake", "kind": "memory"}


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ({"role_arn": "arn:x"}, {"role_arn": "arn:x", "region": "eu"}, "role_arn"),
        ({"mount": "database", "host": "a"}, {"mount": "database", "host": "b"}, "mount"),
        ({"host": "a", "port": 1, "dbname": "x"}, {"host": "a", "port": 1, "dbname": "x", "mount": "m"}, "host"),
    ],
)
def test_production_shares_no_role_mount_or_place_with_the_rest(
    one: dict[str, Any], other: dict[str, Any], shared: str
) -> None:
    source = {
        "schema": 1,
        "target": [TARGET | {"id": "p", "settings": one}, TARGET | {"id": "d", "settings": other}],
        "entitlement": [
            entitlement("live", target="p"),
            entitlement("trial", target="d", environment="development"),
        ],
    }
    with pytest.raises(ConfigError, match=rf"entitlement\[1\].*target.*{shared}"):
        parse_catalog(source)
    both = [entitlement("live", target="p"), entitlement("again", target="d")]
    assert parse_catalog(source | {"entitlement": both}).entitlements
    trials = [entitlement(n, target=n, environment=e) for n, e in (("p", "staging"), ("d", "development"))]
    assert parse_catalog(source | {"entitlement": trials}).entitlements


def test_production_shares_no_target_with_the_rest() -> None:
    source = {**CATALOG, "entitlement": [entitlement("live"), entitlement("trial", environment="staging")]}
    with pytest.raises(ConfigError, match="shares its target with"):
        parse_catalog(source)
