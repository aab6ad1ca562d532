"""An attacker who holds all of the half that faces people, its database included: no credential comes of whatever he writes.

He is dave, an engineer who may ask, with a command line of his own. He runs the first half's code as he likes, knows every
session and token that it saw, and owns the database; what he lacks are other people's devices and passkeys.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.api.signing import Device
from tests.halves.apart import PLAIN, Apart, Ordered, SignedIn, running_apart
from tests.issuer import CLIENT
from tests.signers import SIGNED, authenticator

from countersign.auditlog.merkle import leaf_hash
from countersign.domain.device import spelled
from countersign.domain.grant_facts import GrantOpened
from countersign.domain.passkey import (
    Word,
    enrolment_digest,
    proof_challenge,
    review_challenge,
    vouch_challenge,
)
from countersign.domain.passkey_facts import PasskeyEnrolled
from countersign.domain.request import Request
from countersign.domain.timestamps import spell
from countersign.store import OrderState


@pytest.fixture
def apart(copied_postgres: str, tmp_path: Path) -> Iterator[Apart]:
    with running_apart(copied_postgres, tmp_path) as made:
        yield made


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Alice, with an approved request that waits to be drawn, and dave, who holds the first half."""

    apart: Apart
    alice: SignedIn
    dave: SignedIn
    request: Request
    grant: str

    def ordered(self, who: SignedIn | None = None, **changes: Any) -> Ordered:  # noqa: ANN401 - fields of the order
        """Return an order by dave's device, or another's, with these fields."""
        signer = who or self.dave
        made = self.apart.order(signer, self.grant, self.request.digest)
        order = replace(made.order, **changes)
        return replace(made, order=order, signature=spelled(signer.device.key.sign(order.signed())))


def staged(apart: Apart) -> Scene:
    request = apart.asked()
    return Scene(
        apart=apart,
        alice=apart.signed_in("alice"),
        dave=apart.signed_in("dave"),
        request=request,
        grant=apart.approved(request),
    )


def with_a_proof(scene: Scene, device: Device, token: str, *, session: str = "ses_aaaaaaaaaaaaaaaa") -> str:
    """Write a session of alice's, and a proof of it that names a device of the attacker's."""
    write = scene.apart.write
    write("DELETE FROM identity_proofs WHERE session = :session", session=session)
    write("DELETE FROM sessions WHERE id = :session", session=session)
    write(
        "INSERT INTO sessions SELECT :session, kind, principal, person, issuer, subject, issuer_session, :key, factors,"
        " behind, revision, opened_at, seen_at, ends_at, ended_at FROM sessions WHERE id = :hers",
        session=session,
        key=device.public,
        hers=scene.alice.session,
    )
    signed, _, signature = token.rpartition(".")
    write(
        "INSERT INTO identity_proofs VALUES (:session, 'corp', 'sub-alice', :signed, :signature, :key, :random, :at)",
        session=session,
        signed=signed,
        signature=signature,
        key=device.public,
        random=device.random,
        at=spell(scene.apart.clock()),
    )
    return session


def her_session_with_his_device(scene: Scene) -> dict[str, Any]:
    return scene.apart.post(scene.ordered(), session=scene.alice.session)


def his_session_for_her_grant(scene: Scene) -> dict[str, Any]:
    return scene.apart.post(scene.ordered(), session=scene.dave.session)


def her_grant_rewritten_as_his(scene: Scene) -> dict[str, Any]:
    write = scene.apart.write
    write("UPDATE grants SET person = 'dave' WHERE id = :grant", grant=scene.grant)
    write("UPDATE requests SET person = 'dave', principal = 'dave' WHERE id = :id", id=scene.request.id)
    row = scene.apart.post(scene.ordered(), session=scene.dave.session)
    write("UPDATE grants SET person = 'alice' WHERE id = :grant", grant=scene.grant)
    write("UPDATE requests SET person = 'alice', principal = 'alice' WHERE id = :id", id=scene.request.id)
    return row


def her_token_of_the_web_with_a_nonce_that_the_first_half_chose(scene: Scene) -> dict[str, Any]:
    """What the half that faces people gets signed in fact: tokens for its own client, with nonces of its making."""
    device = Device()
    token = scene.apart.issuer.sign(scene.apart.issuer.claims("sub-alice", aud=CLIENT, nonce=device.nonce))
    thief = SignedIn(device=device, session=with_a_proof(scene, device, token), token="")
    return scene.apart.post(scene.ordered(thief, device=device.public), session=thief.session)


