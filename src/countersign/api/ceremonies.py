"""The passkey page: its files, which anyone may read, and its two calls, which take a ticket in place of a sign-in."""

from __future__ import annotations

from importlib import resources
from typing import Annotated, Any, Literal, TypeVar

from anyio.to_thread import run_sync
from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, Field, ValidationError
from starlette.responses import JSONResponse, Response

from countersign.api.answers import Answer
from countersign.api.bodies import Base64Url, Body, Text
from countersign.api.problems import documented, refusal_of
from countersign.api.reading import demand_json, parse, read_body
from countersign.api.route import Caller, TheBroker, broker_of, guarded_router
from countersign.domain.passkey import NotASignature
from countersign.domain.refusals import Invalid

mine = guarded_router("passkeys")
page = APIRouter(tags=["passkey page"])

Shape = TypeVar("Shape", bound=BaseModel)

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "publickey-credentials-get=(self), publickey-credentials-create=(self)",
}
FILES = {"page.js": "text/javascript", "page.css": "text/css"}
PageId = Annotated[str, Path(pattern="^pag_[a-z2-7]{16}$", description="a page's id")]


class TicketBody(Body):
    """What is to be done at the passkey page: `subject` is the id of what it is about; a new key has none yet."""

    act: Literal["approve", "enrol", "vouch", "remove", "propose", "adopt", "envelope"]
    subject: Annotated[str, Field(pattern="^((req|psk|prp|env)_[a-z2-7]{16})?$")] = ""
    comment: Text | None = None
    reason: Text | None = None
    vouches: bool = False


class TicketAnswer(Answer):
    """The page to open. The ticket goes behind `#`, where no server sees it, and is good once."""

    id: str
    url: str
    ticket: str


class OutcomeAnswer(Answer):
    """What became of a page."""

    id: str
    state: Literal["new", "open", "done", "over"]
    outcome: dict[str, Any] | None


class OpenBody(Body):
    """The ticket of the link."""

    ticket: Annotated[str, Field(min_length=1, max_length=128)]


class FinishBody(Body):
    """What the authenticator answered: a signature, or (when a key is made) an attestation object."""

    secret: Annotated[str, Field(min_length=1, max_length=128)]
    passkey: Annotated[str, Field(pattern="^psk_[a-z2-7]{16}$")] | None = None
    client_data: Base64Url
    authenticator_data: Base64Url | None = None
    signature: Base64Url | None = None
    attestation_object: Annotated[str, Field(pattern="^[A-Za-z0-9_-]+$", max_length=16384)] | None = None


@mine.post("/passkey-pages", status_code=201, responses=documented(403, 408, 413, 415), summary="Ask for a page")
def begin(broker: TheBroker, caller: Caller, body: TicketBody) -> TicketAnswer:
    """Return the address of a page at which the caller can use his passkey once, within five minutes."""
    wish: dict[str, Any] = {"vouches": body.vouches}
    wish |= {name: said for name in ("comment", "reason") if (said := getattr(body, name)) is not None}
    if body.act == "enrol":
        wish["said_at"] = broker.passkeys.ceremony(caller).said_at
    page_id, url, ticket = broker.ceremonies.begin(caller, act=body.act, subject=body.subject, wish=wish)
    return TicketAnswer(id=page_id, url=url, ticket=ticket)


@mine.get("/passkey-pages/{page_id}", responses=documented(404), summary="What became of a page")
def outcome(broker: TheBroker, caller: Caller, page_id: PageId) -> OutcomeAnswer:
    """Return whether the page was used, and what came of it."""
    found = broker.ceremonies.outcome(caller, page_id)
    said = None if found.outcome is None else dict(found.outcome)
    return OutcomeAnswer(id=found.id, state=found.state, outcome=said)


@page.get("/passkey/{act}/{subject}", include_in_schema=False)
def show(act: str, subject: str) -> Response:
    """Return the page, which is the same for every act: what it is about comes with the ticket."""
    del act, subject
    return _file("page.html", "text/html")


@page.get("/passkey-files/{name}", include_in_schema=False)
def file(name: str) -> Response:
    """Return one of the page's own files."""
    if name not in FILES:
        return Response(status_code=404, headers=HEADERS)
    return _file(name, FILES[name])


@page.post("/passkey-calls/open", include_in_schema=False)
async def spend(request: Request) -> JSONResponse:
    """Spend the ticket of a link."""
    body = await _body(request, OpenBody)
    task = await run_sync(broker_of(request).ceremonies.open, body.ticket)
    return JSONResponse(vars(task) | {"allow": dict(task.allow)})


@page.post("/passkey-calls/finish", include_in_schema=False)
async def finish(request: Request) -> JSONResponse:
    """Do what the page is for."""
    body = await _body(request, FinishBody)
    made = {name: value for name, value in body.model_dump().items() if value is not None and name != "secret"}
    try:
        said = await run_sync(broker_of(request).ceremonies.finish, body.secret, made)
    except NotASignature as error:
        raise Invalid(str(error), field="signature") from error
    return JSONResponse(dict(said))


async def _body(request: Request, model: type[Shape]) -> Shape:
    raw = await read_body(request)
    demand_json(request)
    try:
        return model.model_validate(parse(raw))
    except ValidationError as error:
        raise refusal_of([{**each, "loc": ("body", *each["loc"])} for each in error.errors()]) from None


def _file(name: str, kind: str) -> Response:
    text = resources.files("countersign.api").joinpath("passkey_page", name).read_text(encoding="utf-8")
    return Response(text, media_type=kind, headers=HEADERS)
