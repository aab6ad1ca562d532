"""Sessions in the store, on both databases: what they stand for is pinned, an end is final, secrets are good once."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.world import BEGINNING

from countersign.domain.issuer import GroupWord
from countersign.domain.session import IdentityProof, Session, SessionKind, SessionToken, TokenUse
from countersign.store import Store

SESSION = Session(
    id="ses_aaaaaaaaaaaaaaaa",
    kind=SessionKind.CLI,
    principal="alice-corp",
    person="alice",
    issuer="corp",
    subject="sub-alice",
    issuer_session="sid",
    device_key=None,
    factors=frozenset({"otp", "pwd"}),
    behind=frozenset(),
    opened_at=BEGINNING,
    seen_at=BEGINNING,
    ends_at=BEGINNING + timedelta(hours=8),
)
PROOF = IdentityProof(
    session=SESSION.id,
    issuer="corp",
    subject="sub-alice",
    signed="a.b",
    signature="c",
    device_key=None,
    random=None,
    at=BEGINNING,
)
TOKEN = SessionToken(hash="f" * 64, session=SESSION.id, use=TokenUse.REFRESH, expires_at=BEGINNING + timedelta(hours=8))


@pytest.fixture
def opened(store: Store) -> Store:
    with store.begin() as tx:
        tx.add_session(SESSION, PROOF)
        tx.add_session_token(TOKEN)
    return store


def test_a_session_and_its_proof_come_back_as_they_were(opened: Store) -> None:
    with opened.read() as tx:
        assert tx.session(SESSION.id) == SESSION
        assert tx.identity_proof(SESSION.id) == PROOF
        assert tx.session_token(TOKEN.hash) == (TOKEN, SESSION)
        assert tx.sessions_of("alice") == tx.sessions_at("corp", subject=None, issuer_session="sid") == [SESSION]
        assert tx.sessions_at("corp", subject="sub-alice", issuer_session="another") == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE identity_proofs SET signed = 'forged'",
        "DELETE FROM identity_proofs",
        "UPDATE sessions SET person = 'olga'",
        "UPDATE sessions SET subject = 'sub-olga'",
        "UPDATE sessions SET ends_at = '2099-01-01T00:00:00.000Z'",
        "UPDATE sessions SET factors = '[\"phr\"]'",
    ],
)
def test_what_a_session_stands_for_is_not_changed_even_past_the_store(opened: Store, statement: str) -> None:
    with pytest.raises(sa.exc.DBAPIError), opened._engine.begin() as connection:
        connection.execute(sa.text(statement))


def test_an_end_is_final_and_a_refresh_token_is_used_once(opened: Store) -> None:
    with opened.begin() as tx:
        assert [tx.use_session_token(TOKEN.hash), tx.use_session_token(TOKEN.hash)] == [True, False]
        assert [tx.end_session(SESSION.id), tx.end_session(SESSION.id)] == [True, False]
    for statement in ("UPDATE sessions SET ended_at = NULL", "UPDATE session_tokens SET used_at = NULL"):
        with pytest.raises(sa.exc.DBAPIError), opened._engine.begin() as connection:
            connection.execute(sa.text(statement))
    with opened.read() as tx:
        assert tx.sessions_of("alice") == []


def test_a_token_is_shown_once_and_a_word_on_groups_replaces_the_one_before(store: Store) -> None:
    until = BEGINNING + timedelta(minutes=5)
    with store.begin() as tx:
        assert [tx.show_token(issuer="corp", hashed="h", expires_at=until) for _ in range(2)] == [True, False]
        assert tx.show_token(issuer="other", hashed="h", expires_at=until)
        for group in ("one", "two"):
            tx.say_groups(GroupWord(issuer="corp", person="bob", groups=frozenset({group}), at=BEGINNING))
    with store.read() as tx:
        (word,) = tx.group_words()
        assert word.groups == {"two"}
        assert tx.group_word("corp", "alice") is None
