from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from countersign.providers.base import Away, ProviderTrouble
from countersign.providers.vault.login import AppRole, Broker
from countersign.providers.vault.wire import Unsent, Wire

ROLE = AppRole(role_id="role", secret_id="hunter2hunter2")


class Server(ThreadingHTTPServer):
    """A tiny OpenBao: logs in, renews, and answers everything else with what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.calls: list[str] = []
        self.valid: set[str] = set()
        self.renews_with = 200
        self.connections = 0

    def get_request(self) -> Any:  # noqa: ANN401 -- as in socketserver
        self.connections += 1
        return super().get_request()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, token = self.path.removeprefix("/v1/"), self.headers.get("X-Vault-Token")
        self.server.calls.append(path)
        if path == "auth/approle/login":
            fresh = f"s.{len(self.server.calls)}"
            self.server.valid.add(fresh)
            self.answer(200, {"auth": {"client_token": fresh, "lease_duration": 90}})
        elif token not in self.server.valid:
            self.answer(403, {"errors": ["permission denied"]})
        elif path == "auth/token/renew-self":
            self.answer(self.server.renews_with, {})
        else:
            self.answer(
                200, {"data": {"token": token, "body": body.decode(), "wrap": self.headers.get("X-Vault-Wrap-TTL")}}
            )

    do_GET = do_POST = do_LIST = handle_any  # noqa: N815 -- names that http.server calls

    def answer(self, status: int, body: object) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def wire(server: Server) -> Iterator[Wire]:
    made = Wire(f"http://127.0.0.1:{server.server_address[1]}")
    yield made
    made.close()


class Time:
    def __init__(self) -> None:
        self.passed = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.passed


@pytest.mark.parametrize(
    "path",
    ["", "/", "a//b", "../a", "a/../b", "a/%2e%2e", "a?b", "a#b", "a b", "a\r\nX: y", "A", "é", "a/", "/a", "a/."],
)
def test_a_path_that_is_not_made_of_names_is_never_sent(server: Server, wire: Wire, path: str) -> None:
    with pytest.raises(ProviderTrouble):
        wire.call("GET", path)
    assert server.calls == []


@pytest.mark.parametrize("address", ["", "ftp://h", "http://", "http://h/path", "http://h?x=1", "h:8200"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="expected http"):
        Wire(address)


def test_connections_are_used_again_and_shared_by_threads(server: Server, wire: Wire) -> None:
    server.valid.add("t")
    for _ in range(5):
        assert wire.call("POST", "x", token="t", body={"a": 1}).table("data")["body"] == '{"a": 1}'
    assert server.connections == 1
    threads = [threading.Thread(target=wire.call, args=("GET", "x")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.calls) == 13


def test_nobody_there_is_unsent_and_a_wait_is_bounded() -> None:
    with pytest.raises(Unsent):
        Wire("http://127.0.0.1:1").call("GET", "x")
    began = time.monotonic()
    with pytest.raises(Away):
        Wire("http://127.0.0.1:1").call("GET", "x", within_s=-1)
    assert time.monotonic() - began < 1


def test_environment_proxies_are_not_asked(server: Server, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert wire.call("GET", "x").status == 403
    assert server.calls == ["x"]


def test_nothing_shows_a_secret(wire: Wire) -> None:
    broker = Broker(wire, ROLE)
    reply = broker.call("GET", "x")
    assert "hunter2" not in repr([ROLE, broker, wire, reply])
    assert "s." not in repr([broker._token, reply])


def test_the_broker_logs_in_once_and_renews_after_a_third_of_its_period(server: Server, wire: Wire) -> None:
    clock = Time()
    broker = Broker(wire, ROLE, monotonic=clock)
    for passed in (0, 20, 31, 40, 62):
        clock.passed = passed
        assert broker.call("GET", "x").ok
    assert server.calls == [
        "auth/approle/login", "x", "x", "auth/token/renew-self", "x", "x", "auth/token/renew-self", "x",
    ]  # fmt: skip


def test_a_renewal_that_is_refused_leads_to_a_new_login_and_one_that_fails_is_tried_again_soon(
    server: Server, wire: Wire
) -> None:
    clock = Time()
    broker = Broker(wire, ROLE, monotonic=clock)
    broker.call("GET", "x")
    server.renews_with = 500
    for passed in (31, 32, 37):
        clock.passed = passed
        assert broker.call("GET", "x").ok
    assert server.calls.count("auth/token/renew-self") == 2
    server.renews_with = 403
    clock.passed = 43
    assert broker.call("GET", "x").ok
    assert server.calls.count("auth/approle/login") == 2


def test_a_token_that_was_lost_is_replaced_once_by_however_many_threads(server: Server, wire: Wire) -> None:
    broker = Broker(wire, ROLE)
    broker.call("GET", "x")
    server.valid.clear()
    replies: list[bool] = []
    threads = [threading.Thread(target=lambda: replies.append(broker.call("GET", "x").ok)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert replies == [True] * 8
    assert server.calls.count("auth/approle/login") == 2
