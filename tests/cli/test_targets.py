from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg import sql
from tests.cli.desk import Ran, run_here
from tests.servers import Stack

ROLES = ("--administrator", "cli_admin", "--broker", "cli_broker")


@pytest.fixture
def dsns(openbao_stack: Stack) -> Iterator[tuple[str, str]]:
    """A fresh database: its owner's DSN, and the broker's."""
    database = f"cli_{secrets.token_hex(4)}"
    with openbao_stack.owner() as owner:
        owner.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
        owner.execute("CREATE ROLE cli_admin LOGIN CREATEROLE IN ROLE pg_signal_backend, pg_read_all_stats")
        owner.execute("CREATE ROLE cli_broker LOGIN PASSWORD 'canary'")
    yield openbao_stack.postgres.dsn(database), openbao_stack.postgres.dsn(database, "cli_broker", "canary")
    with openbao_stack.owner() as owner:
        owner.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))
        owner.execute("DROP ROLE cli_admin, cli_broker")


def target(*args: str, dsn: str | None = None) -> Ran:
    return run_here(["target", *args], {} if dsn is None else {"COUNTERSIGN_TARGET_DSN": dsn})


def test_a_target_is_installed_and_looked_over(dsns: tuple[str, str], tmp_path: Path) -> None:
    owner, broker = dsns
    before = target("check", "--json", dsn=broker)
    assert (before.code, before.json()["ok"]) == (1, False)
    assert "function-missing" in {finding["code"] for finding in before.json()["findings"]}
    assert "error: function-missing: countersign." in target("check", dsn=broker).out
    assert target("init", *ROLES, "--json", dsn=owner).json() == {"ok": True, "version": 1}
    kept = tmp_path / "dsn"
    kept.write_text(broker + "\n")
    kept.chmod(0o600)
    after = target("check", "--dsn-file", str(kept), "--json")
    assert (after.code, after.json()) == (0, {"ok": True, "findings": []})
    assert target("check", "--dsn-file", str(kept)).out == "all is well\n"
    kept.chmod(0o644)
    assert target("check", "--dsn-file", str(kept)).code == 2


def test_a_role_that_is_not_there_changes_nothing(dsns: tuple[str, str]) -> None:
    owner, broker = dsns
    ran = target("init", "--administrator", "nobody_here", "--broker", "cli_broker", "--json", dsn=owner)
    assert (ran.code, json.loads(ran.err)["error"]["code"]) == (1, "target-refused")
    assert "function-missing" in {item["code"] for item in target("check", "--json", dsn=broker).json()["findings"]}


def test_a_target_that_is_away_is_seven_and_no_password_is_told() -> None:
    dsn = "postgresql://u:canary@127.0.0.1:9/x"
    for args in (("check",), ("init", *ROLES)):
        ran = target(*args, dsn=dsn)
        assert (ran.code, "canary" in ran.out + ran.err) == (7, False)


def test_a_dsn_comes_from_the_environment_or_a_file() -> None:
    ran = target("check")
    assert (ran.code, "COUNTERSIGN_TARGET_DSN" in ran.err) == (2, True)
