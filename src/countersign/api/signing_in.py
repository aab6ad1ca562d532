"""Calls of signing in and out: by the command line, by browsers, and by identity issuers that say somebody left."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

import anyio.to_thread
from fastapi import APIRouter, Path, Query, Request
from pydantic import Field
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from countersign.api import browser
from countersign.api.answers import Answer, Moment, Page
from countersign.api.bodies import NAME, Body, Name
from countersign.api.browser_pages import PageRoute, page
from countersign.api.forms import read_form
from countersign.api.problems import documented
from countersign.api.route import Caller, TheBroker, broker_of, guarded_router, open_router
from countersign.domain.refusals import Invalid, Unauthenticated
from countersign.domain.session import Session
from countersign.domain.timestamps import spell
from countersign.identity.tokens import LONGEST_TOKEN
from countersign.service.sessions import DeviceBinding, Tokens

anyone = open_router("sign-in")
mine = guarded_router("sign-in")
pages = APIRouter(tags=["sign-in"], include_in_schema=False, route_class=PageRoute)

IssuerId = Annotated[str, Path(pattern=NAME)]
SessionId = Annotated[str, Path(pattern="^ses_[a-z2-7]{16}$")]
Jws = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$", max_length=LONGEST_TOKEN)]
Opaque = Annotated[str, Field(pattern=r"^[\x21-\x7e]+$", max_length=LONGEST_TOKEN)]
Spelled = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]
MOST_QUERY = 12


class IssuerAnswer(Answer):
    """An identity issuer; `cli_audience` is the client id of the command line, where it may sign in there."""

    id: str
    url: str
    cli_audience: str | None
    scopes: list[str]


class DeviceBody(Body):
    """The device key (Ed25519) to which the token's nonce commits, and the random half of the commitment; base64url."""

    key: Spelled
    random: Spelled


class DeviceSignInBody(Body):
    """An ID token for the issuer's `cli_audience`, shown by the holder of the device key that its nonce commits to."""

    issuer: Name
    id_token: Jws
    access_token: Opaque | None = None
    device: DeviceBody
    signature: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{86}$")]


class RefreshBody(Body):
    """A refresh token; it is used up by this. `next` is SHA-256 of the one after it, where the caller makes that himself."""

    refresh_token: Annotated[str, Field(pattern=r"^csr_[a-z2-7]{52}$")]
    next: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None


class TokensAnswer(Answer):
    """The secrets of a session, this once; `expires_in` in seconds."""

    session: str
    person: str
    access_token: str
    expires_in: int
    refresh_token: str | None
    ends_at: Moment


class SessionAnswer(Answer):
    """One of the caller's sessions in force."""

    id: str
    kind: str
    principal: str
    issuer: str
    factors: list[str]
    opened_at: Moment
    seen_at: Moment
    ends_at: Moment
    current: bool


@anyone.get("/sign-in/issuers", responses=documented(), summary="By whom people can sign in")
def issuers(broker: TheBroker) -> Page[IssuerAnswer]:
    """Return the identity issuers for people."""
    known = broker.sign_in.issuers()
    items = [IssuerAnswer(id=i.id, url=i.url, cli_audience=i.cli_audience, scopes=list(i.scopes)) for i in known]
    return Page(items=items, next=None)


@anyone.post("/sign-in/device", responses=documented(401, 404, 408, 413, 415), summary="Sign a command line in")
def by_device(broker: TheBroker, body: DeviceSignInBody) -> TokensAnswer:
    """Open a session for whom the token names, bound to the device key."""
    tokens = broker.sign_in.by_device(
        body.issuer,
        id_token=body.id_token,
        access_token=body.access_token,
        device=DeviceBinding(key=body.device.key, random=body.device.random),
        signature=body.signature,
    )
    return _tokens(tokens)


@anyone.post("/sign-in/refresh", responses=documented(401, 408, 413, 415), summary="The next pair of tokens")
def refresh(broker: TheBroker, body: RefreshBody) -> TokensAnswer:
    """Use up a refresh token for the next access and refresh tokens; showing one twice ends the session.

    With `next` (the hash of `csr_` and 52 random letters of base32) the answer holds no refresh token, and can be asked for
    again by the same call for ten minutes.
    """
    return _tokens(broker.sessions.refresh(body.refresh_token, following=body.next))


@mine.get("/sessions", responses=documented(), summary="The caller's sessions in force")
def list_sessions(broker: TheBroker, caller: Caller) -> Page[SessionAnswer]:
    """Return the caller's own sessions, newest first."""
    found = broker.sessions.listed(caller)
    return Page(items=[_session(each, current=each.id == caller.session) for each in found], next=None)


