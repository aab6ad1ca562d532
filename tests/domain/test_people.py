"""Who there is: a disabled or unknown person holds nothing, and what is judged is the person behind the principal."""

from __future__ import annotations

import hashlib

import pytest

from countersign.domain.people import ACTING_ROLES, Directory, Group, Person, Principal, Role
from countersign.domain.refusals import NotPermitted


def directory() -> Directory:
    return Directory(
        persons={name: Person(id=name, name=name.title()) for name in ("bob", "alice", "erin")},
        principals={
            "alice-ci": Principal(id="alice-ci", person="alice", human=False),
            "alice": Principal(id="alice", person="alice"),
        },
        groups={
            "team": Group(id="team", members=frozenset({"bob", "alice", "ghost"}), roles=frozenset({Role.APPROVER})),
            "eng": Group(id="eng", members=frozenset({"alice"}), roles=frozenset({Role.REQUESTER, Role.ON_CALL})),
            "plain": Group(id="plain", members=frozenset({"erin"})),
        },
    )


def test_members_are_known_and_active_persons_only() -> None:
    assert directory().members("team") == {"alice", "bob"}
    assert directory().without(["bob"]).members("team") == {"alice"}
    assert directory().members("nowhere") == frozenset()


def test_roles_come_from_all_groups_of_a_person() -> None:
    assert directory().groups_of("alice") == {"team", "eng"}
    assert directory().roles_of("alice") == {Role.APPROVER, Role.REQUESTER, Role.ON_CALL}
    assert directory().roles_of("erin") == frozenset()
    assert directory().holders(Role.APPROVER) == {"alice", "bob"}
    assert directory().holders(Role.AUDITOR) == frozenset()


@pytest.mark.parametrize("person", ["ghost", "nobody", "alice-ci"])
def test_who_is_not_a_person_holds_nothing(person: str) -> None:
    assert not directory().is_active(person)
    assert directory().groups_of(person) == frozenset()
    assert directory().roles_of(person) == frozenset()


def test_disabling_takes_everything_and_adds_up() -> None:
    less = directory().without(["alice"]).without({"erin"})
    assert less.disabled == {"alice", "erin"}
    assert not less.is_active("alice")
    assert less.is_active("bob")
    assert less.roles_of("alice") == frozenset()
    assert less.groups_of("alice") == frozenset()
    assert less.holders(Role.APPROVER) == {"bob"}
    assert directory().is_active("alice")


def test_a_role_is_demanded_of_the_person_behind_the_principal() -> None:
    people = directory()
    people.demand(people.principals["alice-ci"], Role.AUDITOR, Role.REQUESTER)
    with pytest.raises(NotPermitted, match="alice does not hold the role auditor or operator") as caught:
        people.demand(people.principals["alice-ci"], Role.AUDITOR, Role.OPERATOR)
    assert caught.value.rule == "only auditor or operator"
    with pytest.raises(NotPermitted):
        people.without(["alice"]).demand(people.principals["alice"], Role.REQUESTER)


def test_no_role_at_all_permits_nobody() -> None:
    people = directory()
    with pytest.raises(NotPermitted):
        people.demand(people.principals["alice"])


def test_every_role_but_the_auditors_acts() -> None:
    assert frozenset(Role) - {Role.AUDITOR} == ACTING_ROLES


def test_the_digest_is_of_these_bytes_in_a_fixed_order_and_of_names_only_their_digest() -> None:
    names = b'countersign/names/v1\n[["alice","Alice"],["bob","Bob"],["erin","Erin"]]'
    document = (
        '{"groups":[{"id":"eng","members":["alice"],"roles":["on-call","requester"]},'
        '{"id":"plain","members":["erin"],"roles":[]},'
        '{"id":"team","members":["alice","bob","ghost"],"roles":["approver"]}],'
        f'"names":"{hashlib.sha256(names).hexdigest()}",'
        '"persons":[{"id":"alice"},{"id":"bob"},{"id":"erin"}],'
        '"principals":[{"human":true,"id":"alice","person":"alice"},{"human":false,"id":"alice-ci","person":"alice"}]}'
    )
    assert directory().digest == hashlib.sha256(b"countersign/directory/v2\n" + document.encode()).hexdigest()