def her_token_of_the_command_line_with_his_device_beside_it(scene: Scene) -> dict[str, Any]:
    device = Device()
    with scene.apart.people_store.read() as tx:
        proof = tx.identity_proof(scene.alice.session)
    assert proof is not None
    thief = SignedIn(device=device, session=with_a_proof(scene, device, f"{proof.signed}.{proof.signature}"), token="")
    return scene.apart.post(scene.ordered(thief, device=device.public), session=thief.session)


def a_token_with_changed_words(scene: Scene) -> dict[str, Any]:
    device = Device()
    with scene.apart.people_store.read() as tx:
        proof = tx.identity_proof(scene.alice.session)
    assert proof is not None
    header, _, said = proof.signed.partition(".")
    claims = json.loads(base64.urlsafe_b64decode(said + "=" * (-len(said) % 4))) | {"nonce": device.nonce}
    token = f"{header}.{spelled(json.dumps(claims).encode())}.{proof.signature}"
    thief = SignedIn(device=device, session=with_a_proof(scene, device, token), token="")
    return scene.apart.post(scene.ordered(thief, device=device.public), session=thief.session)


def her_order_with_his_key_to_seal_to(scene: Scene) -> dict[str, Any]:
    hers, his = scene.ordered(scene.alice), scene.ordered()
    changed = replace(his, order=replace(hers.order, seal_to=his.order.seal_to), signature=hers.signature)
    return scene.apart.post(changed, session=scene.alice.session)


def her_order_of_an_hour_ago(scene: Scene) -> dict[str, Any]:
    old = scene.ordered(scene.alice, at=scene.apart.clock() - timedelta(hours=1))
    return scene.apart.post(old, session=scene.alice.session)


def her_order_for_another_grant(scene: Scene) -> dict[str, Any]:
    """She ordered what she has; he points it at a grant with more in it, by exchanging the rows behind the name."""
    hers = scene.ordered(scene.alice, digest="0" * 64)
    return scene.apart.post(hers, session=scene.alice.session)


def nonsense(scene: Scene) -> dict[str, Any]:
    ordered = scene.ordered()
    said = {"grant": scene.grant, "device": ["x"], "seal_to": None}
    return scene.apart.post(ordered, session=scene.alice.session, said=said)


ON_HER_GRANT: list[tuple[Callable[[Scene], dict[str, Any]], set[str]]] = [
    (her_session_with_his_device, {"order-void"}),
    (his_session_for_her_grant, {"not-found", "not-yours"}),
    (her_grant_rewritten_as_his, {"approval-void"}),
    (her_token_of_the_web_with_a_nonce_that_the_first_half_chose, {"identity-refused"}),
    (her_token_of_the_command_line_with_his_device_beside_it, {"identity-refused"}),
    (a_token_with_changed_words, {"identity-refused"}),
    (her_order_with_his_key_to_seal_to, {"order-void"}),
    (her_order_of_an_hour_ago, {"order-void"}),
    (her_order_for_another_grant, {"order-void"}),
    (nonsense, {"order-void"}),
]


def test_whatever_he_orders_on_her_grant_no_credential_comes_of_it_and_hers_still_does(apart: Apart) -> None:
    scene = staged(apart)
    for attack, codes in ON_HER_GRANT:
        row = attack(scene)
        assert row["state"] is OrderState.REFUSED, attack.__name__
        assert row["code"] in codes, (attack.__name__, row)
        assert row["sealed"] is None
    assert not apart.provider.target.reserved
    assert not apart.facts("lease.prepared")
    assert len(apart.facts("order.refused")) == 7
    mine = scene.ordered(scene.alice)
    answer = apart.draw(scene.alice, mine)
    assert mine.opened(answer.json())["credential"]["password"]


