"""Calls about the log: its entries to read, all of it to verify offline, and its newest signed checkpoint."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from starlette.responses import PlainTextResponse, StreamingResponse

from countersign.api.answers import EntryPage
from countersign.api.bodies import USUALLY, AfterEntry, Limit, Subject
from countersign.api.problems import documented
from countersign.api.rendering import entry_answer
from countersign.api.route import Caller, TheBroker, guarded_router
from countersign.domain.people import Principal
from countersign.domain.refusals import NotFound
from countersign.service.broker import Broker

router = guarded_router("log")

EXPORTED_AT_ONCE = 1000
NDJSON = "application/x-ndjson"


@router.get("/audit/entries", responses=documented(403, 404), summary="Entries of the log, in order")
def list_entries(
    broker: TheBroker, caller: Caller, after: AfterEntry = None, limit: Limit = USUALLY, subject: Subject = None
) -> EntryPage:
    """Return entries: all to an auditor, and to others those about a thing that concerns them."""
    found = broker.questions.entries(caller, after=-1 if after is None else after, limit=limit + 1, subject=subject)
    shown = found[:limit]
    return EntryPage(
        items=[entry_answer(row) for row in shown], next=shown[-1]["index"] if len(found) > limit else None
    )


@router.get(
    "/audit/export",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "one entry a line: `index`, `leaf` (base64) and `leaf_hash` (hex)",
            "content": {NDJSON: {"schema": {"type": "string"}}},
        },
        **documented(403),
    },
    summary="The whole log, to be verified offline",
)
def export(broker: TheBroker, caller: Caller, after: AfterEntry = None) -> StreamingResponse:
    """Stream every entry after an index to an auditor. A stream that ends early is cut off, never closed in good order."""
    first = _entries(broker, caller, -1 if after is None else after)
    return StreamingResponse(_lines(broker, caller, first), media_type=NDJSON)


@router.get(
    "/log/checkpoint",
    response_class=PlainTextResponse,
    responses={200: {"description": "a C2SP signed note"}, **documented(404)},
    summary="The newest signed checkpoint",
)
def read_checkpoint(broker: TheBroker, caller: Caller) -> PlainTextResponse:
    """Return the log's size and root as they were last signed."""
    del caller  # whoever is admitted may hold a checkpoint: it reveals nothing and convicts whoever rewrites the log
    note = broker.evidence.published_checkpoint()
    if note is None:
        raise NotFound("no checkpoint is signed yet", hint="try again in a few seconds")
    return PlainTextResponse(note)


def _entries(broker: Broker, caller: Principal, after: int) -> list[Mapping[str, Any]]:
    return broker.questions.entries(caller, after=after, limit=EXPORTED_AT_ONCE, subject=None)


def _lines(broker: Broker, caller: Principal, page: Sequence[Mapping[str, Any]]) -> Iterator[bytes]:
    while page:
        yield b"".join(_line(row) for row in page)
        if len(page) < EXPORTED_AT_ONCE:
            return
        page = _entries(broker, caller, page[-1]["index"])


def _line(row: Mapping[str, Any]) -> bytes:
    entry = {
        "index": row["index"],
        "leaf": base64.b64encode(row["leaf"]).decode("ascii"),
        "leaf_hash": bytes(row["leaf_hash"]).hex(),
    }
    return json.dumps(entry, separators=(",", ":")).encode("ascii") + b"\n"