@mine.post("/sessions/{session_id}/revoke", responses=documented(404, 408, 409, 413, 415), summary="End a session")
def revoke_session(broker: TheBroker, caller: Caller, session_id: SessionId) -> SessionAnswer:
    """End one of the caller's own sessions; its tokens are worth nothing from here on."""
    ended = broker.sessions.revoke(caller, session_id)
    return _session(ended, current=ended.id == caller.session)


@pages.get("/")
def home(request: Request) -> Response:
    """Say who is signed in here, and let him sign out: where a sign-in leads that began nowhere else."""
    cookie = browser.session_cookie(request)
    try:
        person = browser.admit_browser(request).person
    except Unauthenticated:
        cookie = person = None
    token = "" if cookie is None else browser.form_token_of(cookie)
    return page("home.html", title="Countersign", person=person, field=browser.FORM_FIELD, token=token)


@pages.get("/sign-in")
def choose(broker: TheBroker, return_to: Annotated[str, Query(max_length=500)] = "/") -> Response:
    """Send a browser to the only identity issuer, or let its person choose among several."""
    known = broker.sign_in.issuers()
    ways = [f"/sign-in/to/{issuer.id}?{urlencode({'return_to': return_to})}" for issuer in known]
    if len(ways) == 1:
        return RedirectResponse(ways[0], status_code=303)
    return page(
        "choose.html", title="Sign in", ways=[(issuer.id, way) for issuer, way in zip(known, ways, strict=True)]
    )


@pages.get("/sign-in/to/{issuer_id}")
def begin(
    request: Request, broker: TheBroker, issuer_id: IssuerId, return_to: Annotated[str, Query(max_length=500)] = "/"
) -> Response:
    """Send a browser to an identity issuer."""
    begun = broker.sign_in.begin(issuer_id, return_to=return_to)
    answer = RedirectResponse(begun.location, status_code=303)
    browser.keep_sign_in(request, answer, begun.kept)
    return answer


@pages.get("/sign-in/callback")
def finish(request: Request, broker: TheBroker) -> Response:
    """Take a browser back from an identity issuer, and give it a session of a new id."""
    pairs = request.query_params.multi_items()
    query = dict(pairs)
    if len(query) != len(pairs) or len(pairs) > MOST_QUERY:
        raise Invalid("the answer of the identity issuer is malformed", field="query")
    before = browser.session_cookie(request)
    entered = broker.sign_in.finish(browser.sign_in_cookie(request) or "", query)
    if before is not None:
        broker.sessions.leave(before)
    answer = RedirectResponse(entered.return_to, status_code=303)
    answer.headers["Referrer-Policy"] = "no-referrer"
    browser.keep_session(request, answer, entered.cookie)
    return answer


@pages.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """End the browser's session; sent by a form of ours, or by our script with the header."""
    given = (await read_form(request)).get(browser.FORM_FIELD)
    broker = broker_of(request)
    caller = await anyio.to_thread.run_sync(lambda: browser.admit_browser(request, form_token=given))
    await anyio.to_thread.run_sync(broker.sessions.revoke, caller, caller.session or "")
    answer = RedirectResponse("/", status_code=303)
    browser.forget_session(request, answer)
    return answer


@pages.post("/sign-in/back-channel/{issuer_id}")
async def back_channel(request: Request, issuer_id: IssuerId) -> Response:
    """Hear from an identity issuer that somebody left (OpenID Connect Back-Channel Logout)."""
    token = (await read_form(request)).get("logout_token", "")
    await anyio.to_thread.run_sync(broker_of(request).leaving.logged_out, issuer_id, token)
    return PlainTextResponse("", headers={"Cache-Control": "no-store"})


def _tokens(tokens: Tokens) -> TokensAnswer:
    return TokensAnswer(
        session=tokens.session.id,
        person=tokens.session.person,
        access_token=tokens.access,
        expires_in=int(tokens.access_lasts.total_seconds()),
        refresh_token=tokens.refresh,
        ends_at=spell(tokens.session.ends_at),
    )


def _session(session: Session, *, current: bool) -> SessionAnswer:
    return SessionAnswer(
        id=session.id,
        kind=session.kind.value,
        principal=session.principal,
        issuer=session.issuer,
        factors=sorted(session.factors),
        opened_at=spell(session.opened_at),
        seen_at=spell(session.seen_at),
        ends_at=spell(session.ends_at),
        current=current,
    )