def test_an_order_of_hers_that_was_served_is_served_to_nobody_again(apart: Apart) -> None:
    scene = staged(apart)
    hers = scene.ordered(scene.alice)
    assert apart.draw(scene.alice, hers).status_code == 200
    made = len(apart.provider.target.reserved)
    for hidden in ("", "UPDATE facts SET subject = 'x', type = 'x' WHERE type = 'order.accepted'"):
        apart.write("DELETE FROM draw_orders")
        apart.write("UPDATE grants SET draws_used = 0, not_after = NULL")
        if hidden:
            apart.write(hidden)
        assert apart.post(hers, session=scene.alice.session)["code"] == "order-void"
    assert len(apart.provider.target.reserved) == made


def test_what_is_sealed_to_her_opens_for_nobody_else(apart: Apart) -> None:
    scene = staged(apart)
    hers, his = scene.ordered(scene.alice), scene.ordered()
    answer = apart.draw(scene.alice, hers).json()
    assert hers.opened(answer)
    for thief in (replace(hers, key=his.key), replace(hers, order=his.order)):
        with pytest.raises(ValueError, match="does not open"):
            thief.opened(answer)


def test_a_sign_in_that_is_over_orders_nothing_whatever_the_database_says_of_it(apart: Apart) -> None:
    scene = staged(apart)
    apart.broker.sessions.revoke(
        replace(apart.principal("alice-corp"), session=scene.alice.session), scene.alice.session
    )
    apart.desk.tidy()  # a second passes: the issuing half has seen the log grow
    apart.write("UPDATE sessions SET ended_at = NULL")
    row = apart.post(scene.ordered(scene.alice), session=scene.alice.session)
    assert (row["code"], "has ended" in row["detail"]) == ("order-void", True)
    again = apart.signed_in("alice")
    apart.clock.forward(hours=8, seconds=31)
    now, tomorrow = spell(apart.clock()), spell(apart.clock() + timedelta(days=1))
    apart.write("UPDATE sessions SET opened_at = :now, ends_at = :tomorrow", now=now, tomorrow=tomorrow)
    apart.write("UPDATE identity_proofs SET at = :now", now=now)
    row = apart.post(scene.ordered(again, at=apart.clock()), session=again.session)
    assert (row["code"], "too long ago" in row["detail"]) == ("identity-refused", True)
    assert not apart.provider.target.reserved


def test_somebody_who_was_disabled_orders_nothing_though_the_database_forgets_it(apart: Apart) -> None:
    scene = staged(apart)
    apart.broker.control.disable(apart.principal("olga"), "alice", reason="left the company")
    apart.desk.tidy()
    apart.write("DELETE FROM disabled_persons")
    apart.write("UPDATE sessions SET ended_at = NULL")
    apart.write("UPDATE grants SET state = 'open'")
    row = apart.post(scene.ordered(scene.alice), session=scene.alice.session)
    assert row["code"] == "order-void"
    assert not apart.provider.target.reserved


# --- his own request, and approvals that nobody gave -----------------------------------------------------------------


def forged(scene: Scene, signature: dict[str, Any] | None, *, what: str = SIGNED) -> dict[str, Any]:
    """Ask as himself, write an approval by bob and a grant, and order with his own device; return what comes of it."""
    apart, grant = scene.apart, "grt_aaaaaaaaaaaaaaaa"
    request = apart.asked("dave", what)
    signed = signature
    if signature == {"sign": "a key of his own"}:
        key = authenticator("bob")
        enrol(apart, key)
        said = {"request": request.id, "digest": request.digest, "decision": "approve", "approver": "bob"}
        signed = key.sign(review_challenge(**said)).document()
    apart.write(
        "INSERT INTO reviews (request_id, person, requester_person, principal, decision, digest, at, signature)"
        " VALUES (:id, 'bob', 'dave', 'bob', 'approve', :digest, :at, CAST(:signature AS json))",
        at=spell(apart.clock()),
        id=request.id,
        digest=request.digest,
        signature=None if signed is None else json.dumps(signed),
    )
    apart.write("UPDATE requests SET state = 'approved' WHERE id = :id", id=request.id)
    apart.write("DELETE FROM grants WHERE id = :grant", grant=grant)
    apart.write(
        "INSERT INTO grants (id, request_id, request_digest, person, entitlement, target, duration_s, draws,"
        " opened_at, draw_by, draws_used, not_after, state, due, version)"
        " SELECT :grant, CAST(:id AS varchar), CAST(:digest AS varchar), 'dave', CAST(:what AS varchar),"
        " target, duration_s, CAST(:draws AS integer), opened_at, draw_by, 0, NULL, 'open', due, 1 FROM grants WHERE id = :hers",
        grant=grant,
        id=request.id,
        digest=request.digest,
        what=what,
        draws=1 if what == PLAIN else 3,
        hers=scene.grant,
    )
    open_in_the_log(scene, grant, request, days=0)
    ordered = apart.order(scene.dave, grant, request.digest)
    return apart.post(ordered, session=scene.dave.session)


