"""The log as it grows: server-sent events, taken up again where a watcher was cut off."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Annotated

import anyio
import anyio.to_thread
from fastapi import Depends, Header, Request
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event
from starlette.responses import StreamingResponse

from countersign.api.bodies import AfterEntry
from countersign.api.problems import documented
from countersign.api.rendering import entry_answer
from countersign.api.route import Caller, TheBroker, admit, guarded_router
from countersign.domain.people import Principal
from countersign.domain.refusals import Invalid, Refused
from countersign.service.events import Events, Page

router = guarded_router("log")

PAUSE_S = 0.25
PING_S = 15.0
ADMITTED_S = 1.0
"""How often it is asked whether the watcher may still be here: whoever is disabled or signed out sees nothing after that."""
LONGEST_S = 3600.0
UNSEEN = 1000
"""After so many entries of others a watcher is told how far the log has come, so that he need not begin before them again."""
LONGEST_ID = 15
RETRY_MS = 2000

LastEventId = Annotated[
    str | None,
    Header(alias="Last-Event-ID", description="the `id` of the last event that arrived; goes before `after`"),
]


async def _seated(broker: TheBroker, caller: Caller) -> AsyncIterator[None]:
    """Hold a seat for as long as the answer is being sent."""
    with broker.events.seat(caller):
        yield


@router.get(
    "/events",
    response_class=StreamingResponse,  # FastAPI would take its own class here for a word to call this one as a generator
    responses={
        200: {
            "description": "events: `id` is the entry's index, `event` its type, `data` the entry as `GET /audit/entries` has it",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        **documented(403, 429),
    },
    summary="The log as it grows, as server-sent events",
)
async def watch(  # noqa: PLR0917 - FastAPI passes each by its name
    request: Request,
    broker: TheBroker,
    caller: Caller,
    seat: Annotated[None, Depends(_seated)],
    after: AfterEntry = None,
    last_event_id: LastEventId = None,
) -> EventSourceResponse:
    """Stream what concerns the caller from now on, or from after an entry; all of it to an auditor.

    It ends after an hour, and within a second of the caller being disabled or his token withdrawn.
    """
    del seat
    begin = _begin(last_event_id, after)
    if begin is None:
        begin = await anyio.to_thread.run_sync(broker.events.newest)
    stream = _stream(request, broker.events, caller, begin)
    return EventSourceResponse(stream, headers={"X-Accel-Buffering": "no"})


async def _stream(request: Request, events: Events, caller: Principal, cursor: int) -> AsyncIterator[bytes]:
    """Yield what follows an entry, until the watcher leaves, is no more admitted, or has watched for long enough."""
    begun = admitted = spoken = time.monotonic()
    told = cursor
    yield format_sse_event(retry=RETRY_MS)
    while time.monotonic() - begun < LONGEST_S:
        try:
            if time.monotonic() - admitted >= ADMITTED_S:
                await anyio.to_thread.run_sync(admit, request)
                admitted = time.monotonic()
            page = await anyio.to_thread.run_sync(_next, events, caller, cursor)
        except Refused:
            return  # he is not admitted any more, or the database is away: he comes again, or does not
        for row in page.rows:
            data = entry_answer(row).model_dump_json()
            yield format_sse_event(data_str=data, event=str(row["type"]), id=str(row["index"]))
            told, spoken = int(row["index"]), time.monotonic()
        cursor = page.last
        if cursor - told >= UNSEEN or (cursor > told and time.monotonic() - spoken >= PING_S):
            yield format_sse_event(id=str(cursor))
            told, spoken = cursor, time.monotonic()
        elif time.monotonic() - spoken >= PING_S:
            yield KEEPALIVE_COMMENT
            spoken = time.monotonic()
        if not page.more:
            await anyio.sleep(PAUSE_S)


def _next(events: Events, caller: Principal, cursor: int) -> Page:
    if events.newest() <= cursor:
        return Page(rows=(), last=cursor, more=False)
    return events.page(caller, after=cursor)


def _begin(last_event_id: str | None, after: int | None) -> int | None:
    if not last_event_id:
        return after
    if not (last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) <= LONGEST_ID):
        raise Invalid("Last-Event-ID is the id of an event: a whole number", field="Last-Event-ID")
    return int(last_event_id)
