from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from tests.cli.desk import Ran, run_here
from tests.cli.test_startup import loaded_by

from countersign.embedded.postgres import EmbeddedPostgres
from countersign.store.rights import PEOPLE

LOGINS = ("cli_people", "cli_issuer")
NAMED = ("--people", LOGINS[0], "--issuer", LOGINS[1])


@pytest.fixture
def owner(postgres: EmbeddedPostgres, fresh_database: str) -> Iterator[str]:
    """The owner's URL of an empty database, beside two logins that may nothing yet."""
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        for login in LOGINS:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'canary'").format(sql.Identifier(login)))
    yield fresh_database
    with psycopg.connect(postgres.dsn(fresh_database.rpartition("/")[2]), autocommit=True) as connection:
        for login in LOGINS:
            connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(login)))
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(login)))


def prepare(*args: str, url: str | None = None) -> Ran:
    return run_here(["database", "prepare", *args], {} if url is None else {"COUNTERSIGN_DATABASE_URL": url})


def test_an_empty_database_is_made_ready_for_two_logins_and_again(owner: str) -> None:
    assert prepare(*NAMED, "--json", url=owner).json() == {"ok": True, "people": LOGINS[0], "issuer": LOGINS[1]}
    assert prepare(*NAMED, url=owner).out == "prepared for cli_people and cli_issuer\n"
    parts = owner.partition("@")[2]
    with psycopg.connect(f"postgresql://cli_people:canary@{parts}") as connection:
        assert connection.execute("SELECT size FROM log_head").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM reviews")


def test_the_grants_can_be_read_before_anything_is_done() -> None:
    told = prepare(*NAMED, "--print", url="postgresql://nobody:canary@127.0.0.1:9/x").out.splitlines()
    assert told[0] == "BEGIN;"
    assert told[-1] == "COMMIT;"
    given = re.findall(r'^GRANT INSERT.* ON "(\w+)" TO "cli_people";$', "\n".join(told), re.MULTILINE)
    assert set(given) == {name for name, write in PEOPLE.items() if write.insert}


def test_what_cannot_be_prepared_is_said_without_a_password(owner: str) -> None:
    assert "postgresql://" in _refused(prepare(*NAMED, url="sqlite:///x.db"), 2)
    assert "there is no login nobody" in _refused(prepare("--people", "nobody", "--issuer", LOGINS[1], url=owner), 2)
    assert "of its own" in _refused(prepare("--people", LOGINS[0], "--issuer", LOGINS[0], url=owner), 2)
    assert "of its own" in _refused(prepare("--people", "x", "--issuer", "x", "--print"), 2)
    _refused(prepare(*NAMED, url="postgresql://u:canary@127.0.0.1:9/x"), 7)


def _refused(ran: Ran, code: int) -> str:
    assert ran.code == code
    assert "canary" not in ran.err + ran.out
    return ran.err


def test_a_health_check_loads_no_store_and_no_server() -> None:
    code, modules, _ = loaded_by("alive")
    assert code == 7, "nobody serves here"
    assert not modules & {"fastapi", "sqlalchemy", "boto3", "psycopg", "rich"}