def open_in_the_log(scene: Scene, grant: str, request: Request, *, days: int) -> None:
    """Write the fact that opens a grant, so many days late, as the log's own code writes it."""
    with scene.apart.people_store.begin() as tx:
        kept = tx.grant(grant)
        assert kept is not None
        opened = GrantOpened(
            actor="bob",
            subject=grant,
            request=request.id,
            digest=request.digest,
            rule=request.rule_digest,
            person=request.person,
            approvers=("bob",),
            draws=kept.draws,
            duration_s=60,
            draw_by=kept.draw_by + timedelta(days=days),
        )
        tx.record(opened)


def enrol(apart: Apart, key: Any) -> None:  # noqa: ANN401 - a software authenticator
    """Write a fact that enrols a key as bob's, borne out by that key alone, as the log's own code would have written it."""
    passkey, moment = key.passkey(), spell(apart.clock())
    digest = enrolment_digest(passkey, moment)
    vouches = [
        Word(person=who, assertion=key.sign(vouch_challenge(enrolment=digest, voucher=who))).document()
        for who in ("frank", "grace")
    ]
    fact = PasskeyEnrolled(
        actor="grace",
        subject=passkey.id,
        passkey=passkey.document(),
        said_at=moment,
        proof=key.sign(proof_challenge(digest)).document(),
        vouches=tuple(vouches),
    )
    with apart.people_store.begin() as tx:
        tx.record(fact)


def test_approvals_that_nobody_gave_bring_nothing(apart: Apart) -> None:
    scene = staged(apart)
    hers = apart.signers.approval("bob", {"id": scene.request.id, "digest": scene.request.digest}).document()
    for signature in (None, hers, {"sign": "a key of his own"}):
        row = forged(scene, signature)
        assert row["code"] == "approval-void", row
    row = forged(scene, None, what=PLAIN)
    assert row["code"] == "approval-unsigned", row
    assert not apart.provider.target.reserved
    mine = scene.ordered(scene.alice)
    assert apart.draw(scene.alice, mine).status_code == 200


def test_an_approval_in_advance_that_no_signed_rule_gave_brings_nothing(apart: Apart) -> None:
    scene = staged(apart)
    request = apart.asked("dave", PLAIN)
    apart.write("INSERT INTO rule_authors VALUES (:what, 'frank'), (:what, 'grace')", what=PLAIN)
    apart.write(
        "INSERT INTO automatic_approvals (request_id, requester_person, digest, rule_digest, one, other, at)"
        " VALUES (:id, 'dave', :digest, :rule, 'frank', 'grace', :at)",
        at=spell(apart.clock()),
        id=request.id,
        digest=request.digest,
        rule=request.rule_digest,
    )
    apart.write("UPDATE requests SET state = 'approved' WHERE id = :id", id=request.id)
    apart.write(
        "UPDATE grants SET request_id = :id, request_digest = :digest, person = 'dave', entitlement = :what, draws = 1",
        id=request.id,
        digest=request.digest,
        what=PLAIN,
    )
    row = apart.post(apart.order(scene.dave, scene.grant, request.digest), session=scene.dave.session)
    assert row["code"] == "approval-void", row
    assert not apart.provider.target.reserved


def test_a_roster_of_his_own_making_stops_everything_and_lets_nobody_in(apart: Apart) -> None:
    scene = staged(apart)
    directory = json.loads(json.dumps(apart.directory))
    for principal in directory["principal"]:
        if principal.get("subject") == "sub-alice":
            principal["subject"] = "sub-dave"
        elif principal.get("subject") == "sub-dave":
            principal["subject"] = "sub-alice"
    apart.write("UPDATE rulebooks SET directory = CAST(:directory AS json)", directory=json.dumps(directory))
    fresh = replace(scene, apart=replace_issuing(apart))
    assert fresh.apart.post(scene.ordered(), session=scene.dave.session)["code"] == "rules-forged"
    assert not fresh.apart.provider.target.reserved


