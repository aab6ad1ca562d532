"""What every step of the story needs: the stack, the people, the timeline, and a few phrases that return."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from countersign.domain.timestamps import read
from countersign.embedded.demo.caller import Caller, Reply
from countersign.embedded.demo.report import Timeline
from countersign.embedded.stack import EmbeddedStack


@dataclass(kw_only=True)
class Stage:
    """The stage. `kept` carries what a later step needs from an earlier one."""

    stack: EmbeddedStack
    timeline: Timeline
    kept: dict[str, Any] = field(default_factory=dict, repr=False)

    def person(self, name: str) -> Caller:
        """Return a person at the API."""
        return Caller(name=name, url=self.stack.url, token=self.stack.tokens[name])

    def ask(
        self, who: str, entitlement: str, seconds: int, *, reason: str, parameters: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """Submit a request and return it."""
        body = {
            "entitlement": entitlement,
            "parameters": parameters or {},
            "duration_s": seconds,
            "reason": reason,
            "ticket": "OPS-4711",
        }
        return self.accepted(self.person(who).post("/requests", body), 201)

    def approve(self, who: str, request: dict[str, Any]) -> dict[str, Any]:
        """Approve the digest that was shown and return the request."""
        body = {"decision": "approve", "digest": request["digest"]}
        return self.accepted(self.person(who).post(f"/requests/{request['id']}/reviews", body))

    def draw(self, who: str, grant_id: str) -> dict[str, Any]:
        """Draw and return lease and credential."""
        return self.accepted(self.person(who).post(f"/grants/{grant_id}/draw"))

    def granted(
        self,
        who: str,
        entitlement: str,
        seconds: int,
        *,
        by: str,
        reason: str,
        parameters: dict[str, str] | None = None,
    ) -> str:
        """Ask, have it approved, and return the grant's id."""
        request = self.ask(who, entitlement, seconds, reason=reason, parameters=parameters)
        return str(self.approve(by, request)["grant_id"])

    def lease(self, lease_id: str) -> dict[str, Any]:
        """Return a lease as the auditor sees it."""
        return dict(self.accepted(self.person("erin").get(f"/leases/{lease_id}")))

    def certificate(self, lease_id: str, *, within_s: float = 10.0) -> dict[str, Any]:
        """Return the certificate of death from the log, waiting for it.

        Raises:
            TimeoutError: there is none after so long.
        """
        found: list[dict[str, Any]] = []

        def look() -> bool:
            found[:] = [entry for entry in self.entries(lease_id) if entry["type"] == "lease.dead"]
            return bool(found)

        self.until(look, within_s=within_s, what=f"{lease_id} to be seen dead")
        return dict(found[0]["data"])

    def entries(self, subject: str) -> list[dict[str, Any]]:
        """Return all that the log says of something, as the auditor sees it."""
        found: list[dict[str, Any]] = []
        path = f"/audit/entries?subject={subject}&limit=100"
        page = self.accepted(self.person("erin").get(path))
        found += page["items"]
        while page["next"] is not None:
            page = self.accepted(self.person("erin").get(f"{path}&after={page['next']}"))
            found += page["items"]
        return found

    def until(self, holds: Callable[[], bool], *, within_s: float, what: str) -> None:
        """Wait until something holds.

        Raises:
            TimeoutError: it does not after so long.
        """
        deadline = time.monotonic() + within_s
        while not holds():
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {within_s:g} s in vain for {what}")
            time.sleep(0.02)

    @staticmethod
    def seconds_after(moment: str, wall: float) -> float:
        """Return how many seconds a wall-clock reading lies after a moment in the log's spelling."""
        return wall - read(moment).timestamp()

    @staticmethod
    def accepted(reply: Reply, status: int = 200) -> dict[str, Any]:
        """Return what the broker answered to what should succeed.

        Raises:
            RuntimeError: it did not.
        """
        if reply.status != status:
            raise RuntimeError(f"the broker answered {reply.status} {reply.code}: {reply.rule}")
        return dict(reply.body)
