"""Step 10: requests that end without a credential, a stop, and the log that shows when somebody touches it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from countersign.auditlog.report import Report
from countersign.bootstrap.clock import now
from countersign.bootstrap.logkey import log_signer
from countersign.embedded.demo.outside import refuses
from countersign.embedded.demo.report import Step
from countersign.embedded.demo.stage import Stage
from countersign.service.verification import verify_store
from countersign.store import Store


def play_record(stage: Stage) -> None:
    """Deny, withdraw, let lapse, stop one person, verify, tamper, verify again."""
    line = stage.timeline
    expected = (
        "denied, withdrawn and lapsed stay so; a stop ends all of dave's; the log verifies; an edited row is named"
    )
    with line.step(10, "endings without a credential, a stop, and the log", expected=expected) as step:
        _endings(stage, step)
        _stop(stage, step)
        _log(stage, step)


def _endings(stage: Stage, step: Step) -> None:
    line = stage.timeline
    lapsing = stage.ask("alice", "orders-db-glance", 5, reason="nobody will look in time")
    denied = stage.ask("alice", "orders-db-read", 60, reason="just curious")
    body = {"decision": "deny", "digest": denied["digest"], "comment": "curiosity is not a task"}
    denied = stage.person("bob").post(f"/requests/{denied['id']}/reviews", body).body
    line.check(step, "bob denies", holds=denied["state"] == "denied", got=denied["state"])
    withdrawn = stage.ask("alice", "orders-db-read", 60, reason="found it elsewhere")
    withdrawn = stage.person("alice").post(f"/requests/{withdrawn['id']}/withdraw").body
    line.check(step, "alice withdraws", holds=withdrawn["state"] == "withdrawn", got=withdrawn["state"])

    def lapsed() -> bool:
        return bool(stage.person("alice").get(f"/requests/{lapsing['id']}").body["state"] == "lapsed")

    stage.until(lapsed, within_s=5, what="the request to lapse")
    line.check(step, "what nobody reviewed", holds=lapsed(), got="lapsed")


def _stop(stage: Stage, step: Step) -> None:
    line = stage.timeline
    drawn = stage.draw("dave", stage.granted("dave", "orders-db-read", 60, by="bob", reason="until olga stops it"))
    body = {"scope": "person", "id": "dave", "reason": "a laptop was stolen"}
    stage.person("olga").post("/stop", body)
    line.tell("olga", "stops everything of dave")
    seen = stage.certificate(drawn["lease"]["id"])
    line.check(step, "dave's lease", holds=seen["cause"] == "stopped", got=seen["standing"])
    line.check(step, "dave's login", holds=(refusal := refuses(drawn["credential"])) is not None, got=refusal)
    ask = {"entitlement": "orders-db-read", "parameters": {}, "duration_s": 60, "reason": "again"}
    reply = stage.person("dave").post("/requests", ask)
    line.check(step, "dave asks again", holds=(reply.status, reply.code) == (503, "stopped"), got=reply.code)


def _log(stage: Stage, step: Step) -> None:
    line, settings = stage.timeline, stage.stack.settings()
    database = _copied(Path(settings.state_dir) / "countersign.db")
    store = Store(f"sqlite:///{database}", clock=now)
    verifier = log_signer(settings).verifier()
    clean = verify_store(store, verifiers=[verifier])
    with store.read() as tx:
        kinds = [row["type"] for row in tx.facts(limit=clean.size)]
    counts = {
        kind: kinds.count(kind) for kind in ("request.submitted", "review.recorded", "lease.issued", "lease.dead")
    }
    line.tell("log", f"{clean.size} entries, root {clean.root.hex()[:16]}…: {counts}")
    line.check(step, "the log verifies", holds=clean.ok, got=f"{clean.size} entries")
    even = counts["lease.dead"] >= counts["lease.issued"] > 0
    line.check(step, "every lease that was issued has its certificate of death", holds=even, got=counts)
    victim = kinds.index("review.recorded")
    with sqlite3.connect(database) as behind:
        behind.execute("DROP TRIGGER facts_UPDATE_refused")
        behind.execute(
            'UPDATE facts SET leaf = CAST(replace(CAST(leaf AS TEXT), \'"actor":"bob"\', \'"actor":"eve"\') AS BLOB)'
            ' WHERE "index" = ?',
            (victim,),
        )
    line.tell("somebody", f"edits row {victim} in a copy of the database: bob's approval is now eve's")
    tampered: Report = verify_store(store, verifiers=[verifier])
    store.close()
    named = [failure.index for failure in tampered.failures if failure.code == "leaf-hash"]
    line.check(step, "verification names the row", holds=not tampered.ok and named == [victim], got=named)


def _copied(database: Path) -> Path:
    """Return a copy of the database as it is this moment; the broker goes on with its own."""
    copy = database.with_name("copied.db")
    with sqlite3.connect(database) as living, sqlite3.connect(copy) as copied:
        living.backup(copied)
    return copy
