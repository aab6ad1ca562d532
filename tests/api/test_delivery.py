"""Delivery over real sockets: a credential counts as handed over only if its answer went out to a caller who was there."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from types import SimpleNamespace
from typing import Any, Self

import anyio.to_thread
import pytest
import structlog
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from tests.api.calling import Api
from tests.world import World

from countersign.api import delivery
from countersign.domain.lease import Lease
from countersign.domain.refusals import Conflict, LogUnavailable
from countersign.providers.base import Credential, Issued, Reservation
from countersign.providers.fake import FakeProvider

PATIENCE_S = 10.0


@dataclass(kw_only=True)
class SlowProvider(FakeProvider):
    """Issues when it is let, so that a test can do something in the meantime."""

    begun: threading.Event = field(default_factory=threading.Event)
    let: threading.Event = field(default_factory=threading.Event)

    def issue(self, reservation: Reservation) -> Issued:
        self.begun.set()
        assert self.let.wait(PATIENCE_S)
        return super().issue(reservation)


class Listening:
    """uvicorn in a thread, as the broker runs it."""

    def __init__(self, app: ASGIApp, **options: Any) -> None:  # noqa: ANN401 - uvicorn's
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        config = uvicorn.Config(app, log_config=None, access_log=False, server_header=False, **options)
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=lambda: asyncio.run(self.server.serve([self.socket])))

    def __enter__(self) -> Self:
        self.thread.start()
        until(lambda: self.server.started)
        return self

    def __exit__(self, *failure: object) -> None:
        self.stop()

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def spelled(api: Api, path: str, *, who: str = "alice", method: str = "POST") -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {api.tokens[who]}",
        "Content-Length: 0",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def answered(connection: socket.socket) -> bytes:
    """Read one answer with a Content-Length."""
    stream = connection.makefile("rb")
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = stream.readline()
        assert line, "the connection ended"
        head += line
    length = next(int(line.split(b":")[1]) for line in head.splitlines() if line.lower().startswith(b"content-length"))
    return head + stream.read(length)


@pytest.fixture
def provider(world: World) -> SlowProvider:
    world.provider = slow = SlowProvider(clock=world.clock)
    world.restart()
    return slow


@pytest.fixture
def slow(provider: SlowProvider, api: Api) -> Api:
    assert api.world.provider is provider
    return api


@pytest.fixture
def listening(slow: Api) -> Iterator[Listening]:
    with Listening(slow.app) as server:
        yield server


def lease_of(world: World, grant_id: str) -> Lease:
    with world.store.read() as tx:
        return tx.leases(grant_id=grant_id)[0]


def demand_given_back(api: Api, grant_id: str) -> None:
    """The lease is on its way to death for the right cause, dies at the next sweep, and the grant can be drawn again."""
    world = api.world
    until(lambda: lease_of(world, grant_id).cause is not None)
    lease = lease_of(world, grant_id)
    assert (lease.state, lease.cause) == ("revoking", "undelivered")
    [asked] = world.facts("lease.end-asked")
    assert json.loads(asked["leaf"])["data"]["draw_given_back"] is True
    assert world.sweep() == 1
    assert not world.provider.target.live
    grant = api.get("alice", f"/v1/grants/{grant_id}").json()
    assert grant["draws_used"] == 0
    assert "not_after" not in grant
    assert api.draw(grant_id).status_code == 200


def close(connection: socket.socket) -> None:
    connection.close()


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def close_behind_pipelined_calls(connection: socket.socket) -> None:
    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3)
    time.sleep(0.05)
    connection.close()


@pytest.mark.parametrize("hang_up", [close, reset, close_behind_pipelined_calls])
def test_a_caller_who_hangs_up_during_his_draw_gets_it_back_and_the_credential_dies(
    slow: Api, provider: SlowProvider, listening: Listening, hang_up: Callable[[socket.socket], None]
) -> None:
    grant_id = slow.granted()
    connection = listening.connect()
    connection.sendall(spelled(slow, f"/v1/grants/{grant_id}/draw"))
    assert provider.begun.wait(PATIENCE_S)
    hang_up(connection)
    provider.let.set()
    demand_given_back(slow, grant_id)


def _served(calls: list[str], count: int) -> bool:
    return len(calls) == count


def test_a_caller_who_hangs_up_at_once_has_no_credential_left_standing_however_the_race_ends(
    slow: Api, provider: SlowProvider
) -> None:
    served: list[str] = []

    async def counted(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await slow.app(scope, receive, send)
        finally:
            served.append(scope["type"])

    provider.let.set()
    grant_id = slow.granted(entitlement="orders-db-thrice")
    with Listening(counted, lifespan="off") as server:
        for round_ in range(12):
            with server.connect() as connection:
                connection.sendall(spelled(slow, f"/v1/grants/{grant_id}/draw"))
                time.sleep(0.003 * round_)  # sooner or later than the draw's several steps
                reset(connection)
            until(partial(_served, served, round_ + 1))
    grant = slow.get("alice", f"/v1/grants/{grant_id}").json()
    causes = {lease["cause"] for lease in grant["leases"] if lease["state"] != "active"}
    assert causes <= {"undelivered"}
    # An answer that came before the hanging up was handed over; everything else was given back.
    assert grant["draws_used"] == sum(lease["state"] == "active" for lease in grant["leases"])


def test_a_caller_who_waits_is_handed_his_credential_and_keeps_it_after_hanging_up(
    slow: Api, provider: SlowProvider, listening: Listening
) -> None:
    grant_id = slow.granted()
    with listening.connect() as connection:
        connection.sendall(spelled(slow, f"/v1/grants/{grant_id}/draw"))
        assert provider.begun.wait(PATIENCE_S)
        time.sleep(0.1)
        provider.let.set()
        answer = answered(connection)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"cache-control: no-store" in answer.lower()
    time.sleep(0.1)
    assert lease_of(slow.world, grant_id).state == "active"


def test_two_draws_over_one_connection_are_both_handed_over(
    slow: Api, provider: SlowProvider, listening: Listening
) -> None:
    provider.let.set()
    grant_id = slow.granted(entitlement="orders-db-thrice")
    with listening.connect() as connection:
        for _ in range(2):
            connection.sendall(spelled(slow, f"/v1/grants/{grant_id}/draw"))
            assert answered(connection).startswith(b"HTTP/1.1 200")
    grant = slow.get("alice", f"/v1/grants/{grant_id}").json()
    assert (grant["draws_used"], [lease["state"] for lease in grant["leases"]]) == (2, ["active", "active"])


def test_a_draw_that_the_server_stops_waiting_for_is_given_back(slow: Api, provider: SlowProvider) -> None:
    grant_id = slow.granted()
    with Listening(slow.app, timeout_graceful_shutdown=0) as server, server.connect() as connection:
        connection.sendall(spelled(slow, f"/v1/grants/{grant_id}/draw"))
        assert provider.begun.wait(PATIENCE_S)
        server.server.should_exit = True
        time.sleep(0.5)  # the server cancels what is still at work
        provider.let.set()
        until(lambda: lease_of(slow.world, grant_id).cause is not None)
    assert lease_of(slow.world, grant_id).cause == "undelivered"


def test_a_draw_whose_answer_cannot_be_written_is_given_back(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    issue = FakeProvider.issue

    def with_a_set(self: FakeProvider, reservation: Reservation) -> Issued:
        return replace(issue(self, reservation), credential=Credential(kind="postgresql", fields={"hosts": {"a"}}))

    grant_id = api.granted()
    with monkeypatch.context() as patched:
        patched.setattr(FakeProvider, "issue", with_a_set)
        answer = api.draw(grant_id)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    demand_given_back(api, grant_id)


def test_a_replayed_draw_is_refused_when_it_was_delivered_and_served_when_it_was_not(
    slow: Api, provider: SlowProvider, listening: Listening
) -> None:
    grant_id = slow.granted()
    call = spelled(slow, f"/v1/grants/{grant_id}/draw").replace(b"\r\n\r\n", b"\r\nIdempotency-Key: k1\r\n\r\n")
    with listening.connect() as connection:
        connection.sendall(call)
        assert provider.begun.wait(PATIENCE_S)
    provider.let.set()
    until(lambda: lease_of(slow.world, grant_id).cause is not None)
    with listening.connect() as connection:
        connection.sendall(call)
        assert answered(connection).startswith(b"HTTP/1.1 200")
        connection.sendall(call)
        again = answered(connection)
    assert b"already-delivered" in again
    assert b"secret-of" not in again


def test_slow_draws_leave_threads_for_those_who_stop_them(slow: Api, provider: SlowProvider) -> None:
    async def with_one_thread(scope: Scope, receive: Receive, send: Send) -> None:
        anyio.to_thread.current_default_thread_limiter().total_tokens = 1
        await slow.app(scope, receive, send)

    grant_id = slow.granted()
    with Listening(with_one_thread, lifespan="off") as server, server.connect() as drawing:
        drawing.sendall(spelled(slow, f"/v1/grants/{grant_id}/draw"))
        assert provider.begun.wait(PATIENCE_S)
        with server.connect() as connection:
            connection.sendall(spelled(slow, "/v1/me", method="GET"))
            assert answered(connection).startswith(b"HTTP/1.1 200")
        provider.let.set()
        answered(drawing)


# --- the parcel, with a server and a database that misbehave -------------------------------------------------------------


class Refusing:
    """Takes the word that a lease was not delivered, after refusing it so many times."""

    def __init__(self, *refusals: Exception) -> None:
        self.refusals = list(refusals)
        self.told: list[str] = []

    def __call__(self, lease_id: str) -> None:
        self.told.append(lease_id)
        if self.refusals:
            raise self.refusals.pop(0)


LEASE_ID = "lse_aaaaaaaaaaaaaaaa"
DRAWN: Any = SimpleNamespace(lease_id=LEASE_ID)
"""As much of a draw as a parcel looks at."""


async def serve(
    undelivered: Refusing, send: Callable[[Message], Any], *, status: int = 200, receive: Receive | None = None
) -> None:
    """Let a call draw and answer in two pieces, to a server with this `send` and, where it matters, this `receive`."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        await scope[delivery.PARCEL].fetch(lambda: DRAWN)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})
        await send({"type": "http.response.body", "body": b"}", "more_body": False})

    async def nothing() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    await delivery.Delivery(app, undelivered=undelivered)({"type": "http"}, receive or nothing, send)


