"""Bad input over HTTP: each gets a clear coded problem that names the field, and leaves nothing behind."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from typing import Any

import pytest
from tests.api.calling import Api, ask
from tests.api.test_delivery import PATIENCE_S, Listening, answered
from tests.world import CATALOG, DIRECTORY

from countersign.api import reading
from countersign.providers.fake import Fault

UNKNOWN = "aaaaaaaaaaaaaaaa"
RAW = json.dumps(ask())


def raw(**changes: str) -> bytes:
    """Return a body in which these keys' values are spelled so, byte for byte."""
    fields = {key: json.dumps(value) for key, value in ask().items()} | changes
    return ("{" + ", ".join(f'"{key}": {value}' for key, value in fields.items()) + "}").encode()


BAD: dict[str, tuple[bytes, str, str]] = {
    "an unknown entitlement": (raw(entitlement='"no-such-thing"'), "invalid", "entitlement"),
    "an entitlement in capitals": (raw(entitlement='"ORDERS-DB-READ"'), "invalid", "entitlement"),
    "an entitlement with a path": (raw(entitlement='"../config"'), "invalid", "entitlement"),
    "an entitlement in another script": (
        raw(entitlement='"\N{CYRILLIC SMALL LETTER O}rders-db-read"'),
        "invalid",
        "entitlement",
    ),
    "an entitlement that is a number": (raw(entitlement="5"), "invalid", "entitlement"),
    "a parameter that it does not take": (raw(parameters='{"table": "orders"}'), "invalid", "parameters.table"),
    "a parameter outside its values": (
        raw(entitlement='"orders-db-write"', parameters='{"table": "users"}'),
        "invalid",
        "parameters.table",
    ),
    "a parameter missing": (raw(entitlement='"orders-db-write"'), "invalid", "parameters.table"),
    "a parameter that is a number": (
        raw(entitlement='"orders-db-write"', parameters='{"table": 5}'),
        "invalid",
        "parameters.table",
    ),
    "parameters that are a list": (raw(parameters="[]"), "invalid", "parameters"),
    "a duration of zero": (raw(duration_s="0"), "invalid", "duration_s"),
    "a negative duration": (raw(duration_s="-60"), "invalid", "duration_s"),
    "a duration of NaN": (raw(duration_s="NaN"), "invalid", "body"),
    "a duration of Infinity": (raw(duration_s="-Infinity"), "invalid", "body"),
    "a duration of 1e400": (raw(duration_s="1e400"), "invalid", "body"),
    "a duration of true": (raw(duration_s="true"), "invalid", "duration_s"),
    "a duration of 60.0": (raw(duration_s="60.0"), "invalid", "duration_s"),
    "a duration in words": (raw(duration_s='" 60 "'), "invalid", "duration_s"),
    "a duration of null": (raw(duration_s="null"), "invalid", "duration_s"),
    "a duration of 2^63": (raw(duration_s=str(2**63)), "invalid", "duration_s"),
    "a duration of 2^53 - 1": (raw(duration_s=str(2**53 - 1)), "invalid", "duration_s"),
    "a duration of 5000 digits": (raw(duration_s="9" * 5000), "invalid", "body"),
    "a duration under the bound": (raw(duration_s="9"), "invalid", "duration_s"),
    "a duration over the bound": (raw(duration_s="3601"), "invalid", "duration_s"),
    "a reason of 1 MB": (raw(reason=json.dumps("x" * 1_000_000)), "too-large", "body"),
    "a reason of 2001 characters": (raw(reason=json.dumps("x" * 2001)), "invalid", "reason"),
    "an empty reason": (raw(reason='""'), "invalid", "reason"),
    "a reason of blanks": (raw(reason='"  "'), "invalid", "reason"),
    "a reason that turns the text around": (raw(reason='"\\u202etxt"'), "invalid", "reason"),
    "a reason with an escape sequence": (raw(reason='"\\u001b[31m"'), "invalid", "reason"),
    "a reason with a NUL": (raw(reason='"a\\u0000b"'), "invalid", "body"),
    "a reason with half a character": (raw(reason='"a\\ud800b"'), "invalid", "body"),
    "a ticket that is empty": (raw(ticket='""'), "invalid", "ticket"),
    "an unknown key": (raw(state='"approved"'), "invalid", "state"),
    "somebody else's person": (raw(person='"bob"'), "invalid", "person"),
    "a key that stands twice": (raw()[:-1] + b', "duration_s": 61}', "invalid", "duration_s"),
    "an inner key that stands twice": (raw(parameters='{"a": "1", "a": "2"}'), "invalid", "a"),
    "no reason": (json.dumps({k: v for k, v in ask().items() if k != "reason"}).encode(), "invalid", "reason"),
    "no parameters": (
        json.dumps({k: v for k, v in ask().items() if k != "parameters"}).encode(),
        "invalid",
        "parameters",
    ),
    "nothing": (b"", "invalid", "body"),
    "null": (b"null", "invalid", "body"),
    "a list": (b"[" + RAW.encode() + b"]", "invalid", "body"),
    "a text": (b'"x"', "invalid", "body"),
    "half of it": (RAW.encode()[:-5], "invalid", "body"),
    "something behind it": (RAW.encode() + b" x", "invalid", "body"),
    "a byte order mark": (b"\xef\xbb\xbf" + RAW.encode(), "invalid", "body"),
    "UTF-16": (RAW.encode("utf-16"), "invalid", "body"),
    "Latin-1": (raw(reason='"é"').decode().encode("latin-1"), "invalid", "body"),
    "a nest of 21": (raw(parameters='{"a": ' + "[" * 19 + "]" * 19 + "}"), "invalid", "body"),
    "a nest of 30000": (b"[" * 30_000, "invalid", "body"),
    "a nest of 30000 objects": (b'{"a":' * 10_000, "invalid", "body"),
    "64 KiB and one byte": (RAW.encode() + b" " * (64 * 1024 + 1 - len(RAW)), "too-large", "body"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_gets_a_coded_problem_that_names_the_field_and_leaves_nothing_behind(api: Api, what: str) -> None:
    body, code, field = BAD[what]
    before = api.world.facts()
    answer = api.raw("alice", "/v1/requests", body)
    problem = answer.json()
    assert (problem["code"], problem["field"]) == (code, field)
    assert answer.status_code == {"invalid": 422, "too-large": 413}[code] == problem["status"]
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert len(answer.content) < 1000
    assert api.world.facts() == before
    assert api.get("alice", "/v1/requests").json()["items"] == []


def test_what_is_just_within_the_bounds_is_taken(api: Api) -> None:
    full = RAW.encode() + b" " * (64 * 1024 - len(RAW))
    assert api.raw("alice", "/v1/requests", full).status_code == 201
    assert api.asked(duration_s=10)["duration_s"] == 10
    assert api.asked(duration_s=3600)["duration_s"] == 3600
    assert len(api.asked(reason="x" * 2000)["reason"]) == 2000
    assert api.raw("alice", "/v1/requests", raw(), Content_Type="Application/JSON ; charset=UTF-8").status_code == 201


def test_a_nest_of_twenty_is_read(api: Api) -> None:
    problem = api.raw("alice", "/v1/requests", raw(parameters='{"a": ' + "[" * 18 + "]" * 18 + "}")).json()
    assert problem["field"] == "parameters.a"


def test_a_problem_does_not_echo_what_was_sent(api: Api) -> None:
    secret = "hunter2-hunter2-hunter2"
    for body in (
        raw(duration_s=json.dumps(secret)),
        raw(entitlement=json.dumps(secret.upper())),
        raw(reason=f'"{secret}\\u0000"'),
    ):
        assert secret not in api.raw("alice", "/v1/requests", body).text.lower()
    long_key = "k" * 500
    problem = api.raw("alice", "/v1/requests", raw(**{long_key: '"x"'})).json()
    assert len(problem["field"]) <= 80
    assert "é" not in api.raw("alice", "/v1/requests", raw(**{"é\\u202e": '"x"'})).text


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "application/json;charset=latin-1"],
)
def test_a_body_that_is_not_said_to_be_json_is_not_read(api: Api, kind: str) -> None:
    answer = api.raw("alice", "/v1/requests", raw(), Content_Type=kind)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported-media-type")


