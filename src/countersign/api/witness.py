"""A witness over HTTP (C2SP tlog-witness v1.0.0): a call that signs, one that shows what was signed, one that says how it is."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from countersign.api.rim import Rim
from countersign.auditlog.witnessing import ADD_CHECKPOINT, LARGEST_SUBMISSION, SIZE_TYPE
from countersign.service.witnessing import (
    Malformed,
    NotSignedByLog,
    OtherSize,
    ProofFails,
    UnknownLog,
    Witness,
    WitnessRefused,
)
from countersign.store.witness_state import MemoryFailed

BODY_WITHIN_S = 10.0
STATUSES: dict[type[WitnessRefused], int] = {
    Malformed: 400,
    NotSignedByLog: 403,
    UnknownLog: 404,
    OtherSize: 409,
    ProofFails: 422,
}


class _TooLarge(Exception):
    """A body that is longer than any submission."""


def make_witness_app(witness: Witness, *, allowed_hosts: Collection[str]) -> Rim:
    """Return the HTTP application over a witness.

    Args:
        witness: the use case.
        allowed_hosts: names (without port) by which it may be addressed.
    """

    async def add_checkpoint(request: Request) -> Response:
        try:
            async with asyncio.timeout(BODY_WITHIN_S):
                body = await _bounded(request)
        except TimeoutError:
            return PlainTextResponse("the body did not arrive in time\n", status_code=408)
        except _TooLarge:
            return PlainTextResponse(f"a submission has at most {LARGEST_SUBMISSION} bytes\n", status_code=413)
        try:
            return PlainTextResponse(await anyio.to_thread.run_sync(witness.add_checkpoint, body))
        except OtherSize as refusal:
            # Set by hand: the type is the specification's, without a charset.
            return Response(f"{refusal.size}\n".encode(), status_code=409, headers={"Content-Type": SIZE_TYPE})
        except WitnessRefused as refusal:
            return PlainTextResponse(f"{refusal}\n", status_code=STATUSES[type(refusal)])
        except MemoryFailed:
            return PlainTextResponse("nothing can be written down, so nothing is signed\n", status_code=503)

    async def checkpoint(request: Request) -> Response:
        found = await anyio.to_thread.run_sync(witness.newest, request.path_params["fingerprint"])
        if found is None:
            return PlainTextResponse("nothing was cosigned for such a log\n", status_code=404)
        return PlainTextResponse(found, headers={"Cache-Control": "no-cache"})

    async def healthz(request: Request) -> Response:
        del request
        found = await anyio.to_thread.run_sync(witness.health)
        return JSONResponse({"ok": found.ok, "logs": dict(found.logs)}, status_code=200 if found.ok else 503)

    app = Starlette(
        routes=[
            Route(ADD_CHECKPOINT, add_checkpoint, methods=["POST"]),
            Route("/{fingerprint:str}/checkpoint", checkpoint, methods=["GET"]),
            Route("/healthz", healthz, methods=["GET"]),
        ]
    )
    return Rim(app, allowed_hosts=allowed_hosts)


async def _bounded(request: Request) -> bytes:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > LARGEST_SUBMISSION:
                raise _TooLarge
    except ClientDisconnect:
        return b""
    return bytes(body)
