"""What each half's login may write at PostgreSQL: granted for real, looked at in the catalogue, and tried."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from tests.world import Clock

from countersign.domain.refusals import LogUnavailable
from countersign.embedded.postgres import EmbeddedPostgres
from countersign.store import Store, schema
from countersign.store.rights import (
    ISSUER,
    PEOPLE,
    UNREAD_BY_THE_ISSUER,
    UnfitLogin,
    Write,
    grant,
    held,
    meant,
    statements,
)

_made = itertools.count(1)
HALVES = {"people": PEOPLE, "issuer": ISSUER}


@dataclass(frozen=True, kw_only=True)
class Database:
    """A database whose tables belong to one login, and what each half's login reaches it with."""

    server: EmbeddedPostgres
    name: str
    owner: str

    def login(self, half: str) -> str:
        return f"{self.name}_{half}"

    def connect(self, half: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.server.dsn(self.name, self.login(half), "x"), autocommit=True)

    def url(self, user: str) -> str:
        return f"postgresql://{user}:x@127.0.0.1:{self.server.port}/{self.name}"

    def grant(self, **changes: str) -> None:
        grant(self.owner, **{"people": self.login("people"), "issuer": self.login("issuer"), **changes})

    def do(self, text: str) -> None:
        """Do something as the superuser."""
        with psycopg.connect(self.server.dsn(self.name), autocommit=True) as connection:
            connection.execute(text.encode())


def made(postgres: EmbeddedPostgres, template: str) -> Database:
    name = f"rights_{next(_made)}"
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        new, old = sql.Identifier(name), sql.Identifier(template)
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(new, old))
        for half in HALVES:
            login = sql.Identifier(f"{name}_{half}")
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'x'").format(login))
    known = conninfo_to_dict(postgres.dsn(name))
    owner = f"postgresql://{known['user']}:{known['password']}@127.0.0.1:{postgres.port}/{name}"
    return Database(server=postgres, name=name, owner=owner)


@pytest.fixture(scope="module")
def granted(postgres: EmbeddedPostgres, migrated_postgres: str) -> Database:
    database = made(postgres, migrated_postgres)
    database.grant()
    return database


@pytest.fixture
def fresh(postgres: EmbeddedPostgres, migrated_postgres: str) -> Database:
    return made(postgres, migrated_postgres)


def test_every_table_and_column_that_a_half_may_write_is_there_and_every_table_has_somebody_who_writes_it() -> None:
    tables = schema.metadata.tables
    for writes in HALVES.values():
        for name, write in writes.items():
            assert set(write.update) <= {column.name for column in tables[name].columns}, name
            assert write.insert or write.update or write.delete, name
    assert set(tables) == set(PEOPLE) | set(ISSUER), "a new table: say which half writes it, and what"
    assert set(tables) >= UNREAD_BY_THE_ISSUER


def test_nothing_that_is_only_ever_added_to_can_be_changed_or_removed_by_either_half() -> None:
    kept = ("facts", "openings", "reviews", "checkpoints", "rulebooks", "enrolments", "passkey_words", "cosignatures")
    for writes in HALVES.values():
        assert all(not writes[name].update and not writes[name].delete for name in kept if name in writes)


def test_what_one_half_alone_says_the_other_cannot_write() -> None:
    of_people = {"reviews", "sessions", "session_tokens", "tokens", "identity_proofs", "enrolments", "passkey_words"}
    assert not of_people & set(ISSUER)
    assert not {"checkpoints", "cosignatures", "wrappings", "uses", "record_sources"} & set(PEOPLE)
    assert not PEOPLE["leases"].insert
    assert not {"handle", "dead_at", "evidence", "not_after", "backstop_at"} & set(PEOPLE["leases"].update)
    assert not ISSUER["grants"].insert
    assert not ISSUER["requests"].insert


@pytest.mark.parametrize("half", HALVES)
def test_a_login_holds_exactly_what_its_half_is_meant_to(granted: Database, half: str) -> None:
    store = Store(granted.owner, clock=Clock())
    with store._engine.connect() as connection:
        assert held(connection, granted.login(half)) == meant(HALVES[half])
    store.close()


REFUSED = {
    "people": (
        "INSERT INTO leases (id) VALUES ('lse_aaaaaaaaaaaaaaaa')",
        "UPDATE leases SET dead_at = now()::text, evidence = 'observed'",
        "UPDATE leases SET handle = '{}'",
        "INSERT INTO checkpoints (size, root, note, at) VALUES (1, '', '', '')",
        "UPDATE facts SET leaf = ''",
        "DELETE FROM facts",
        "TRUNCATE facts CASCADE",
        "UPDATE reviews SET decision = 'approve'",
        "DELETE FROM reviews",
        "UPDATE requests SET duration_s = 1",
        "UPDATE rulebooks SET catalog = '{}'",
        "ALTER TABLE facts DISABLE TRIGGER ALL",
        "DROP TRIGGER facts_refused ON facts",
        "SET session_replication_role = replica",
        "CREATE TABLE public.mine (a int)",
        "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "UPDATE alembic_version SET version_num = '0002'",
    ),
    "issuer": (
        "INSERT INTO reviews (request_id) VALUES ('req_aaaaaaaaaaaaaaaa')",
        "INSERT INTO requests (id) VALUES ('req_aaaaaaaaaaaaaaaa')",
        "INSERT INTO grants (id) VALUES ('grt_aaaaaaaaaaaaaaaa')",
        "INSERT INTO sessions (id) VALUES ('x')",
        "INSERT INTO enrolments (passkey_id) VALUES ('x')",
        "INSERT INTO disabled_persons (person) VALUES ('bob')",
        "SELECT hash FROM session_tokens",
        "SELECT hash FROM tokens",
        "SELECT hash FROM page_tickets",
        "DELETE FROM facts",
        "UPDATE checkpoints SET root = ''",
        "ALTER TABLE leases DISABLE TRIGGER ALL",
        "CREATE TABLE public.mine (a int)",
    ),
}


