"""A signed webhook: every entry of the log posted to one receiver, in order, until it was taken.

Signed as Standard Webhooks describe it (https://www.standardwebhooks.com): HMAC-SHA-256 over `id.timestamp.body`, so that any of
their libraries verifies it. The id is the same whenever the same entry is posted again, which a receiver needs to know: it may
get an entry twice after a crash, and never one before another.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from countersign.auditlog.leaf import Entry
from countersign.service.followers import Unfinished
from countersign.service.streams.destination import Destination, Resolver
from countersign.service.streams.post import Line, Undelivered

TURN_S = 5.0
"""After so long a batch is left off, so that what was sent is noted."""


def sign(secret: bytes, *, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of `webhook-signature`."""
    covered = f"{message_id}.{timestamp}.".encode("ascii") + body
    return "v1," + base64.b64encode(hmac.new(secret, covered, hashlib.sha256).digest()).decode("ascii")


@dataclass(frozen=True, kw_only=True)
class Receiver:
    """Whom we post to.

    Attributes:
        secret: shared with it, and with it alone.
        clock: what time it is.
        context: how its certificate is judged.
    """

    name: str
    destination: Destination
    secret: bytes = field(repr=False)
    clock: Callable[[], datetime]
    context: ssl.SSLContext | None = None
    resolve: Resolver | None = None

    def line(self) -> Line:
        """Return a connection for a few posts."""
        return Line(self.destination, context=self.context, resolve=self.resolve)

    def post(self, line: Line, body: bytes, *, message_id: str) -> int:
        """Post a message, signed; return the status.

        Raises:
            Undelivered: it was not taken.
        """
        timestamp = int(self.clock().timestamp())
        headers = {
            "content-type": "application/json",
            "user-agent": "countersign",
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(self.secret, message_id=message_id, timestamp=timestamp, body=body),
        }
        return line.post(body, headers)


def message_of(entry: Entry, *, prefix: str) -> str:
    """Return the id of what is posted about an entry, in this log and in no other."""
    return f"{prefix}_{entry.index}_{(entry.leaf_hash or b'').hex()[:32]}"


def told(entry: Entry) -> dict[str, object]:
    """Return an entry as it leaves us: what the leaf says, in which texts of people are commitments."""
    fact = json.loads(entry.leaf)
    return {
        "type": fact["type"],
        "timestamp": fact["at"],
        "data": {
            "index": entry.index,
            "leaf_hash": (entry.leaf_hash or b"").hex(),
            "leaf": base64.b64encode(entry.leaf).decode("ascii"),
            **{name: fact[name] for name in ("actor", "subject", "data")},
        },
    }


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """Posts every entry to one receiver. In order over all subjects, and so for each."""

    receiver: Receiver

    @property
    def name(self) -> str:
        """The name of its cursor."""
        return f"webhook:{self.receiver.name}"

    def handle(self, entries: Sequence[Entry]) -> None:
        """Post entries until one is not taken.

        Raises:
            Unfinished: with how many were.
        """
        begun = time.monotonic()
        with self.receiver.line() as line:
            for done, entry in enumerate(entries):
                if done and time.monotonic() - begun > TURN_S:
                    raise Unfinished(done=done)
                body = json.dumps(told(entry), separators=(",", ":")).encode("ascii")
                try:
                    self.receiver.post(line, body, message_id=message_of(entry, prefix="entry"))
                except Undelivered as undelivered:
                    raise Unfinished(str(undelivered), done=done) from undelivered
