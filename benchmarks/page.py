"""From the page to the credential with a second person awake: what of it is the broker's, over HTTP against real servers.

Played by two people who think for no time at all: whoever was paged asks, the second sees the request in her list, reads it and
signs its digest, the first sees the grant and draws. What people need is theirs to add; the goal is that of the whole, a minute.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import uvicorn
from tests.servers import Stack

from benchmarks.figures import Figure, Goal, quantile, shown, summary_ms
from benchmarks.stage import Bench, real_broker, until_no_roles
from countersign.api.app import Readiness, make_app

PAGE_GOAL = Goal(limit=60)
THINKING_S = 0.0
GLASS = {"review": [{"group": "security", "count": 1}], "max_duration_s": 600, "per_incident": 20}
STEPS = ("ask", "list", "read", "sign", "look", "draw")


def page(folder: Path, stack: Stack, *, full: bool) -> Iterator[Figure]:
    """Yield the seconds from the page to the credential, at the 95th percentile, and what each call takes."""
    rounds = 60 if full else 20
    spans: dict[str, list[float]] = {step: [] for step in STEPS}
    with real_broker(folder, stack, "page", direct={"break_glass": GLASS}) as bench, _listening(bench) as call:
        for turn in range(rounds):
            grant_id = _round(call, f"INC-{turn}", spans)
            word = {"verdict": "justified", "comment": "a benchmark"}
            call("bob", "POST", f"/v1/grants/{grant_id}/after-review", word)
            call("alice", "POST", f"/v1/grants/{grant_id}/return")
        bench.running.issuing.sweeper.sweep_and_wait()
    until_no_roles(stack)
    whole = [sum(each) for each in zip(*spans.values(), strict=True)]
    p95 = quantile(whole, 0.95)
    yield Figure(
        name="page_to_credential_p95_s",
        value=p95 + 2 * THINKING_S,
        unit="s",
        goal=PAGE_GOAL,
        details={
            "broker": summary_ms(whole),
            "share_of_a_minute": shown(p95 / 60),
            "thinking_of_two_people_s": 2 * THINKING_S,
            "each_call": {step: summary_ms(seconds) for step, seconds in spans.items()},
        },
    )


def _round(call: _Call, incident: str, spans: dict[str, list[float]]) -> str:
    ask = {
        "entitlement": "direct",
        "parameters": {},
        "duration_s": 120,
        "reason": "paged",
        "emergency": {"incident": incident},
    }
    asked, spans_ask = _timed(call, "alice", "POST", "/v1/requests", ask)
    listed, spans_list = _timed(call, "carol", "GET", "/v1/requests?limit=20")
    [seen] = [item for item in listed["items"] if item["id"] == asked["id"]]
    read, spans_read = _timed(call, "carol", "GET", f"/v1/requests/{seen['id']}")
    word = {"decision": "approve", "digest": read["digest"]}
    _, spans_sign = _timed(call, "carol", "POST", f"/v1/requests/{seen['id']}/reviews", word)
    looked, spans_look = _timed(call, "alice", "GET", f"/v1/requests/{asked['id']}")
    drawn, spans_draw = _timed(call, "alice", "POST", f"/v1/grants/{looked['grant_id']}/draw")
    assert drawn["credential"]["password"]
    taken = (spans_ask, spans_list, spans_read, spans_sign, spans_look, spans_draw)
    for step, seconds in zip(STEPS, taken, strict=True):
        spans[step].append(seconds)
    return str(looked["grant_id"])


class _Call:
    """Calls the API as somebody, each over a connection that is kept."""

    def __init__(self, url: str, tokens: dict[str, str]) -> None:
        self._clients = {
            who: httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30)
            for who, token in tokens.items()
        }

    def __call__(self, who: str, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Call, and return what was answered."""
        answer = self._clients[who].request(method, path, json=body)
        assert answer.is_success, answer.text
        return dict(answer.json())

    def close(self) -> None:
        """Close every connection."""
        for client in self._clients.values():
            client.close()


def _timed(call: _Call, who: str, method: str, path: str, body: object = None) -> tuple[dict[str, Any], float]:
    began = time.perf_counter()
    answer = call(who, method, path, body)
    return answer, time.perf_counter() - began


@contextmanager
def _listening(bench: Bench) -> Iterator[_Call]:
    app = make_app(bench.running.broker, readiness=lambda: Readiness(ok=True, checks={}, sweep_age_s=0.0))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the API did not start"
            time.sleep(0.005)
        url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        call = _Call(url, {who: bench.running.broker.gate.issue(who) for who in ("alice", "bob", "carol")})
        yield call
        call.close()
    finally:
        server.should_exit = True
        thread.join(timeout=10)