@pytest.mark.parametrize("half", HALVES)
def test_what_is_not_granted_is_refused_when_it_is_tried(granted: Database, half: str) -> None:
    with granted.connect(half) as connection:
        for tried in REFUSED[half]:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(tried.encode())
        connection.execute("SELECT count(*) FROM facts")
        # Beside the grants, the triggers still hold what is granted: a fact may be added, and only once.
        connection.execute("SELECT * FROM log_head FOR UPDATE")


def test_neither_login_can_become_the_other_or_the_owner(granted: Database) -> None:
    for half, other in (("people", "issuer"), ("issuer", "people")):
        with granted.connect(half) as connection:
            for beyond in (granted.login(other), "postgres"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(beyond)))


def test_rights_that_were_given_by_hand_are_taken_back_and_the_grants_may_be_repeated(fresh: Database) -> None:
    people = fresh.login("people")
    fresh.do(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {people}")
    fresh.do(f"GRANT UPDATE (dead_at, evidence) ON leases TO {people}, PUBLIC")
    for _ in range(2):
        fresh.grant()
    with fresh.connect("people") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("UPDATE leases SET dead_at = 'x'")


UNFIT = (
    ("ALTER ROLE {people} SUPERUSER", "ALTER ROLE {people} NOSUPERUSER", "superuser"),
    ("ALTER ROLE {people} CREATEROLE", "ALTER ROLE {people} NOCREATEROLE", "makes roles"),
    ("ALTER ROLE {people} NOLOGIN", "ALTER ROLE {people} LOGIN", "no login"),
    ("ALTER TABLE findings OWNER TO {people}", "ALTER TABLE findings OWNER TO postgres", "owns"),
    ("GRANT pg_write_all_data TO {people}", "REVOKE pg_write_all_data FROM {people}", "from elsewhere: delete"),
    (
        "CREATE ROLE {people}_more; GRANT DELETE ON facts TO {people}_more; GRANT {people}_more TO {people}",
        "DROP OWNED BY {people}_more; DROP ROLE {people}_more",
        "from elsewhere: delete facts",
    ),
)


def test_a_login_that_no_grant_binds_is_refused_and_nothing_is_changed(fresh: Database) -> None:
    for prepared, undone, why in UNFIT:
        fresh.do(prepared.format(people=fresh.login("people")))
        with pytest.raises(UnfitLogin, match=why):
            fresh.grant()
        with fresh.connect("issuer") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT 1 FROM facts")
        fresh.do(undone.format(people=fresh.login("people")))
    fresh.grant()


def test_a_login_that_is_not_there_one_for_both_and_somebody_who_is_not_the_owner_are_refused(fresh: Database) -> None:
    with pytest.raises(UnfitLogin, match="no login"):
        fresh.grant(people="nobody")
    with pytest.raises(UnfitLogin, match="of its own"):
        fresh.grant(people=fresh.login("issuer"))
    with pytest.raises(UnfitLogin, match="refused"):
        grant(fresh.url(fresh.login("people")), people=fresh.login("people"), issuer=fresh.login("issuer"))


@pytest.mark.parametrize("name", ["", " ", "x" * 64, "é" * 32, "a\nb"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(UnfitLogin):
        statements(people=name, issuer="issuer")


def test_a_name_is_quoted_whatever_is_in_it() -> None:
    made = statements(people='x" ; DROP TABLE facts; --', issuer="issuer")
    assert all('"x"" ; DROP TABLE facts; --"' in each for each in made if "DROP" in each)
    assert any("DROP" in each for each in made)


def test_what_the_database_does_not_let_a_login_do_is_a_coded_refusal_and_no_traceback(granted: Database) -> None:
    store = Store(granted.url(granted.login("issuer")), clock=Clock())
    store.migrate()
    with pytest.raises(LogUnavailable, match="does not let this login"), store.begin() as tx:
        tx.add_token(token_id="tok_1", hashed="0" * 64, principal="alice")
    store.close()


def test_the_documentation_says_of_every_table_what_each_half_writes() -> None:
    page = (Path(__file__).parents[2] / "docs" / "halves.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `(\w+)` \| (.*) \| (.*) \|$", page, re.MULTILINE)
    assert told == [
        (name, _said(PEOPLE.get(name)), _said(ISSUER.get(name))) for name in sorted(schema.metadata.tables)
    ], "docs/halves.md#database-logins"


def _said(write: Write | None) -> str:
    if write is None:
        return "nothing"
    adds = ["adds"] if write.insert else []
    changes = [f"changes {', '.join(f'`{name}`' for name in write.update)}"] if write.update else []
    return "; ".join([*adds, *changes, *(["removes"] if write.delete else [])])
