"""Whoever can write into the database writes approvals, enrolments and rosters; the draw believes none of them."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from tests.signers import SIGNED, Signers, authenticator
from tests.world import DIRECTORY, Clock, World

from countersign.auditlog.leaf import Leaf
from countersign.auditlog.merkle import leaf_hash
from countersign.domain.facts import Fact
from countersign.domain.passkey import (
    Assertion,
    Enrolment,
    Word,
    enrolment_digest,
    proof_challenge,
    review_challenge,
    rules_challenge,
    vouch_challenge,
)
from countersign.domain.passkey_facts import PasskeyEnrolled
from countersign.domain.proposal import Proposal, genesis_digest
from countersign.domain.refusals import ApprovalVoid, RulesForged, SignatureRequired
from countersign.domain.request import Request
from countersign.domain.review import Decision
from countersign.domain.timestamps import spell
from countersign.embedded.authenticator import SoftwareAuthenticator
from countersign.service.rules import RuleReader
from countersign.service.verification import verify_store
from countersign.store import Store, schema
from countersign.store.passkey_tables import enrolments

GRANT = "grt_aaaaaaaaaaaaaaaa"


@pytest.fixture
def signers() -> Signers:
    return Signers()


@pytest.fixture
def signed(store: Store, clock: Clock, signers: Signers) -> World:
    return World(store=store, clock=clock, catalog=signers.catalog())


def insert(world: World, table: sa.Table, **row: Any) -> None:  # noqa: ANN401 - columns of all kinds
    with world.store.begin() as tx:
        tx._connection.execute(sa.insert(table).values(**row))


def forge_fact(world: World, fact: Fact) -> None:
    """Write a fact past the broker, as its own code would have written it."""
    with world.store.begin() as tx:
        head = tx.head()
        leaf = Leaf(type=fact.type, at=tx.now, actor=fact.actor, subject=fact.subject, data=fact.data()).encode()
        row = {
            "index": head.size,
            "at": tx.now,
            "type": fact.type,
            "actor": fact.actor,
            "subject": fact.subject,
            "leaf": leaf,
            "leaf_hash": leaf_hash(leaf),
        }
        tx._connection.execute(sa.insert(schema.facts).values(**row))
        grown = head.frontier.append(leaf_hash(leaf))
        moved = {"size": grown.size, "root": grown.root(), "frontier": grown.encode(), "at": tx.now}
        tx._connection.execute(sa.update(schema.log_head).values(**moved))


def forge_approval(world: World, request: Request, signature: dict[str, Any] | None, *, by: str = "bob") -> str:
    """Write everything that an approval and its grant are: a review, a decided request and an open grant."""
    insert(
        world,
        schema.reviews,
        request_id=request.id,
        person=by,
        requester_person=request.person,
        principal=by,
        decision="approve",
        digest=request.digest,
        at=world.clock(),
        signature=signature,
    )
    with world.store.begin() as tx:
        tx._connection.execute(
            sa.update(schema.requests).where(schema.requests.c.id == request.id).values(state="approved")
        )
    insert(
        world,
        schema.grants,
        id=GRANT,
        request_id=request.id,
        request_digest=request.digest,
        person=request.person,
        entitlement=request.entitlement,
        target="orders-db",
        duration_s=60,
        draws=3,
        draws_used=0,
        opened_at=world.clock(),
        draw_by=world.clock().replace(hour=23),
        due=world.clock().replace(hour=23),
        state="open",
        version=1,
    )
    return GRANT


def approval(key: SoftwareAuthenticator, request: Request, *, by: str) -> Assertion:
    challenge = review_challenge(request=request.id, digest=request.digest, decision="approve", approver=by)
    return key.sign(challenge)


def refused(world: World, grant: str) -> str:
    with pytest.raises(ApprovalVoid) as raised:
        world.draw(grant)
    assert not world.provider.target.reserved, "no provider was called"
    return raised.value.detail


def test_an_approval_written_into_the_database_is_refused_at_the_draw(signed: World) -> None:
    request = signed.ask(what=SIGNED)
    assert "it is not signed" in refused(signed, forge_approval(signed, request, None))


def test_an_approval_with_another_requests_signature_is_refused_at_the_draw(signed: World, signers: Signers) -> None:
    other, request = signed.ask(what=SIGNED), signed.ask(what=SIGNED)
    stolen = approval(signers["bob"], other, by="bob").document()
    assert "does not verify" in refused(signed, forge_approval(signed, request, stolen))


@pytest.mark.parametrize("nonsense", [{}, {"passkey": 1}, {"passkey": "x", "client_data": "e30"}])
def test_an_approval_with_nonsense_for_a_signature_is_refused_at_the_draw(
    signed: World, nonsense: dict[str, Any]
) -> None:
    request = signed.ask(what=SIGNED)
    assert "it is not signed" in refused(signed, forge_approval(signed, request, nonsense))


def forged_enrolment(thief: SoftwareAuthenticator, moment: str) -> Enrolment:
    passkey = thief.passkey()
    digest = enrolment_digest(passkey, moment)
    return Enrolment(passkey=passkey, said_at=moment, proof=thief.sign(proof_challenge(digest)))


@pytest.mark.parametrize("vouched", ["by-nobody", "by-itself", "by-one-person-twice", "with-borrowed-words"])
def test_an_enrolment_written_into_the_database_gives_no_key(signed: World, signers: Signers, vouched: str) -> None:
    thief, moment = authenticator("bob"), spell(signed.clock())
    enrolment = forged_enrolment(thief, moment)
    own = Word(person="bob", assertion=thief.sign(vouch_challenge(enrolment=enrolment.digest, voucher="bob")))
    frank = signers["frank"]
    one = [
        Word(person="frank", assertion=frank.sign(vouch_challenge(enrolment=enrolment.digest, voucher="frank")))
        for _ in range(2)
    ]
    elsewhere = [
        Word(person=name, assertion=signers[name].sign(vouch_challenge(enrolment="0" * 64, voucher=name)))
        for name in ("frank", "grace")
    ]
    words = {"by-nobody": [], "by-itself": [own, own], "by-one-person-twice": one, "with-borrowed-words": elsewhere}
    row = {"passkey": enrolment.passkey.document(), "said_at": moment, "proof": enrolment.proof.document()}
    insert(signed, enrolments, passkey_id=enrolment.passkey.id, person="bob", at=signed.clock(), **row)
    forge_fact(
        signed,
        PasskeyEnrolled(
            actor="grace",
            subject=enrolment.passkey.id,
            passkey=enrolment.passkey.document(),
            said_at=moment,
            proof=enrolment.proof.document(),
            vouches=tuple(word.document() for word in words[vouched]),
        ),
    )
    request = signed.ask(what=SIGNED)
    grant = forge_approval(signed, request, approval(thief, request, by="bob").document())
    assert "is not enrolled" in refused(signed, grant)
    found = verify_store(signed.store, verifiers=[])
    assert "passkey-chain" in {failure.code for failure in found.failures}


def test_the_first_keys_cannot_be_exchanged_in_the_database(signed: World, signers: Signers) -> None:
    with signed.store.read() as tx:
        rulebook = tx.rulebook()
    assert rulebook is not None
    pinned = genesis_digest(catalog=rulebook.catalog_digest, directory=rulebook.directory_digest)
    request = signed.ask(what=SIGNED)
    thief = signers.keys["bob"] = authenticator("bob")
    with signed.store.begin() as tx:
        if signed.store.is_embedded:
            tx._connection.exec_driver_sql("DROP TRIGGER rulebooks_UPDATE_refused")
        else:
            tx._connection.exec_driver_sql("DROP TRIGGER rulebooks_refused ON rulebooks")
        tx._connection.execute(sa.update(schema.rulebooks).values(catalog=signers.catalog()))
    grant = forge_approval(signed, request, approval(thief, request, by="bob").document())
    assert "is not enrolled" in refused(signed, grant), "what was read at the start still counts"
    with signed.store.read() as tx, pytest.raises(RulesForged, match="not the ones that were pinned"):
        RuleReader(genesis=pinned).current(tx)


# --- rules -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def ruled(store: Store, clock: Clock, signers: Signers) -> World:
    return World(store=store, clock=clock, catalog=signers.catalog(signed_rules=True))


WITH_MALLORY = {
    **DIRECTORY,
    "group": [
        group | {"members": [*group["members"], "dave"]} if group["id"] == "orders-owners" else group
        for group in DIRECTORY["group"]
    ],
}


def proposed(world: World) -> Proposal:
    rulemaking = world.broker.rulemaking
    return rulemaking.propose(
        world.principal("frank"), catalog=world.catalog, directory=WITH_MALLORY, reason="dave signs too"
    ).proposal


def signing(signers: Signers, proposal: Proposal, act: str, author: str) -> Assertion:
    challenge = rules_challenge(proposal=proposal.id, digest=proposal.digest, act=act, author=author)
    return signers[author].sign(challenge)


def test_rules_change_on_the_signatures_of_both_authors_and_not_without(ruled: World, signers: Signers) -> None:
    proposal = proposed(ruled)
    frank, grace = ruled.principal("frank"), ruled.principal("grace")
    rulemaking = ruled.broker.rulemaking
    with pytest.raises(SignatureRequired):
        rulemaking.approve(grace, proposal.id, digest=proposal.digest)
    with pytest.raises(SignatureRequired, match="frank has not signed"):
        rulemaking.approve(
            grace, proposal.id, digest=proposal.digest, signature=signing(signers, proposal, "approve", "grace")
        )
    rulemaking.sign(
        frank, proposal.id, digest=proposal.digest, signature=signing(signers, proposal, "propose", "frank")
    )
    rulemaking.approve(
        grace, proposal.id, digest=proposal.digest, signature=signing(signers, proposal, "approve", "grace")
    )
    ruled.restart()
    with ruled.store.read() as tx:
        assert "dave" in ruled.broker.office.rules.current(tx).directory.members("orders-owners")
    assert verify_store(ruled.store, verifiers=[]).ok


def test_a_roster_written_into_the_database_is_refused_by_everything(ruled: World, signers: Signers) -> None:
    grant = _approved(ruled, signers)
    row = {"proposed_by": "frank", "approved_by": "grace", "proposal": "prp_aaaaaaaaaaaaaaaa"}
    with ruled.store.read() as tx:
        current = tx.rulebook()
    assert current is not None
    insert(
        ruled,
        schema.rulebooks,
        seq=2,
        catalog=current.catalog,
        directory=WITH_MALLORY,
        catalog_digest=current.catalog_digest,
        directory_digest=current.directory_digest,
        at=ruled.clock(),
        **row,
    )
    for act in (lambda: ruled.draw(grant), lambda: ruled.ask(what=SIGNED)):
        with pytest.raises(RulesForged, match="not signed by two authors"):
            act()
    assert not ruled.provider.target.reserved


def test_rules_set_back_to_older_ones_are_refused(ruled: World, signers: Signers) -> None:
    proposal = proposed(ruled)
    rulemaking = ruled.broker.rulemaking
    for author, act, call in (("frank", "propose", rulemaking.sign), ("grace", "approve", rulemaking.approve)):
        call(
            ruled.principal(author),
            proposal.id,
            digest=proposal.digest,
            signature=signing(signers, proposal, act, author),
        )
    grant = _approved(ruled, signers)
    with ruled.store.begin() as tx:
        if ruled.store.is_embedded:
            tx._connection.exec_driver_sql("DROP TRIGGER rulebooks_DELETE_refused")
        else:
            tx._connection.exec_driver_sql("DROP TRIGGER rulebooks_refused ON rulebooks")
        tx._connection.execute(sa.delete(schema.rulebooks).where(schema.rulebooks.c.seq == 2))
    with pytest.raises(RulesForged, match="came into force"):
        ruled.draw(grant)


def test_rules_set_back_with_every_trace_hidden_from_the_columns_are_refused_after_a_restart(
    ruled: World, signers: Signers
) -> None:
    """The fact that the newest rulebook came into force keeps its leaf, and no query finds it."""
    grant = _approved(ruled, signers)
    proposal = proposed(ruled)
    rulemaking = ruled.broker.rulemaking
    for author, act, call in (("frank", "propose", rulemaking.sign), ("grace", "approve", rulemaking.approve)):
        signature = signing(signers, proposal, act, author)
        call(ruled.principal(author), proposal.id, digest=proposal.digest, signature=signature)
    newest = max(row["index"] for row in ruled.facts("rulebook.adopted"))
    with ruled.store.begin() as tx:
        for table, verb in (("rulebooks", "DELETE"), ("facts", "UPDATE")):
            embedded = f"DROP TRIGGER {table}_{verb}_refused"
            drop = embedded if ruled.store.is_embedded else f"DROP TRIGGER {table}_refused ON {table}"
            tx._connection.exec_driver_sql(drop)
        tx._connection.execute(sa.delete(schema.rulebooks).where(schema.rulebooks.c.seq == 2))
        tx._connection.execute(sa.update(schema.facts).where(schema.facts.c.index == newest).values(type="x"))
    ruled.restart()
    with ruled.store.read() as tx:
        ruled.broker.office.rules.current(tx)  # whoever only reads them cannot tell
    with pytest.raises(RulesForged, match="not what the log said"):
        ruled.draw(grant)
    assert not ruled.provider.target.reserved


def test_other_first_rules_than_the_pinned_ones_are_refused(ruled: World) -> None:
    with ruled.store.read() as tx, pytest.raises(RulesForged, match="not the ones that were pinned"):
        RuleReader(genesis="0" * 64).current(tx)


def _approved(world: World, signers: Signers) -> str:
    request = world.ask(what=SIGNED)
    world.broker.requests.review(
        world.principal("bob"),
        request.id,
        decision=Decision.APPROVE,
        digest=request.digest,
        signature=approval(signers["bob"], request, by="bob"),
    )
    with world.store.read() as tx:
        grant = tx.grant_of_request(request.id)
    assert grant is not None
    return grant.id
