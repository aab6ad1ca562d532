"""The log as server-sent events: to whom it concerns, from where he was, and not a second longer than he may."""

from __future__ import annotations

import http.client
import json
import queue
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.cli.desk import Desk, listening_desk

from countersign.api import events
from countersign.service import events as service


@dataclass(kw_only=True)
class Watch:
    """A stream that somebody has open."""

    connection: http.client.HTTPConnection
    arrived: queue.Queue[dict[str, str]] = field(default_factory=queue.Queue)
    ended: threading.Event = field(default_factory=threading.Event)

    def read(self, answer: http.client.HTTPResponse) -> None:
        event: dict[str, str] = {}
        try:
            for line in iter(answer.readline, b""):
                name, _, value = line.decode("utf-8").rstrip("\n").partition(": ")
                if name:
                    event[name] = value
                elif event:
                    self.arrived.put(event)
                    event = {}
        except (OSError, ValueError, http.client.HTTPException):
            pass
        finally:
            self.ended.set()

    def next(self, *, within: float = 5) -> dict[str, str]:
        while True:
            event = self.arrived.get(timeout=within)
            if "event" in event:
                return event

    def all(self, *, for_s: float = 0.7) -> list[dict[str, str]]:
        time.sleep(for_s)
        found = []
        while not self.arrived.empty():
            found.append(self.arrived.get())
        return [event for event in found if "event" in event]


@pytest.fixture(autouse=True)
def long_streams(short_streams: None, monkeypatch: pytest.MonkeyPatch) -> None:
    del short_streams
    monkeypatch.setattr(events, "LONGEST_S", 60.0)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with listening_desk(tmp_path) as desk:
        yield desk


@contextmanager
def watching(desk: Desk, who: str, path: str = "/v1/events", **headers: str) -> Iterator[Watch]:
    address = urlsplit(desk.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=10)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("GET", path, headers={"Authorization": f"Bearer {desk.tokens[who]}"} | named)
    sock = connection.sock
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert answer.headers["Cache-Control"] == "no-store"
    watch = Watch(connection=connection)
    thread = threading.Thread(target=watch.read, args=[answer])
    thread.start()
    try:
        yield watch
    finally:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads
        thread.join(timeout=5)
        answer.close()
        connection.close()


def refused(desk: Desk, who: str, path: str = "/v1/events", **headers: str) -> dict[str, Any]:
    address = urlsplit(desk.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=10)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("GET", path, headers={"Authorization": f"Bearer {desk.tokens[who]}"} | named)
    answer = connection.getresponse()
    body = dict(json.loads(answer.read()))
    connection.close()
    return body


def test_an_auditor_sees_every_entry_within_a_second_and_takes_it_up_where_he_was_cut_off(desk: Desk) -> None:
    world = desk.world
    with watching(desk, "erin") as watch:
        time.sleep(0.3)
        begun = time.monotonic()
        asked = world.ask()
        first = watch.next()
        if first["event"] == "audit.read":  # that he watches is an entry too
            first = watch.next()
        assert time.monotonic() - begun < 1
        assert first["event"] == "request.submitted"
        entry = json.loads(first["data"])
        assert (entry["subject"], str(entry["index"])) == (asked.id, first["id"])
    world.granted("dave")
    with watching(desk, "erin", Last_Event_ID=first["id"]) as watch:
        missed = watch.all()
    assert [int(event["id"]) for event in missed] == list(
        range(int(first["id"]) + 1, int(first["id"]) + 1 + len(missed))
    )
    assert {"request.submitted", "review.recorded", "grant.opened"} <= {event["event"] for event in missed}


def test_others_see_what_concerns_them_and_not_that_there_is_more(desk: Desk) -> None:
    with watching(desk, "alice", "/v1/events?after=0") as alice, watching(desk, "frank", "/v1/events?after=0") as frank:
        hers = desk.world.ask("alice", reason="the heron has landed")
        desk.world.ask("dave", reason="somebody else's heron")
        seen = alice.all(for_s=1)
        assert {json.loads(event["data"])["subject"] for event in seen} == {hers.id}
        assert frank.all(for_s=0) == []
        assert "somebody else" not in json.dumps(seen)


def test_it_ends_when_the_watcher_is_disabled_or_his_token_is_withdrawn(desk: Desk) -> None:
    world = desk.world
    with watching(desk, "dave") as dave, watching(desk, "bob") as bob, watching(desk, "erin") as erin:
        world.broker.control.disable(world.principal("olga"), "dave", reason="left")
        assert dave.ended.wait(timeout=3)
        world.broker.gate.rotate(world.principal("bob"))
        assert bob.ended.wait(timeout=3)
        assert not erin.ended.is_set()
    assert refused(desk, "dave")["code"] == "unauthenticated"


def test_an_auditor_who_is_one_no_more_sees_no_more_than_others(desk: Desk) -> None:
    world = desk.world
    with watching(desk, "erin") as watch:
        groups = [group | {"members": []} if group["id"] == "auditors" else group for group in world.directory["group"]]
        world.adopt(directory={**world.directory, "group": groups})
        time.sleep(0.6)
        watch.all(for_s=0)
        world.ask()
        assert watch.all() == []


def test_so_many_may_watch_and_a_seat_is_free_again_when_one_leaves(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "PER_PERSON", 2)
    with watching(desk, "alice"):
        with watching(desk, "alice-laptop"):
            assert refused(desk, "alice")["code"] == "limit"
            with watching(desk, "dave"):
                pass
        deadline = time.monotonic() + 5
        while desk.world.broker.events._watching["alice"] > 1:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        with watching(desk, "alice"):
            pass


@pytest.mark.parametrize("given", ["-1", "1.5", "x", "9" * 16, "٣"])
def test_an_id_that_is_none_is_refused(desk: Desk, given: str) -> None:
    found = refused(desk, "erin", Last_Event_ID=given.encode("utf-8").decode("latin-1"))
    assert (found["code"], found["field"]) == ("invalid", "Last-Event-ID")


def test_who_sees_nothing_for_long_is_told_how_far_the_log_has_come(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "UNSEEN", 3)
    with watching(desk, "frank") as watch:
        for _ in range(4):
            desk.world.ask("alice", "orders-db-thrice")
        event = watch.arrived.get(timeout=5)
        while "id" not in event:
            event = watch.arrived.get(timeout=5)
        assert "data" not in event
        with desk.world.store.read() as tx:
            assert int(event["id"]) < tx.head().size