def replace_issuing(apart: Apart) -> Apart:
    """Start the issuing half anew on the same database and memory."""
    apart.issuing, apart.desk = apart._issuing()
    return apart


def test_rules_that_nobody_signs_issue_nothing_apart(copied_postgres: str, tmp_path: Path) -> None:
    with running_apart(copied_postgres, tmp_path, signed_rules=False) as apart:
        scene = staged(apart)
        assert apart.post(scene.ordered(scene.alice), session=scene.alice.session)["code"] == "rules-unsigned"
        assert not apart.provider.target.reserved


def test_a_grant_that_lasts_longer_than_was_approved_brings_nothing(apart: Apart) -> None:
    scene = staged(apart)
    with apart.people_store.read() as tx:
        grant = tx.grant(scene.grant)
    assert grant is not None
    moved = {name: spell(getattr(grant, name) + timedelta(days=1)) for name in ("opened_at", "draw_by")}
    apart.write("UPDATE grants SET opened_at = :opened_at, draw_by = :draw_by", **moved)
    assert apart.post(scene.ordered(scene.alice), session=scene.alice.session)["code"] == "approval-void"
    open_in_the_log(scene, scene.grant, scene.request, days=0)  # the column says tomorrow already
    row = apart.post(scene.ordered(scene.alice), session=scene.alice.session)
    assert (row["code"], "lasts longer" in row["detail"]) == ("approval-void", True)
    assert not apart.provider.target.reserved


def test_a_log_that_he_cuts_stops_every_order(apart: Apart) -> None:
    scene = staged(apart)
    apart.desk.tidy()
    forge_leaf(apart, -1)
    wait(apart.desk.serve_waiting())
    assert apart.post(scene.ordered(scene.alice), session=scene.alice.session)["code"] == "log-rewound"
    assert not apart.provider.target.reserved


def forge_leaf(apart: Apart, back: int) -> None:
    """Take the last entry off the log, head and all, as if it had never been."""
    with apart.people_store.read() as tx:
        head = tx.head()
    leaves = [bytes(entry.leaf) for entry in apart.people_store.entries(start=0, end=head.size + back)]
    frontier = type(head.frontier)()
    for leaf in leaves:
        frontier = frontier.append(leaf_hash(leaf))
    apart.write("DELETE FROM openings WHERE index >= :size", size=frontier.size)
    apart.write('DELETE FROM facts WHERE "index" >= :size', size=frontier.size)
    apart.write(
        "UPDATE log_head SET size = :size, root = :root, frontier = :frontier",
        size=frontier.size,
        root=frontier.root(),
        frontier=frontier.encode(),
    )


def test_an_issuer_s_word_on_groups_counts_as_it_was_signed_and_not_as_a_row_tells_it(
    copied_postgres: str, tmp_path: Path
) -> None:
    terms = {"groups_claim": "groups", "groups": {"orders-owners": ["orders-leads"]}}
    with running_apart(copied_postgres, tmp_path, terms=terms) as apart:
        alice = apart.signed_in("alice", groups=[])
        apart.signed_in("bob", groups=["orders-leads"])
        request = apart.asked()
        grant = apart.approved(request)
        assert apart.draw(alice, apart.order(alice, grant, request.digest)).status_code == 200
        # A newer word takes bob out of the group; the row that says so is changed back, and so is his own old token's time.
        apart.clock.forward(seconds=1)
        apart.signed_in("bob", groups=[])
        row = apart.post(apart.order(alice, grant, request.digest), session=alice.session)
        assert row["code"] == "approval-void"
        apart.write("UPDATE group_words SET groups = '[\"orders-owners\"]' WHERE person = 'bob'")
        with apart.people_store.read() as tx:
            rules = apart.broker.office.rules.current(tx)
        assert "orders-owners" in {group.id for group in rules.directory.groups.values() if "bob" in group.members}
        row = apart.post(apart.order(alice, grant, request.digest), session=alice.session)
        assert (row["code"], row["sealed"]) == ("approval-void", None)
        assert len(apart.facts("lease.issued")) == 1
