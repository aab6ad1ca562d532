"""Steps 1 to 6: one grant from the asking to the handing back."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

from countersign.embedded.demo.outside import Watch, log_in, refuses, roles_named_by_leases, tokens_named_by_leases
from countersign.embedded.demo.stage import Stage


def play_first_grant(stage: Stage) -> None:
    """Ask, try to cheat, sign, draw, lose an answer, hand back."""
    _ask(stage)
    _cheat(stage)
    _sign(stage)
    _draw(stage)
    _draw_again(stage)
    _hand_back(stage)


def _ask(stage: Stage) -> None:
    line = stage.timeline
    expected = "a pending request with a digest; nothing at OpenBao or in the database bears a lease's name"
    with line.step(1, "alice asks for orders-db-read", expected=expected) as step:
        request = stage.ask("alice", "orders-db-read", 120, reason="order 1003 is stuck at the packing desk")
        stage.kept["request"] = request
        line.tell("alice", f"asks for orders-db-read for 120 s: {request['id']}, digest {request['digest'][:16]}…")
        for privilege in request.get("preview", {}).get("privileges", []):
            line.tell("broker", f"would give {privilege}")
        line.check(step, "the request waits for review", holds=request["state"] == "pending", got=request["review"])
        line.check(step, "the latest second at which access could exist is named", holds="latest_end" in request)
        roles, tokens = roles_named_by_leases(stage.stack), tokens_named_by_leases(stage.stack)
        line.check(
            step, "database users and tokens at the provider", holds=not roles and not tokens, got=roles + tokens
        )


def _cheat(stage: Stage) -> None:
    line, request = stage.timeline, stage.kept["request"]
    expected = "alice: 403 self-review; olga the operator: 403 not-eligible, and no verb that forces it exists"
    with line.step(2, "alice signs her own request, the operator tries to force it", expected=expected) as step:
        body = {"decision": "approve", "digest": request["digest"]}
        reply = stage.person("alice").post(f"/requests/{request['id']}/reviews", body)
        line.tell("alice", f"approves her own request: {reply.status} {reply.code} ({reply.rule})")
        line.check(step, "alice", holds=(reply.status, reply.code) == (403, "self-review"), got=reply.code)
        reply = stage.person("olga").post(f"/requests/{request['id']}/reviews", body)
        line.tell("olga", f"approves as operator: {reply.status} {reply.code} ({reply.rule})")
        line.check(step, "olga", holds=(reply.status, reply.code) == (403, "not-eligible"), got=reply.code)
        for verb in ("force", "approve", "override"):
            reply = stage.person("olga").post(f"/requests/{request['id']}/{verb}")
            line.check(step, f"POST …/{verb}", holds=reply.status in {404, 405}, got=reply.status)


def _sign(stage: Stage) -> None:
    line, request = stage.timeline, stage.kept["request"]
    expected = "a wrong digest: 409 wrong-digest; bob's approval counts, his second: 409 already-reviewed; one grant"
    with line.step(3, "bob signs the digest that he was shown", expected=expected) as step:
        bob, path = stage.person("bob"), f"/requests/{request['id']}/reviews"
        reply = bob.post(path, {"decision": "approve", "digest": "0" * 64})
        line.check(step, "a wrong digest", holds=(reply.status, reply.code) == (409, "wrong-digest"), got=reply.code)
        shown = bob.get(f"/requests/{request['id']}").body
        line.tell("bob", f"reads {request['id']}: {shown['reason']!r}, and signs {shown['digest'][:16]}…")
        approved = stage.approve("bob", shown)
        line.check(step, "the request", holds=approved["state"] == "approved", got=approved["state"])
        reply = bob.post(path, {"decision": "approve", "digest": request["digest"]})
        line.check(step, "bob again", holds=(reply.status, reply.code) == (409, "already-reviewed"), got=reply.code)
        stage.kept["grant"] = approved["grant_id"]
        line.tell("broker", f"opens {approved['grant_id']} for alice, to be drawn once")


def _draw(stage: Stage) -> None:
    line, grant = stage.timeline, stage.kept["grant"]
    expected = "bob: 403 not-yours; dave: 404; alice: a database user named by the lease; she reads a row with psycopg"
    with line.step(4, "alice draws, and reads a row", expected=expected) as step:
        for who, status, code in (("bob", 403, "not-yours"), ("dave", 404, "not-found")):
            reply = stage.person(who).post(f"/grants/{grant}/draw")
            line.check(step, f"{who} draws", holds=(reply.status, reply.code) == (status, code), got=reply.code)
        drawn = stage.draw("alice", grant)
        lease, credential = drawn["lease"], drawn["credential"]
        stage.kept |= {"lease": lease, "credential": credential}
        line.tell("alice", f"draws {lease['id']}, good until {lease['not_after']}")
        with log_in(credential) as session:
            row = session.execute("SELECT id, item, state FROM orders WHERE id = 1003").fetchone()
        line.tell("database", f"lets {credential['username']} in: {row}")
        line.check(step, "she reads", holds=row == (1003, "stamp pad", "stuck"), got=row)
        roles = roles_named_by_leases(stage.stack)
        line.check(step, "one user, made for this lease alone", holds=roles == [lease["id"]], got=roles)


def _draw_again(stage: Stage) -> None:
    line = stage.timeline
    expected = "409 draws-exhausted; a draw whose answer is lost is revoked, and the draw is there again"
    with line.step(5, "a second draw, and an answer that is lost on the way", expected=expected) as step:
        reply = stage.person("alice").post(f"/grants/{stage.kept['grant']}/draw")
        line.check(step, "a second draw", holds=(reply.status, reply.code) == (409, "draws-exhausted"), got=reply.code)
        grant = stage.granted("dave", "orders-db-read", 60, by="bob", reason="the line drops while drawing")
        begun: list[str] = []
        with _suspended(stage.stack.openbao.pid):  # so that the line drops for sure before the answer is there
            stage.person("dave").post_and_hang_up(
                f"/grants/{grant}/draw", once=lambda: begun.append(_lease_of(stage, grant))
            )
        lost = begun[0]
        line.tell("dave", f"draws under {grant} and loses the line before the answer")
        seen = stage.certificate(lost)
        line.tell("broker", f"revokes {lost}: {seen['cause']}, seen {seen['seen']}")
        line.check(step, "the lost credential is dead", holds=seen["cause"] == "undelivered", got=seen["standing"])
        again = stage.draw("dave", grant)
        with log_in(again["credential"]) as session:
            session.execute("SELECT 1 FROM orders")
        line.check(step, "the draw was given back", holds=again["lease"]["id"] != lost, got=again["lease"]["id"])
        stage.person("dave").post(f"/grants/{grant}/return")


def _hand_back(stage: Stage) -> None:
    line, lease, credential = stage.timeline, stage.kept["lease"], stage.kept["credential"]
    expected = "her open session (after SET ROLE) is cut, a new login fails, the log says what was seen at the target"
    with line.step(6, "alice hands it back early", expected=expected) as step:
        session = Watch(credential=credential)
        line.check(step, "she is logged in, and reads as orders_ro", holds=session.cut_at is None)
        stage.person("alice").post(f"/grants/{stage.kept['grant']}/return")
        line.tell("alice", f"returns {stage.kept['grant']}")
        line.check(step, "the open session is cut", holds=session.wait(5), got=f"after {session.reads} reads")
        refusal = refuses(credential)
        line.check(step, "a new login is refused", holds=refusal is not None, got=refusal)
        seen = stage.certificate(lease["id"])
        line.tell("log", f"{lease['id']} {seen['standing']}, {seen['evidence']}: {seen['seen']}")
        observed = seen["evidence"] == "observed" and seen["cause"] == "returned"
        line.check(step, "the certificate of death", holds=observed, got=seen["standing"])


@contextlib.contextmanager
def _suspended(pid: int | None) -> Iterator[None]:
    """Let a process stand still for a while."""
    if pid is None:
        raise ProcessLookupError("it does not run")
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _lease_of(stage: Stage, grant: str) -> str:
    """Return the id of the first lease under a grant, waiting for it."""
    found: list[str] = []

    def look() -> bool:
        leases = stage.person("erin").get(f"/grants/{grant}").body["leases"]
        found[:] = [lease["id"] for lease in leases]
        return bool(found)

    stage.until(look, within_s=10, what="the draw to begin")
    return found[0]
