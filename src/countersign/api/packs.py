"""Evidence packs: an archive that an auditor takes away and checks offline."""

from __future__ import annotations

from collections.abc import Iterator
from tempfile import TemporaryFile
from typing import IO, Annotated

from fastapi import Query
from starlette.responses import StreamingResponse

from countersign.api.inquiries import moment
from countersign.api.problems import documented
from countersign.api.route import Caller, TheBroker, guarded_router
from countersign.auditlog.pack import Selection
from countersign.auditlog.pack.selection import DEFAULT_SAMPLE, LARGEST_SAMPLE
from countersign.domain.refusals import Invalid
from countersign.domain.timestamps import spell

router = guarded_router("log")

ZIP = "application/zip"
READ_AT_ONCE = 1 << 18

Time = Annotated[str, Query(max_length=40, description="RFC 3339")]
Named = Annotated[str | None, Query(min_length=1, max_length=63)]
Sample = Annotated[int, Query(ge=0, le=LARGEST_SAMPLE, description="grants that get a page and proofs")]
Seed = Annotated[
    str | None, Query(min_length=1, max_length=100, description="the sample's; the checkpoint's root if none")
]


@router.get(
    "/audit/pack",
    response_class=StreamingResponse,
    responses={
        200: {"description": "a zip archive", "content": {ZIP: {"schema": {"type": "string", "format": "binary"}}}},
        **documented(403, 404, 429),
    },
    summary="An evidence pack over a period",
)
def make_pack(  # noqa: PLR0917 - what FastAPI reads from a query
    broker: TheBroker,
    caller: Caller,
    since: Time,
    until: Time,
    person: Named = None,
    entitlement: Named = None,
    grant: Named = None,
    sample: Sample = DEFAULT_SAMPLE,
    seed: Seed = None,
) -> StreamingResponse:
    """Return the whole log with its newest checkpoint, and the reports over a period; that it was made is recorded."""
    selection = Selection(
        since=spell(moment(since, "since")),
        until=spell(moment(until, "until")),
        person=person,
        entitlement=entitlement,
        grant=grant,
        seed=seed,
        sample=sample,
    )
    if selection.until < selection.since:
        raise Invalid("until lies before since", field="until")
    file = TemporaryFile(prefix="countersign-pack-")  # noqa: SIM115 - closed when it was sent, or with the process
    try:
        broker.packs.make(caller, selection, file)
    except BaseException:
        file.close()
        raise
    headers = {"Content-Disposition": 'attachment; filename="evidence.zip"', "Content-Length": str(file.tell())}
    return StreamingResponse(_sent(file), media_type=ZIP, headers=headers)


def _sent(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        file.seek(0)
        while chunk := file.read(READ_AT_ONCE):
            yield chunk