def test_an_answer_that_went_out_whole_is_left_alone() -> None:
    undelivered, sent = Refusing(), []

    async def send(message: Message) -> None:
        sent.append(message["type"])

    asyncio.run(serve(undelivered, send))
    assert (len(sent), undelivered.told) == (3, [])


@pytest.mark.parametrize("broken_at", [1, 2, 3])
def test_a_connection_that_breaks_at_any_piece_of_the_answer_gives_the_draw_back(broken_at: int) -> None:
    undelivered, sent = Refusing(), []

    async def send(message: Message) -> None:
        sent.append(message)
        if len(sent) == broken_at:
            raise OSError("broken pipe")

    with contextlib.suppress(OSError):
        asyncio.run(serve(undelivered, send))
    assert undelivered.told == [LEASE_ID]


def test_a_server_that_needs_some_turns_to_notice_the_hanging_up_is_given_them() -> None:
    undelivered, sent = Refusing(), []
    gone = asyncio.Event()

    async def receive() -> Message:
        step: Callable[[], object] = gone.set
        for _ in range(4):  # the connection is read on from here: read, closed, told
            step = partial(asyncio.get_running_loop().call_soon, step)
        step()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(serve(undelivered, send, receive=receive))
    assert (sent, undelivered.told) == ([], [LEASE_ID])


def test_an_answer_that_is_no_success_gives_the_draw_back() -> None:
    undelivered = Refusing()

    async def send(message: Message) -> None:
        del message

    asyncio.run(serve(undelivered, send, status=500))
    assert undelivered.told == [LEASE_ID]


def test_giving_back_is_tried_again_while_the_database_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST_PAUSE_S", 0.001)
    undelivered = Refusing(LogUnavailable("away"), Conflict("moved"))

    async def send(message: Message) -> None:
        del message

    with structlog.testing.capture_logs() as logged:
        asyncio.run(serve(undelivered, send, status=500))
    assert undelivered.told == [LEASE_ID] * 3
    assert [line["log_level"] for line in logged] == ["warning"] * 3


def test_giving_back_ends_with_an_alarm_when_the_database_stays_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST_PAUSE_S", 0.0001)
    undelivered = Refusing(*(LogUnavailable("away") for _ in range(delivery.TRIES)))

    async def send(message: Message) -> None:
        del message

    with structlog.testing.capture_logs() as logged:
        asyncio.run(serve(undelivered, send, status=500))
    assert len(undelivered.told) == delivery.TRIES
    assert logged[-1]["log_level"] == "error"
    assert logged[-1]["lease"] == LEASE_ID
