"""Sign-in within a transaction: sessions and their secrets by hash, proofs, and issuers' words on groups."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from countersign.domain.issuer import GroupWord
from countersign.domain.session import IdentityProof, Session, SessionKind, SessionToken, TokenUse
from countersign.store import signin_tables as tables
from countersign.store.unit.part import Part


class SignInPart(Part):
    """Sessions, proofs, groups, and what was shown once."""

    def add_session(self, session: Session, proof: IdentityProof) -> None:
        """Keep a new session with what its issuer signed."""
        row = {name: getattr(session, name) for name in Session.__dataclass_fields__}
        self._insert(tables.sessions, row | {"factors": sorted(session.factors), "behind": sorted(session.behind)})
        self._insert(
            tables.identity_proofs, {name: getattr(proof, name) for name in IdentityProof.__dataclass_fields__}
        )

    def session(self, session_id: str) -> Session | None:
        """Return a session, in force or not."""
        row = self._one(tables.sessions, tables.sessions.c.id == session_id)
        return None if row is None else _session(row)

    def sessions_of(self, person: str) -> list[Session]:
        """Return a person's sessions that were not ended and are not over, newest first."""
        return self._sessions(tables.sessions.c.person == person)

    def sessions_at(self, issuer: str, *, subject: str | None, issuer_session: str | None) -> list[Session]:
        """Return the sessions that an issuer means by a subject, by a session of its own, or by both."""
        table = tables.sessions
        wanted = [table.c.issuer == issuer]
        if subject is not None:
            wanted.append(table.c.subject == subject)
        if issuer_session is not None:
            wanted.append(table.c.issuer_session == issuer_session)
        return self._sessions(sa.and_(*wanted))

    def _sessions(self, which: sa.ColumnElement[bool]) -> list[Session]:
        table = tables.sessions
        query = (
            sa.select(table)
            .where(which, table.c.ended_at.is_(None), table.c.ends_at > self.now)
            .order_by(table.c.opened_at.desc(), table.c.id)
        )
        return [_session(row) for row in self._connection.execute(query).mappings()]

    def see_session(self, session_id: str) -> None:
        """Note that a session was used now."""
        table = tables.sessions
        query = sa.update(table).where(table.c.id == session_id, table.c.ended_at.is_(None))
        self._connection.execute(query.values(seen_at=self.now))

    def end_session(self, session_id: str) -> bool:
        """End a session; False when it was ended before."""
        table = tables.sessions
        query = sa.update(table).where(table.c.id == session_id, table.c.ended_at.is_(None))
        return self._connection.execute(query.values(ended_at=self.now)).rowcount == 1

    def add_session_token(self, token: SessionToken) -> None:
        """Keep the hash of a session's secret, and forget those that expired."""
        table = tables.session_tokens
        over = sa.and_(table.c.session == token.session, table.c.use == TokenUse.ACCESS, table.c.expires_at < self.now)
        self._connection.execute(sa.delete(table).where(over))
        self._insert(table, {name: getattr(token, name) for name in SessionToken.__dataclass_fields__})

    def session_token(self, hashed: str) -> tuple[SessionToken, Session] | None:
        """Return a secret by its hash, with its session, whatever has become of them."""
        tokens, table = tables.session_tokens, tables.sessions
        named = [column.label(f"token_{column.name}") for column in tokens.c]
        query = sa.select(*named, *table.c).join(table, tokens.c.session == table.c.id).where(tokens.c.hash == hashed)
        row = self._connection.execute(query).mappings().one_or_none()
        if row is None:
            return None
        values = {name: row[f"token_{name}"] for name in SessionToken.__dataclass_fields__}
        return SessionToken(**values | {"use": TokenUse(values["use"])}), _session(row)

    def use_session_token(self, hashed: str) -> bool:
        """Use up a secret that is good once; False when somebody did before."""
        table = tables.session_tokens
        query = sa.update(table).where(table.c.hash == hashed, table.c.used_at.is_(None))
        return self._connection.execute(query.values(used_at=self.now)).rowcount == 1

    def identity_proof(self, session_id: str) -> IdentityProof | None:
        """Return what the issuer signed for a session."""
        row = self._one(tables.identity_proofs, tables.identity_proofs.c.session == session_id)
        return None if row is None else IdentityProof(**{n: row[n] for n in IdentityProof.__dataclass_fields__})

    def newest_proofs(self, *, issuer: str, subject: str, limit: int) -> list[IdentityProof]:
        """Return what an issuer signed of a subject, by the time that is noted beside it, newest first."""
        table = tables.identity_proofs
        query = sa.select(table).where(table.c.issuer == issuer, table.c.subject == subject)
        found = self._connection.execute(query.order_by(table.c.at.desc()).limit(limit)).mappings()
        return [IdentityProof(**{name: row[name] for name in IdentityProof.__dataclass_fields__}) for row in found]

    def show_token(self, *, issuer: str, hashed: str, expires_at: datetime) -> bool:
        """Note that a token was shown; False when it was shown before."""
        table = tables.shown_tokens
        self.serialise(f"shown {issuer} {hashed}")
        self._connection.execute(sa.delete(table).where(table.c.expires_at < self.now))
        if self._one(table, sa.and_(table.c.issuer == issuer, table.c.hash == hashed)) is not None:
            return False
        self._insert(table, {"issuer": issuer, "hash": hashed, "expires_at": expires_at})
        return True

    def group_words(self) -> list[GroupWord]:
        """Return the newest word of each issuer on each person's groups."""
        rows = self._connection.execute(sa.select(tables.group_words)).mappings()
        return [
            GroupWord(issuer=row["issuer"], person=row["person"], groups=frozenset(row["groups"]), at=row["at"])
            for row in rows
        ]

    def group_word(self, issuer: str, person: str) -> GroupWord | None:
        """Return an issuer's newest word on a person's groups."""
        return next((w for w in self.group_words() if (w.issuer, w.person) == (issuer, person)), None)

    def say_groups(self, word: GroupWord) -> None:
        """Keep an issuer's newest word on a person's groups in place of the one before."""
        self.forget_groups(issuer=word.issuer, person=word.person)
        row = {"issuer": word.issuer, "person": word.person, "groups": sorted(word.groups), "at": word.at}
        self._insert(tables.group_words, row)

    def forget_groups(self, *, issuer: str, person: str) -> None:
        """Forget an issuer's word on a person's groups: nothing confirms them until it speaks again."""
        table = tables.group_words
        self._connection.execute(sa.delete(table).where(table.c.issuer == issuer, table.c.person == person))


def _session(row: Mapping[str, Any] | sa.RowMapping) -> Session:
    values = {name: row[name] for name in Session.__dataclass_fields__}
    return Session(
        **values
        | {
            "kind": SessionKind(values["kind"]),
            "factors": frozenset(values["factors"]),
            "behind": frozenset(values["behind"]),
        }
    )
