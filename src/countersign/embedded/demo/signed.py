"""Step 11: an approval is the approver's own signature. A token alone gives none, and neither does the database."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

from countersign.domain.ids import GRANT, RANDOM_BYTES, make_id
from countersign.domain.passkey import review_challenge
from countersign.embedded.demo.outside import log_in
from countersign.embedded.demo.report import Step
from countersign.embedded.demo.stage import Stage

SIGNED = "orders-db-repair"
FORGED = make_id(GRANT, bytes(RANDOM_BYTES))
EXPORT = "signed-log"


def play_signed(stage: Stage) -> None:
    """Approve with passkeys, draw, forge an approval in the database, and check the signatures offline."""
    line = stage.timeline
    expected = (
        "a token alone: 403 signature-required; bob's and carol's passkeys: approved and drawn; an approval that is"
        " written into the database: refused at the draw; the signatures verify offline"
    )
    with line.step(11, f"{SIGNED} takes signatures", expected=expected) as step:
        line.tell(
            "stack",
            "passkeys here are software: real WebAuthn, by keys in files, where a device would ask for a finger",
        )
        signed = _signed(stage, step)
        _forged(stage, step, signed)
        _offline(stage, step)


def _signed(stage: Stage, step: Step) -> dict[str, Any]:
    line = stage.timeline
    request = stage.ask("alice", SIGNED, 60, reason="order 1003 is stuck for good")
    body = {"decision": "approve", "digest": request["digest"]}
    reply = stage.person("bob").post(f"/requests/{request['id']}/reviews", body)
    holds = (reply.status, reply.code) == (403, "signature-required")
    line.check(step, "bob's token without his passkey", holds=holds, got=reply.code)
    for who in ("bob", "carol"):
        approved = _sign(stage, who, request)
        line.tell(who, f"signs {request['fingerprint']} with {approved['reviews'][-1]['passkey']}")
    line.check(step, "the request", holds=approved["state"] == "approved", got=approved["state"])
    drawn = stage.draw("alice", approved["grant_id"])
    with log_in(drawn["credential"]) as session:
        session.execute("SET ROLE orders_rw")
        repaired = session.execute("UPDATE orders SET state = 'packed' WHERE id = 1003").rowcount
    line.check(step, "alice repairs the order", holds=repaired == 1, got=drawn["lease"]["id"])
    stage.person("alice").post(f"/grants/{approved['grant_id']}/return")
    return approved


def _sign(stage: Stage, who: str, request: dict[str, Any]) -> dict[str, Any]:
    challenge = review_challenge(request=request["id"], digest=request["digest"], decision="approve", approver=who)
    signature = stage.stack.passkeys[who].sign(challenge).document()
    body = {"decision": "approve", "digest": request["digest"], "signature": signature}
    return stage.accepted(stage.person(who).post(f"/requests/{request['id']}/reviews", body))


def _forged(stage: Stage, step: Step, signed: dict[str, Any]) -> None:
    """Have bob sign another request for real, and write carol's approval and the grant past the broker."""
    line = stage.timeline
    request = stage.ask("alice", SIGNED, 60, reason="once more, with nobody in security asked")
    _sign(stage, "bob", request)
    with sqlite3.connect(Path(stage.stack.settings().state_dir) / "countersign.db") as behind:
        _insert_copy(
            behind,
            "reviews",
            ("request_id = ? AND person = 'carol'", signed["id"]),
            {
                "request_id": request["id"],
                "digest": request["digest"],
            },
        )
        behind.execute("UPDATE requests SET state = 'approved' WHERE id = ?", (request["id"],))
        _insert_copy(
            behind,
            "grants",
            ("request_id = ?", signed["id"]),
            {
                "id": FORGED,
                "request_id": request["id"],
                "request_digest": request["digest"],
                "state": "open",
                "draws_used": 0,
                "not_after": None,
            },
        )
    line.tell(
        "somebody",
        f"writes carol's approval of {request['id']} and a grant into the database, under an old signature of hers",
    )
    reply = stage.person("alice").post(f"/grants/{FORGED}/draw")
    holds = (reply.status, reply.code) == (409, "approval-void") and "carol" in reply.body["detail"]
    line.check(step, "the draw", holds=holds, got=f"{reply.status} {reply.code}: {reply.body.get('detail')}")


def _insert_copy(behind: sqlite3.Connection, table: str, of: tuple[str, str], changes: dict[str, object]) -> None:
    """Insert a copy of a row with some columns changed."""
    where, value = of
    cursor = behind.execute(f"SELECT * FROM {table} WHERE {where}", (value,))  # noqa: S608 - both from this file
    row = dict(zip([column[0] for column in cursor.description], cursor.fetchone(), strict=True)) | changes
    names, places = ", ".join(row), ", ".join("?" * len(row))
    behind.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", tuple(row.values()))  # noqa: S608 - as above


def _offline(stage: Stage, step: Step) -> None:
    line, folder = stage.timeline, stage.stack.folder
    auditor = {"COUNTERSIGN_URL": stage.stack.url, "COUNTERSIGN_TOKEN": stage.stack.tokens["erin"]}
    _run("export", str(folder / EXPORT), environment=auditor)
    line.tell("erin", "takes the log with her, and verifies it without the broker")
    verified = _run(
        "verify",
        str(folder / EXPORT),
        "--key",
        stage.stack.log_key(),
        "--catalog",
        str(folder / "catalog.toml"),
        environment={},
    )
    line.check(step, "offline, from the first passkeys on", holds=verified.returncode == 0, got=verified.stdout.strip())


def _run(*command: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "countersign", *command],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