def test_a_compressed_body_is_not_unpacked(api: Api) -> None:
    answer = api.raw("alice", "/v1/requests", gzip.compress(raw()), Content_Encoding="gzip")
    assert answer.json()["code"] == "unsupported-media-type"


def test_who_calls_is_asked_before_anything_is_read(api: Api) -> None:
    assert api.raw(None, "/v1/requests", b"[" * 70_000).json()["code"] == "unauthenticated"


@pytest.mark.parametrize("body", [b"{}", b" {} ", b""])
def test_a_call_without_a_body_takes_an_empty_one(api: Api, body: bytes) -> None:
    request = api.asked()
    assert api.raw("alice", f"/v1/requests/{request['id']}/withdraw", body).json()["state"] == "withdrawn"


@pytest.mark.parametrize("body", [b'{"force": true}', b"[]", b"null", b"1"])
def test_a_call_without_a_body_takes_no_other(api: Api, body: bytes) -> None:
    request = api.asked()
    answer = api.raw("alice", f"/v1/requests/{request['id']}/withdraw", body)
    assert (answer.json()["code"], answer.json()["field"]) == ("invalid", "body")


@pytest.mark.parametrize("body", [b'{"force": true}', b"[]", b"null", b"1", b'{"order": null, "signature": "x"}'])
def test_a_draw_takes_an_order_or_nothing(api: Api, body: bytes) -> None:
    grant_id = api.granted()
    assert api.raw("alice", f"/v1/grants/{grant_id}/draw", body).json()["code"] == "invalid"
    assert not api.world.provider.target.issued
    assert api.raw("alice", f"/v1/grants/{grant_id}/draw", b"{}").status_code == 200


