from __future__ import annotations

import shlex
import subprocess
from typing import Any

import psycopg
import pytest
from tests.cli.desk import Desk
from tests.servers import Stack, order

from countersign.cli.credentials import exports, unwrapped
from countersign.cli.failures import CommandFailed
from countersign.domain.entitlement import Delivery

LEASE = {"id": "lse_a", "grant_id": "grt_a", "not_after": "2026-11-22T22:05:00.000Z"}
NASTY = "p'a\"s$(touch /tmp/never) `id` \\ ;&|"


def environment(credential: dict[str, Any]) -> dict[str, str]:
    """Return what a real shell has in its environment after it ran the lines."""
    lines, _ = exports(credential, LEASE)
    done = subprocess.run(
        ["/bin/sh", "-c", "\n".join([*lines, "env -0"])], env={}, capture_output=True, text=True, timeout=10, check=True
    )
    return dict(item.split("=", 1) for item in done.stdout.split("\0") if "=" in item)


def test_a_database_login_reaches_psql_through_the_environment_whatever_it_holds() -> None:
    fields = {"kind": "postgresql", "host": "h", "port": 5432, "dbname": "o", "username": "lse_a", "password": NASTY}
    found = environment(fields)
    assert {name: found[name] for name in ("PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD")} == {
        "PGHOST": "h",
        "PGPORT": "5432",
        "PGDATABASE": "o",
        "PGUSER": "lse_a",
        "PGPASSWORD": NASTY,
    }
    assert (found["COUNTERSIGN_GRANT"], found["COUNTERSIGN_EXPIRES_AT"]) == ("grt_a", "2026-11-22T22:05:00.000Z")


def test_aws_keys_come_with_region_endpoint_and_end() -> None:
    fields = {
        "kind": "aws",
        "access_key_id": "ASIA",
        "secret_access_key": NASTY,
        "session_token": "t==",
        "region": "eu-west-1",
        "expiration": "2026-11-22T22:05:00.000Z",
    }
    found = environment(fields)
    assert found["AWS_SECRET_ACCESS_KEY"] == NASTY
    assert found["AWS_REGION"] == found["AWS_DEFAULT_REGION"] == "eu-west-1"
    assert found["AWS_CREDENTIAL_EXPIRATION"] == "2026-11-22T22:05:00.000Z"
    assert "AWS_ENDPOINT_URL" not in found
    assert environment(fields | {"endpoint_url": "http://127.0.0.1:1"})["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"


def test_a_token_of_openbao_is_set_under_both_names() -> None:
    found = environment({"kind": "openbao-token", "addr": "https://bao", "token": "s.x"})
    assert found["BAO_TOKEN"] == found["VAULT_TOKEN"] == "s.x"
    assert found["BAO_ADDR"] == found["VAULT_ADDR"] == "https://bao"


def test_what_would_steer_the_terminal_is_not_printed_and_an_unknown_kind_is_said() -> None:
    with pytest.raises(CommandFailed, match="PGPASSWORD"):
        exports({"kind": "postgresql", "password": "a\x1b[2Jb"}, LEASE)
    with pytest.raises(CommandFailed, match="not known"):
        exports({"kind": "kerberos"}, LEASE)


def test_what_draw_prints_is_for_a_shell_and_nothing_else_stands_on_stdout(desk: Desk) -> None:
    ran = desk.run("alice", "draw", desk.granted())
    assert ran.code == 0
    assert all(line.startswith("export ") and len(shlex.split(line)) == 2 for line in ran.out.splitlines())
    assert "secret-of-" in ran.out
    assert "secret-of-" not in ran.err


def test_json_holds_the_answer_as_it_was_given(desk: Desk) -> None:
    answer = desk.run("alice", "draw", desk.granted(), "--json").json()
    assert answer["credential"]["kind"] == "postgresql"
    assert answer["lease"]["state"] == "active"


def test_a_wrapped_credential_can_be_left_wrapped(desk: Desk) -> None:
    ran = desk.run("alice", "draw", desk.granted("orders-db-wrapped"), "--no-unwrap", "--json")
    assert (ran.code, ran.json()["credential"]["kind"]) == (0, "wrapped")


def wrapped(stack: Stack) -> dict[str, Any]:
    provider = stack.provider()
    issued = provider.issue(provider.reserve(order(stack, delivery=Delivery.WRAPPED)))
    return {**issued.credential.fields, "kind": issued.credential.kind}


def test_unwrapping_at_openbao_gives_a_login_that_works(openbao_stack: Stack) -> None:
    credential = wrapped(openbao_stack)
    opened = unwrapped(credential, grant="grt_a")
    assert opened["kind"] == "postgresql"
    assert credential["token"] not in opened.values()
    found = environment(opened)
    with psycopg.connect(
        host=found["PGHOST"],
        port=found["PGPORT"],
        dbname=found["PGDATABASE"],
        user=found["PGUSER"],
        password=found["PGPASSWORD"],
    ) as connection:
        assert connection.execute("SELECT session_user::text").fetchone() == (opened["username"],)


def test_a_credential_that_somebody_else_opened_raises_the_alarm(openbao_stack: Stack) -> None:
    credential = wrapped(openbao_stack)
    unwrapped(credential, grant="grt_a")
    with pytest.raises(CommandFailed, match="SOMEBODY ELSE HAS OPENED IT") as told:
        unwrapped(credential, grant="grt_a")
    assert (told.value.code, told.value.exit_code) == ("already-unwrapped", 1)
    assert "countersign revoke grt_a" in str(told.value.hint)
    assert credential["token"] not in "\n".join(told.value.lines())


def test_a_provider_that_is_away_is_seven_and_its_token_is_not_told() -> None:
    credential = {"kind": "wrapped", "addr": "http://127.0.0.1:9", "token": "s.canary", "of": "postgresql"}
    with pytest.raises(CommandFailed) as told:
        unwrapped(credential, grant="grt_a")
    assert (told.value.exit_code, "s.canary" in "\n".join(told.value.lines())) == (7, False)


def test_a_wrapping_token_travels_to_no_plain_address() -> None:
    with pytest.raises(CommandFailed, match="https only"):
        unwrapped({"kind": "wrapped", "addr": "http://bao.example", "token": "s.x"}, grant="grt_a")
