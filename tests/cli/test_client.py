"""What the client does with broken, slow and hostile servers, and where the token may show up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.cli.desk import Desk, Ran

from countersign.cli.client import broker_address, segment
from countersign.cli.failures import CommandFailed

CANARY = "cst_canary0canary0canary0"
Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def server(answer: Answer) -> Iterator[tuple[str, list[str]]]:
    """Serve one way of answering; yields the address and the Authorization headers that came in."""
    heard: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.headers.get("Authorization", ""))
            answer(self)

        do_POST = do_GET  # noqa: N815 - the name that http.server looks for

        def log_message(self, *args: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}", heard
    finally:
        listening.shutdown()
        listening.server_close()


def body(raw: bytes, status: int = 200) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(raw)))
        handler.end_headers()
        handler.wfile.write(raw)

    return answer


def cut(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"items": [')
    handler.close_connection = True


def test_a_redirect_is_not_followed_and_the_token_stays(shared_desk: Desk) -> None:
    with server(body(b"{}")) as (elsewhere, heard):

        def redirect(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(307)
            handler.send_header("Location", elsewhere + "/v1/me")
            handler.end_headers()

        with server(redirect) as (url, _):
            ran = shared_desk.run(CANARY, "me", COUNTERSIGN_URL=url)
    assert (ran.code, heard, "redirected" in ran.err) == (1, [], True)


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (body(b"<html>proxy</html>"), 1, "not JSON"),
        (body(b"[1]"), 1, "not JSON"),
        (body(b"[" * 100_000), 1, "not JSON"),
        (body(b'{"items": 7}'), 1, "no list"),
        (body(b"gateway", 502), 7, "http-502"),
        (
            body(b'{"code": "limit", "detail": "\x1b[31mno"}'.replace(b"\x1b", b"\\u001b"), 429),
            6,
            "countersign: no (limit)",
        ),
        (body(b" " * (9 * 1024 * 1024)), 1, "larger than any"),
        (body(b"gateway", 502), 7, "what stands before the broker"),
        (cut, 7, "answer-lost"),
        (cut, 7, "try again"),
    ],
)
def test_strange_answers_are_told_plainly(shared_desk: Desk, answer: Answer, code: int, said: str) -> None:
    with server(answer) as (url, _):
        ran = shared_desk.run(CANARY, "ls", COUNTERSIGN_URL=url)
    assert (ran.code, said in ran.err, "Traceback" in ran.err) == (code, True, False), ran.err


@pytest.mark.parametrize(("answer", "code"), [(body(b"[1]"), 1), (cut, 7), (body(b"gateway", 502), 7)])
def test_what_could_not_be_taken_away_leaves_nothing_behind(
    shared_desk: Desk, tmp_path: Path, answer: Answer, code: int
) -> None:
    period = ("--from", "2026-11-01", "--to", "2026-11-02")
    with server(answer) as (url, _):
        for args in (["evidence", str(tmp_path / "pack.zip"), *period], ["export", str(tmp_path / "copy")]):
            ran = shared_desk.run(CANARY, *args, COUNTERSIGN_URL=url)
            assert (ran.code, ran.out) == (code, ""), ran.err
    assert list(tmp_path.iterdir()) == []


def test_a_list_that_never_moves_on_ends(shared_desk: Desk) -> None:
    with server(body(b'{"items": [{"id": "req_aaaaaaaaaaaaaaaa"}], "next": "x"}')) as (url, heard):
        ran = shared_desk.run(CANARY, "show", "req_b", COUNTERSIGN_URL=url)
    assert (ran.code, len(heard)) == (5, 2)


def test_an_acting_call_is_sent_once_even_if_its_answer_is_lost(shared_desk: Desk) -> None:
    with server(cut) as (url, heard):
        ran = shared_desk.run(CANARY, "draw", "grt_" + "a" * 16, COUNTERSIGN_URL=url)
    assert (ran.code, len(heard)) == (7, 1)
    assert "countersign show" in ran.err


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x", "http://broker.example", "https://u:p@broker.example", "https://broker.example?x=1", "broker", "http://",
        "https://broker.example#f", "http://127.0.0.1.example.org", "https://[", "http://localhost.example:80", "https://h:99999",
    ],
)  # fmt: skip
def test_addresses_that_a_token_may_not_travel_to_are_refused(url: str) -> None:
    with pytest.raises(CommandFailed) as told:
        broker_address(url)
    assert (told.value.exit_code, "p@" in told.value.detail) == (2, False)


@pytest.mark.parametrize(
    "url", ["https://broker.example/", "http://127.0.0.1:8440", "http://localhost:1", "http://[::1]:1"]
)
def test_https_and_this_machine_are_fine(url: str) -> None:
    assert broker_address(url) == url.rstrip("/")


def test_a_segment_stays_one_segment() -> None:
    assert (segment("a/b?c#d"), segment(".."), segment(".")) == ("a%2Fb%3Fc%23d", "%2E%2E", "%2E")


def everything(ran: Ran) -> str:
    return ran.out + ran.err


def test_the_token_shows_up_nowhere(desk: Desk, tmp_path: Path) -> None:
    kept = tmp_path / "token"
    kept.write_text(CANARY)
    kept.chmod(0o600)
    made = desk.asked()
    ways: list[tuple[tuple[str, ...], dict[str, str]]] = [
        (("me",), {}),
        (("me", "--json"), {}),
        (("me",), {"COUNTERSIGN_URL": "http://127.0.0.1:9"}),
        (("me",), {"COUNTERSIGN_URL": "https://127.0.0.1:9"}),
        (("me",), {"COUNTERSIGN_URL": "http://broker.example"}),
        (("approve", made["id"], "--digest", made["digest"]), {}),
        (("verify",), {}),
        (("me",), {"COUNTERSIGN_DEBUG": "1", "COUNTERSIGN_URL": desk.url.replace("http:", "https:")}),
    ]
    for args, changes in ways:
        ran = desk.process(None, *args, **({"COUNTERSIGN_TOKEN_FILE": str(kept)} | changes))
        assert ran.code in {2, 4, 7}, (args, ran)
        assert "canary" not in everything(ran)
    bad = desk.process(f"{CANARY}\u00e9\n", "me")
    assert (bad.code, "canary" in everything(bad)) == (4, False)


def test_the_token_stands_in_no_argument_of_the_process(desk: Desk) -> None:
    waiting = desk.start("alice", "request", "orders-db-read", "--for", "1m", "--reason", "r", "--wait")
    try:
        assert waiting.stderr is not None
        waiting.stderr.readline()
        arguments = Path(f"/proc/{waiting.pid}/cmdline").read_bytes()
        assert b"request" in arguments
        assert desk.tokens["alice"].encode() not in arguments
    finally:
        waiting.terminate()
        waiting.communicate(timeout=10)
    help_text = desk.run("alice", "me", "--help").out
    assert "token" not in help_text.lower()


def test_a_token_file_that_others_can_replace_or_that_is_missing_is_not_used(shared_desk: Desk, tmp_path: Path) -> None:
    kept = tmp_path / "token"
    kept.write_text(shared_desk.tokens["alice"])
    kept.chmod(0o666)
    ran = shared_desk.run(None, "me", COUNTERSIGN_TOKEN_FILE=str(kept))
    assert (ran.code, "chmod 600" in ran.err) == (4, True)
    kept.chmod(0o600)
    assert shared_desk.run(None, "me", COUNTERSIGN_TOKEN_FILE=str(kept)).code == 0
    assert shared_desk.run(None, "me", COUNTERSIGN_TOKEN_FILE=str(tmp_path / "none")).code == 4
    kept.write_bytes(b"\xff\xfe")
    assert shared_desk.run(None, "me", COUNTERSIGN_TOKEN_FILE=str(kept)).code == 4


def test_no_proxy_stands_before_this_machine(shared_desk: Desk) -> None:
    ran = shared_desk.run(
        "alice", "me", HTTP_PROXY="http://127.0.0.1:9", http_proxy="http://127.0.0.1:9", ALL_PROXY="http://127.0.0.1:9"
    )
    assert ran.code == 0
