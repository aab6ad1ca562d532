"""The embedded stack plays an emergency to its end: its people fill every part of it, and its receiver takes the notices."""

from __future__ import annotations

import json
import stat
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from string import Template
from typing import Any

import pytest
from tests.cli.desk import Desk, listening_desk

import countersign.embedded
from countersign.config.webhooksecret import read_webhook_secret
from countersign.embedded.inbox import NAME, EmbeddedInbox
from countersign.service.streams.destination import Destination
from countersign.service.streams.post import Undelivered
from countersign.service.streams.webhook import Receiver

FOLDER = Path(countersign.embedded.__file__).parent


def embedded_rules() -> dict[str, dict[str, Any]]:
    """The rules of the embedded stack, served by the provider of tests."""
    values = {"postgres_port": "5432", "reports_role": "arn:aws:iam::123456789012:role/reports"}
    catalog, directory = (
        tomllib.loads(Template((FOLDER / f"{name}.toml").read_text(encoding="utf-8")).safe_substitute(values))
        for name in ("catalog", "directory")
    )
    catalog["entitlement"] = [
        each | {"provider": "fake", "signature": "optional", "delivery": "direct"}
        for each in catalog["entitlement"]
        if each["provider"] == "vault"
    ]
    catalog["target"] = [{"id": name, "provider": "fake", "kind": "memory"} for name in ("orders-db", "orders-config")]
    return {"catalog": catalog, "directory": directory}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with listening_desk(tmp_path) as desk:
        desk.world.adopt(**embedded_rules())
        desk.tokens |= {who: desk.world.broker.gate.issue(who) for who in ("nina", "ivan")}
        yield desk


def test_the_embedded_people_play_break_glass_from_the_page_to_the_word_afterwards(desk: Desk) -> None:
    def ran(who: str, *args: str) -> str:
        done = desk.run(who, *args)
        assert done.code == 0, done.err
        return done.out

    asked = ("--for", "10m", "--reason", "orders are stuck")
    made = json.loads(ran("alice", "request", "orders-db-write", *asked, "--break-glass", "INC-4711", "--json"))
    ran("carol", "approve", made["id"], "--digest", made["fingerprint"])
    ran("alice", "draw", made["id"])
    word = ("--verdict", "justified", "--comment", "the fix is in change 812")
    assert "was justified" in ran("bob", "after-review", made["id"], *word)

    envelope = ran(
        "bob", "envelope", "propose", "orders-db-write", "--valid", "3d", "--uses", "2", "--for", "10m", "--json"
    )
    written = json.loads(envelope)
    for signer in ("bob", "carol"):
        ran(signer, "envelope", "sign", written["id"], "--digest", written["digest"])
    opened = json.loads(ran("nina", "envelope", "open", written["id"], "--incident", "INC-4711", *asked, "--json"))
    ran("nina", "draw", opened["grant_id"])
    assert desk.run("bob", "after-review", opened["grant_id"], *word).code == 6, "who signed does not look back"
    assert "was justified" in ran("ivan", "after-review", opened["grant_id"], *word)
    assert "justified by ivan" in ran("erin", "break-glass")


def test_those_who_are_skipped_are_told_by_the_embedded_receiver() -> None:
    notices = embedded_rules()["catalog"]["trust"]["notices"]
    assert notices == {"orders-owners": [NAME], "security": [NAME]}


def test_the_receiver_keeps_what_the_broker_signed_and_nothing_else(tmp_path: Path) -> None:
    inbox = EmbeddedInbox(path=tmp_path / "notices.ndjson")
    inbox.start()
    try:
        said = inbox.settings()

        def post(secret: bytes) -> int:
            destination = Destination(url=said["url"], allow_private=False)
            receiver = Receiver(name=NAME, destination=destination, secret=secret, clock=lambda: datetime.now(UTC))
            with receiver.line() as line:
                return receiver.post(line, b'{"type":"break-glass.opened"}', message_id="notice_1_a")

        with pytest.raises(Undelivered):
            post(bytes(32))
        assert not inbox.path.exists()
        assert post(read_webhook_secret(said["secret"])) == 204
        assert inbox.path.read_text() == '{"type":"break-glass.opened"}\n'
        assert stat.S_IMODE(inbox.path.stat().st_mode) == 0o600
        assert said["secret"] not in repr(inbox)
    finally:
        inbox.stop()
    inbox.stop()
