"""The log over HTTP: what auditors read is what was hashed, and it verifies without the broker."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
from tests.api.calling import Api
from tests.api.test_delivery import Listening, spelled

from countersign.api import log
from countersign.auditlog.leaf import Leaf
from countersign.auditlog.merkle import Frontier, leaf_hash
from countersign.domain.refusals import LogUnavailable


def test_the_export_holds_every_leaf_and_grows_to_the_root_of_the_signed_checkpoint(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "EXPORTED_AT_ONCE", 5)
    assert api.get("erin", "/v1/log/checkpoint").json()["code"] == "not-found"
    api.draw(api.granted(reason="canary-reason"))
    api.world.issuing.checkpoints.sign()
    answer = api.get("erin", "/v1/audit/export")
    assert answer.headers["Content-Type"].startswith("application/x-ndjson")
    entries = [json.loads(line) for line in answer.text.splitlines()]
    assert [entry["index"] for entry in entries] == list(range(len(api.world.facts())))
    assert "canary-reason" not in answer.text
    assert api.world.facts()[-1]["type"] == "audit.read", "that it was exported is in the export"
    hashes = []
    for entry in entries:
        leaf = base64.b64decode(entry["leaf"], validate=True)
        assert leaf_hash(leaf).hex() == entry["leaf_hash"]
        Leaf.decode(leaf)
        hashes.append(leaf_hash(leaf))
    checkpoint = api.get("alice", "/v1/log/checkpoint")
    assert checkpoint.headers["Content-Type"].startswith("text/plain")
    _, size, root = checkpoint.text.splitlines()[:3]
    assert (int(size), base64.b64decode(root)) == (len(entries) - 1, Frontier.of(hashes[:-1]).root())
    rest = api.get("erin", "/v1/audit/export?after=3").text.splitlines()
    assert [json.loads(line)["index"] for line in rest][: len(entries) - 4] == [entry["index"] for entry in entries[4:]]
    assert api.get("erin", f"/v1/audit/export?after={len(entries) + 100}").text == ""


def test_reading_the_checkpoint_signs_none(api: Api) -> None:
    api.world.issuing.checkpoints.sign()
    before = api.get("erin", "/v1/log/checkpoint").text
    api.asked()
    assert api.get("erin", "/v1/log/checkpoint").text == before


def test_entries_come_in_order_with_their_leaf_and_what_it_says(api: Api) -> None:
    request = api.asked(reason="canary-reason")
    first = api.get("erin", "/v1/audit/entries?limit=2").json()
    assert ([entry["index"] for entry in first["items"]], first["next"]) == ([0, 1], 1)
    second = api.get("erin", "/v1/audit/entries?limit=200&after=1").json()
    assert second["items"][0]["index"] == 2
    assert second["next"] is None
    for entry in first["items"] + second["items"]:
        leaf = base64.b64decode(entry["leaf"])
        assert hashlib.sha256(b"\0" + leaf).hexdigest() == entry["leaf_hash"]
        said = json.loads(leaf)
        assert {key: said[key] for key in ("type", "at", "actor", "subject", "data")} == {
            key: entry[key] for key in ("type", "at", "actor", "subject", "data")
        }
    [submitted] = api.get("alice", f"/v1/audit/entries?subject={request['id']}").json()["items"]
    assert submitted["data"]["digest"] == request["digest"]
    assert submitted["openings"]["reason"]["text"] == "canary-reason"


def test_an_auditor_who_is_disabled_while_he_reads_is_cut_off(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "EXPORTED_AT_ONCE", 5)
    erin = api.world.principal("erin")
    lines = log._lines(api.world.broker, erin, log._entries(api.world.broker, erin, -1))
    assert next(lines).count(b"\n") == 5
    api.post("olga", "/v1/persons/erin/disable", json={"reason": "left"})
    with pytest.raises(Exception, match="does not hold the role auditor"):
        next(lines)


def test_an_export_that_breaks_off_is_never_closed_in_good_order(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(log, "EXPORTED_AT_ONCE", 5)
    first = log._entries(api.world.broker, api.world.principal("erin"), -1)
    pages = iter([first])

    def failing(*given: object) -> list[Mapping[str, Any]]:
        del given
        for page in pages:
            return page
        raise LogUnavailable("away")

    monkeypatch.setattr(log, "_entries", failing)
    with Listening(api.app) as server, server.connect() as connection:
        connection.sendall(spelled(api, "/v1/audit/export", who="erin", method="GET"))
        answer = b"".join(iter(partial(connection.recv, 65536), b""))
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.count(b'{"index":') == 5
    assert not answer.endswith(b"0\r\n\r\n")
    assert not any(line.exc_info for line in caplog.records)
