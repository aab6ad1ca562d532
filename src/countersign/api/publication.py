"""The log as static files over HTTP (C2SP tlog-tiles), with proofs beside them. Read-only, and the same bytes for everybody."""

from __future__ import annotations

import base64
import re
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Path, Query, Request
from starlette.responses import PlainTextResponse, Response

from countersign.api.problems import documented
from countersign.api.route import admit, broker_of
from countersign.auditlog.tiles import BadTile, Tile
from countersign.domain.people import Role
from countersign.domain.refusals import NotFound
from countersign.service.publication import Publication

router = APIRouter(prefix="/log", tags=["log files"])

FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}
FOR_A_MOMENT = {"Cache-Control": "no-cache"}
_TILE = re.compile(r"(entries|0|[1-9]\d?)/((?:x\d{3}/)*\d{3})(?:\.p/([1-9]\d{0,2}))?", re.ASCII)


async def _published(request: Request) -> Publication:
    """Return what is published, to whoever may read it."""
    broker = broker_of(request)
    if not broker.publication.public:
        principal = await anyio.to_thread.run_sync(admit, request)
        _, roles = await anyio.to_thread.run_sync(broker.questions.roles, principal)
        if Role.AUDITOR not in roles:
            raise NotFound("there is no such file for you", rule="only auditors read the log here")
        await anyio.to_thread.run_sync(broker.reads.files_shown, principal)
    return broker.publication


@router.get("/checkpoint", response_class=PlainTextResponse, responses=documented(404), summary="The newest checkpoint")
async def checkpoint(request: Request) -> PlainTextResponse:
    """Return the newest checkpoint, a signed note."""
    published = await _published(request)
    return PlainTextResponse(await anyio.to_thread.run_sync(published.checkpoint), headers=FOR_A_MOMENT)


@router.get("/key", response_class=PlainTextResponse, responses=documented(404), summary="The log's public key")
async def key(request: Request) -> PlainTextResponse:
    """Return the key that checkpoints are verified with, as a vkey; compare it with what was told by another way."""
    published = await _published(request)
    return PlainTextResponse(published.key() + "\n", headers=FOR_A_MOMENT)


@router.get("/tile/{path:path}", response_class=Response, responses=documented(404), summary="A tile or entry bundle")
async def tile(request: Request, path: Annotated[str, Path(max_length=100)]) -> Response:
    """Return the bytes of a tile of hashes or a bundle of entries."""
    published = await _published(request)
    wanted = _tile(path)
    raw = await anyio.to_thread.run_sync(published.tile, wanted)
    return Response(raw, media_type="application/octet-stream", headers=FOR_EVER)


@router.get("/proof/{index}", response_class=PlainTextResponse, responses=documented(404), summary="A tlog-proof file")
async def proof(request: Request, index: Annotated[int, Path(ge=0, le=2**53)]) -> PlainTextResponse:
    """Return the proof that an entry is in the log that the newest checkpoint names."""
    published = await _published(request)
    raw = await anyio.to_thread.run_sync(published.proof, index)
    return PlainTextResponse(raw, headers=FOR_A_MOMENT)


@router.get("/consistency", response_class=PlainTextResponse, responses=documented(404), summary="A consistency proof")
async def consistency(
    request: Request,
    old: Annotated[int, Query(ge=1, le=2**53)],
    new: Annotated[int, Query(ge=1, le=2**53)],
) -> PlainTextResponse:
    """Return, one hash in base64 a line, the proof that the log of `new` entries begins with that of `old`."""
    published = await _published(request)
    hashes = await anyio.to_thread.run_sync(published.consistency, old, new)
    return PlainTextResponse(
        "".join(base64.b64encode(each).decode("ascii") + "\n" for each in hashes), headers=FOR_EVER
    )


def _tile(path: str) -> Tile:
    """Return the tile that a path names, if it is spelled in the one way there is.

    Raises:
        NotFound: it names none.
    """
    match = _TILE.fullmatch(path)
    if match is not None:
        level = None if match[1] == "entries" else int(match[1])
        index = int(match[2].replace("x", "").replace("/", ""))
        try:
            found = Tile(level=level, index=index, width=int(match[3] or 256))
        except BadTile:
            found = None
        if found is not None and found.path() == f"tile/{path}":
            return found
    raise NotFound("there is no such tile")