QUERIES = {
    "limit=0": "limit",
    "limit=201": "limit",
    "limit=-1": "limit",
    "limit=%2B5": "limit",
    "limit=1_0": "limit",
    "limit=%205": "limit",
    "limit=5.0": "limit",
    "limit=%D9%A5": "limit",  # an Arabic-Indic five
    "limit=": "limit",
    "limit=5&limit=6": "limit",
    "limit=99999999999999999999999": "limit",
    "after=..%2F": "after",
    "after=" + "a" * 64: "after",
    "state=pending": "state",
    "%00=1": "\\x00",
}


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_that_could_be_read_in_two_ways_is_refused(api: Api, query: str) -> None:
    answer = api.get("alice", f"/v1/requests?{query}")
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "invalid", QUERIES[query])


@pytest.mark.parametrize(
    "query", ["after=-1", "after=x", "after=9007199254740992", "subject=alice", "subject=req_%2e", "subject="]
)
def test_a_query_of_the_log_is_as_strict(api: Api, query: str) -> None:
    answer = api.get("erin", f"/v1/audit/entries?{query}")
    assert (answer.json()["code"], answer.json()["field"]) == ("invalid", query.partition("=")[0])


@pytest.mark.parametrize(
    "path",
    [
        f"/v1/requests/req_{UNKNOWN}",
        f"/v1/grants/grt_{UNKNOWN}",
        f"/v1/leases/lse_{UNKNOWN}",
        f"/v1/requests/grt_{UNKNOWN}",
        "/v1/requests/REQ_AAAAAAAAAAAAAAAA",
        "/v1/requests/req_",
        "/v1/requests/%2e%2e%2f",
        "/v1/requests/req_aaaaaaaaaaaaaaaa%0a",
        "/v1/requests/%00",
        "/v1/requests/",
        "/v1/nowhere",
        "/v2/requests",
        "/docs",
        "/redoc",
    ],
)
def test_what_there_is_not_is_not_found(api: Api, path: str) -> None:
    answer = api.get("erin", path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_the_id_of_someone_elses_request_looks_like_one_that_there_is_not(api: Api) -> None:
    theirs = api.get("dave", f"/v1/requests/{api.asked()['id']}")
    none = api.get("dave", f"/v1/requests/req_{UNKNOWN}")
    for answer in (theirs, none):
        assert answer.json().pop("detail").startswith("there is no request 'req_")
    assert {**theirs.json(), "detail": ""} == {**none.json(), "detail": ""}
    assert theirs.headers.keys() == none.headers.keys()


def test_a_person_who_is_not_there_cannot_be_disabled(api: Api) -> None:
    answer = api.post("olga", "/v1/persons/mallory/disable", json={"reason": "who?"})
    assert (answer.json()["code"], answer.json()["field"]) == ("invalid", "person")
    assert api.post("olga", "/v1/persons/%C3%A9/disable", json={"reason": "who?"}).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scope": "everything", "reason": "x"}, "scope"),
        ({"scope": "all", "id": "alice", "reason": "x"}, "id"),
        ({"scope": "person", "reason": "x"}, "id"),
        ({"scope": "person", "id": "mallory", "reason": "x"}, "id"),
        ({"scope": "person", "id": "../", "reason": "x"}, "id"),
        ({"scope": "all"}, "reason"),
        ({"scope": "all", "reason": "x", "force": True}, "force"),
    ],
)
def test_a_stop_that_says_too_little_or_too_much_stops_nothing(api: Api, body: dict[str, Any], field: str) -> None:
    answer = api.post("olga", "/v1/stop", json=body)
    assert (answer.json()["code"], answer.json()["field"]) == ("invalid", field)
    assert api.get("olga", "/v1/stops").json()["items"] == []


@pytest.mark.parametrize(
    "body", [{"decision": "Approve"}, {"decision": "force"}, {"decision": True}, {"decision": None}]
)
def test_a_review_says_approve_or_deny_and_nothing_else(api: Api, body: dict[str, Any]) -> None:
    request = api.asked()
    answer = api.post("bob", f"/v1/requests/{request['id']}/reviews", json={"digest": request["digest"]} | body)
    assert (answer.json()["code"], answer.json()["field"]) == ("invalid", "decision")
    assert api.get("bob", f"/v1/requests/{request['id']}").json()["reviews"] == []


