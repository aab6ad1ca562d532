"""Webhooks: signed, in order, until they are taken, and to the address that was judged and no other."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.receivers import SECRET, Inbox, Received, certificate, receiving
from tests.world import World

from countersign.config.webhooksecret import UnfitSecret, read_webhook_secret
from countersign.service.followers import LAST_RETRY
from countersign.service.streams import post
from countersign.service.streams.destination import Destination, Forbidden
from countersign.service.streams.post import Line, Undelivered
from countersign.service.streams.webhook import Receiver, Webhook, sign


def webhook(world: World, inbox: Inbox, **more: Any) -> Webhook:  # noqa: ANN401 - fields of a receiver
    destination = more.pop("destination", Destination(url=inbox.url))
    return Webhook(receiver=Receiver(name="siem", destination=destination, secret=SECRET, clock=world.clock, **more))


def size_of(world: World) -> int:
    with world.store.read() as tx:
        return tx.head().size


def test_the_signature_is_that_of_the_published_example() -> None:
    secret = read_webhook_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    made = sign(secret, message_id="msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp=1614265330, body=b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("text", ["", "hunter2", "whsec_", "whsec_c2hvcnQ=", "whsec_" + "A" * 200, "whsec_*" * 9])
def test_a_secret_that_could_be_guessed_or_misread_is_refused(text: str) -> None:
    with pytest.raises(UnfitSecret):
        read_webhook_secret(text)


def test_every_entry_is_posted_once_signed_and_in_order(world: World) -> None:
    world.draw(world.granted())
    with receiving() as inbox:
        world.follow(webhook(world, inbox))
        size = size_of(world)
        assert [post.index for post in inbox.posts] == list(range(size))
        assert all(post.verifies() for post in inbox.posts)
        assert not any(post.verifies(b"x" * 32) for post in inbox.posts)
        assert len({post.headers["webhook-id"] for post in inbox.posts}) == size
        rows = world.facts()
        for received, row in zip(inbox.posts, rows, strict=True):
            assert base64.b64decode(received.said["data"]["leaf"]) == bytes(row["leaf"])
            assert received.said["type"] == row["type"]


def test_texts_that_people_wrote_leave_as_commitments_only(world: World) -> None:
    world.granted(reason="the heron has landed", ticket="SECRET-4711")
    with receiving() as inbox:
        world.follow(webhook(world, inbox))
        sent = b"".join(post.body for post in inbox.posts)
        leaves = b"".join(base64.b64decode(post.said["data"]["leaf"]) for post in inbox.posts)
    assert b"request.submitted" in sent
    for text in (b"heron", b"SECRET-4711"):
        assert text not in sent + leaves


def test_what_is_not_taken_is_posted_again_for_ever_and_nothing_passes_it(world: World) -> None:
    world.granted()
    size = size_of(world)
    with receiving() as inbox:
        refused: list[int | None] = [500, 302, None, 404]

        def answer(received: Received) -> int | None:
            return refused.pop(0) if received.index == 2 and refused else 204

        inbox.answer, inbox.location = answer, inbox.url + "/elsewhere"
        world.follow(webhook(world, inbox))
        for _ in range(4):
            [lag] = [each for each in world.broker.followers.look() if each.name == "webhook:siem"]
            assert (lag.next, lag.error is None) == (2, False)
            world.clock.forward(seconds=LAST_RETRY.total_seconds())
            world.follow()
        assert [post.index for post in inbox.posts] == [0, 1, 2, 2, 2, 2, *range(2, size)]
        assert {post.path for post in inbox.posts} == {"/hook"}, "no redirect is followed"
        again = [post for post in inbox.posts if post.index == 2]
        assert len({post.headers["webhook-id"] for post in again}) == 1, "by which a receiver knows it"
        assert all(post.verifies() for post in inbox.posts)


def test_a_receiver_that_takes_nothing_delays_no_other(world: World) -> None:
    world.granted()
    with receiving() as away, receiving() as well:
        away.answer = lambda _: 503
        destination = Destination(url=well.url)
        other = Webhook(receiver=Receiver(name="other", destination=destination, secret=SECRET, clock=world.clock))
        world.follow(webhook(world, away), other)
        assert [post.index for post in well.posts] == list(range(size_of(world)))
        assert [post.index for post in away.posts] == [0]


def test_errors_name_the_host_and_neither_the_path_nor_what_was_said(world: World) -> None:
    with receiving() as inbox:
        inbox.answer = lambda _: 418
        world.follow(webhook(world, inbox, destination=Destination(url=inbox.url + "/token-in-path")))
        [lag] = [each for each in world.broker.followers.look() if each.name == "webhook:siem"]
    assert lag.error == "127.0.0.1 answered 418"
    assert "whsec" not in repr(world.followers)
    assert SECRET.hex() not in repr(world.followers)
    assert repr(SECRET) not in repr(world.followers)


def test_a_receiver_that_drips_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(post, "EXCHANGE_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\n")
                while not stop.wait(0.05):
                    try:
                        connection.sendall(b"X: y\r\n")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        begun = time.monotonic()
        with (
            Line(Destination(url=f"http://127.0.0.1:{server.getsockname()[1]}/")) as line,
            pytest.raises(Undelivered, match="no answer in time"),
        ):
            line.post(b"{}", {})
        assert time.monotonic() - begun < 3
        stop.set()
        thread.join()


def test_over_tls_the_certificate_must_be_the_host_s(tmp_path: Path) -> None:
    trusted, serving = certificate(tmp_path, "hooks.example")
    with receiving(context=serving) as inbox:
        resolve = lambda host, port: ["127.0.0.1"]  # noqa: E731, ARG005 - a resolver in a word
        context = ssl.create_default_context(cafile=trusted)

        def sent_to(url: str, judged_by: ssl.SSLContext | None) -> int:
            # The loopback is reached by a name here, which only a test may do.
            destination = Named(url=url, allow_private=True)
            with Line(destination, context=judged_by, resolve=resolve) as line:
                return line.post(b"{}", {})

        assert sent_to(f"https://hooks.example:{inbox.port}/", context) == 204
        assert inbox.posts[0].headers["host"] == f"hooks.example:{inbox.port}"
        for url, judged_by in ((f"https://other.example:{inbox.port}/", context), (inbox.url, None)):
            with pytest.raises(Undelivered, match="certificate"):
                sent_to(url, judged_by)
        assert len(inbox.posts) == 1


class Named(Destination):
    """A destination that may be on the loopback by a name."""

    def _is_named_loopback(self) -> bool:
        return True


def resolving(*addresses: str) -> Any:  # noqa: ANN401 - a resolver
    def resolve(host: str, port: int) -> Sequence[str]:
        del host, port
        return addresses

    return resolve


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "::1",
        "0.0.0.0",  # noqa: S104 - refused
        "::",
        "10.0.0.8",
        "172.16.1.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "::ffff:10.0.0.8",
        "::ffff:127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
    ],
)
def test_a_name_that_leads_inside_is_refused_whatever_else_it_leads_to(address: str) -> None:
    destination = Destination(url="https://hooks.example/x")
    for found in ([address], ["93.184.215.14", address]):
        with pytest.raises(Forbidden, match=r"hooks\.example"):
            destination.pinned(resolving(*found))


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "fe80::1", "127.0.0.1", "::", "::ffff:169.254.169.254", "224.0.0.1"]
)
def test_private_networks_are_allowed_by_a_setting_and_metadata_by_none(address: str) -> None:
    destination = Destination(url="https://hooks.example/x", allow_private=True)
    assert destination.pinned(resolving("10.0.0.8")) == ("10.0.0.8",)
    with pytest.raises(Forbidden):
        destination.pinned(resolving(address))


def test_without_tls_nothing_leaves_the_machine() -> None:
    assert Destination(url="http://127.0.0.1:9/").pinned(resolving("127.0.0.1")) == ("127.0.0.1",)
    for host in ("hooks.example", "10.0.0.8", "localhost"):
        with pytest.raises(Forbidden):
            Destination(url=f"http://{host}/", allow_private=True).pinned(resolving("93.184.215.14"))


def test_the_address_that_was_judged_is_the_one_that_is_used_though_the_name_leads_elsewhere_a_moment_later(
    tmp_path: Path,
) -> None:
    answers = [["93.184.215.14"], ["127.0.0.1"]]
    asked: list[str] = []

    def rebinding(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        del port
        return answers[len(asked) - 1]

    _, serving = certificate(tmp_path, "hooks.example")
    tried: list[Any] = []

    def connect(address: Any, **more: Any) -> socket.socket:  # noqa: ANN401 - as the socket module's
        tried.append(address)
        raise ConnectionRefusedError(more)

    with (
        receiving(context=serving) as inbox,
        pytest.MonkeyPatch.context() as patched,
        Line(Destination(url=f"https://hooks.example:{inbox.port}/"), resolve=rebinding) as line,
    ):
        patched.setattr(socket, "create_connection", connect)
        with pytest.raises(Undelivered, match="refused"):
            line.post(b"{}", {})
        with pytest.raises(Undelivered, match=r"127\.0\.0\.1, where nothing is sent"):
            line.post(b"{}", {})
    assert tried == [("93.184.215.14", inbox.port)]
    assert json.dumps(asked) == '["hooks.example", "hooks.example"]'