TOKENS = [
    "Basic {}",
    "bearer",
    "Bearer",
    "Bearer ",
    "{}",
    "Bearer  {}",
    "Bearer {} x",
    "Bearer {}x",
    "Bearer \u00e9",
    "Token {}",
]


@pytest.mark.parametrize("spelling", TOKENS)
def test_a_token_that_is_not_presented_properly_is_no_token(api: Api, spelling: str) -> None:
    value = spelling.format(api.tokens["alice"]).encode("latin-1")
    answer = api.client.get("/v1/me", headers=[(b"authorization", value)])
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


def test_a_cut_or_a_second_token_is_no_token_and_the_scheme_is_read_in_any_case(api: Api) -> None:
    token = api.tokens["alice"]
    for presented in (
        [f"Bearer {token[:-1]}"],
        [f"Bearer {token}", f"Bearer {token}"],
        [f"Bearer {token}" + "a" * 600],
    ):
        answer = api.client.get("/v1/me", headers=[("authorization", value) for value in presented])
        assert answer.status_code == 401
    assert api.client.get("/v1/me", headers={"Authorization": f"bEARER {token}"}).json()["person"] == "alice"


def test_a_provider_that_is_away_gives_a_coded_problem_and_no_credential(api: Api) -> None:
    grant_id = api.granted()
    api.world.provider.faults["reserve"] = Fault.AWAY
    answer = api.draw(grant_id)
    assert (answer.status_code, answer.json()["code"]) == (503, "provider-away")
    assert "Retry-After" in answer.headers
    api.world.provider.faults["issue"] = Fault.DECLINED
    answer = api.draw(grant_id)
    assert (answer.status_code, answer.json()["code"]) == (502, "provider-refused")
    api.world.provider.faults["issue"] = Fault.ANSWER_LOST
    answer = api.draw(grant_id)
    assert (answer.status_code, answer.json()["code"]) == (503, "provider-away")
    api.world.sweep()
    assert not api.world.provider.target.live
    assert api.get("alice", f"/v1/grants/{grant_id}").json()["draws_used"] == 0
    assert api.draw(grant_id).status_code == 200


def test_a_rule_that_nobody_could_fill_is_told_at_once(api: Api) -> None:
    groups = [group | ({"members": []} if group["id"] == "orders-owners" else {}) for group in DIRECTORY["group"]]
    api.world.adopt(catalog=CATALOG, directory=DIRECTORY | {"group": groups})
    answer = api.post("alice", "/v1/requests", json=ask())
    assert (answer.status_code, answer.json()["code"]) == (422, "nobody-can-approve")
    assert answer.json()["rule"] == "entitlement orders-db-read: review"


def test_more_than_a_cap_allows_is_told_as_a_limit(api: Api) -> None:
    for _ in range(5):
        api.asked()
    answer = api.post("alice", "/v1/requests", json=ask())
    assert (answer.status_code, answer.json()["code"]) == (429, "limit")
    assert "pending_per_person = 5" in answer.json()["rule"]


# --- over a socket: bodies in pieces, too large and too slow ----------------------------------------------------------------


def head(api: Api, *more: str) -> bytes:
    lines = (
        "POST /v1/requests HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {api.tokens['alice']}",
        "Content-Type: application/json",
        *more,
    )
    return "\r\n".join([*lines, "", ""]).encode()


def test_a_body_in_chunks_is_counted_as_it_comes(api: Api) -> None:
    def feed(connection: socket.socket) -> None:
        for _ in range(40):
            connection.sendall(b"2000\r\n" + b" " * 0x2000 + b"\r\n")
        connection.sendall(b"0\r\n\r\n")

    with Listening(api.app) as server, server.connect() as connection:
        connection.sendall(head(api, "Transfer-Encoding: chunked"))
        feeding = threading.Thread(target=feed, args=(connection,))
        feeding.start()
        answer = answered(connection)
        feeding.join(PATIENCE_S)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b'"too-large"' in answer
    assert b"connection: close" in answer.lower()


def test_a_body_of_a_gigabyte_is_refused_by_its_own_word(api: Api) -> None:
    with Listening(api.app) as server, server.connect() as connection:
        connection.sendall(head(api, f"Content-Length: {2**30}"))
        assert answered(connection).startswith(b"HTTP/1.1 413")


def test_a_body_that_dribbles_in_is_given_up(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "READ_WITHIN_S", 0.3)
    with Listening(api.app) as server, server.connect() as connection:
        begun = time.monotonic()
        connection.sendall(head(api, "Content-Length: 50") + b"{")
        answer = answered(connection)
        assert time.monotonic() - begun < PATIENCE_S / 2
        assert answer.startswith(b"HTTP/1.1 408")
        assert b'"too-slow"' in answer
        assert connection.recv(1) == b""
