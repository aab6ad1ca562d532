"""The route that every call under `/v1` goes through: first who is calling, then the shape of what he says."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from enum import Enum
from http import HTTPStatus
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Depends, Request, Security
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.responses import Response

from countersign.api.browser import admit_browser, session_cookie
from countersign.api.problems import shown
from countersign.api.reading import demand_json, parse, read_body
from countersign.domain.people import Principal
from countersign.domain.refusals import Invalid, Unauthenticated
from countersign.service.broker import Broker

LONGEST_TOKEN = 512
SELF_TOLD = ("/v1/audit/questions/", "/v1/audit/findings", "/v1/audit/pack")
"""Calls that record what was asked and how much was answered."""
UNTOLD = frozenset({"/v1/log/checkpoint", "/v1/entitlements"})
"""Calls whose answer is everybody's to know."""
OWN: frozenset[str | Enum] = frozenset({"me", "sign-in"})
"""Tags of calls about the caller himself."""


class _Read(Request):
    """A request whose body was read and parsed strictly; the framework finds both done."""

    def __init__(self, request: Request, raw: bytes, value: object) -> None:
        super().__init__(request.scope, request.receive)
        self._body = raw
        self._json = value


class OpenRoute(APIRoute):
    """A route that has read its input before its function is called; whoever reaches the broker may call it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the framework's handler behind the guard."""
        handle = super().get_route_handler()
        queries = {field.alias for field in self.dependant.query_params}
        field = self.body_field
        takes_body, needs_body = field is not None, field is not None and field.field_info.is_required()
        writes = self.methods != {"GET"}

        async def guarded(request: Request) -> Response:
            request.state.route = self.path_format
            await self.let_in(request)
            _demand_single(request, queries)
            if writes:
                request = await _read(request, takes_body=takes_body, needs_body=needs_body)
            response = await handle(request)
            if not writes:
                await self.tell(request, response)
            return response

        return guarded

    async def let_in(self, request: Request) -> None:
        """Let everybody in."""

    async def tell(self, request: Request, response: Response) -> None:
        """Record that something was read, before it is shown."""


class GuardedRoute(OpenRoute):
    """A route that knows its caller as well."""

    async def let_in(self, request: Request) -> None:
        """Demand to know who is calling.

        Raises:
            Unauthenticated, CrossSite: as `admit` says.
        """
        request.state.principal = await anyio.to_thread.run_sync(admit, request)

    async def tell(self, request: Request, response: Response) -> None:
        """Record what an auditor is about to be shown. Calls that say themselves what they answered are not told of twice."""
        if response.status_code >= HTTPStatus.BAD_REQUEST:
            return
        if self.path_format in UNTOLD or self.path_format.startswith(SELF_TOLD) or OWN & set(self.tags):
            return
        about = {**request.query_params, **{name: str(value) for name, value in request.path_params.items()}}
        call = f"GET {self.path_format.removeprefix('/v1')}"
        await anyio.to_thread.run_sync(broker_of(request).reads.shown, request.state.principal, call, about)


def admit(request: Request) -> Principal:
    """Return who is calling: by a bearer token, or without one by the cookie of a web session.

    Raises:
        Unauthenticated: neither, or none that is in force.
        CrossSite: a browser was made to send it by another site.
    """
    presented = request.headers.getlist("authorization")
    if not presented and session_cookie(request) is not None:
        return admit_browser(request)
    scheme, _, unverified_token = presented[0].partition(" ") if len(presented) == 1 else ("", "", "")
    if scheme.lower() != "bearer" or not 0 < len(unverified_token) <= LONGEST_TOKEN:
        raise Unauthenticated("present a token as Authorization: Bearer …", hint="sign in")
    return broker_of(request).gate.admit(unverified_token)


def _demand_single(request: Request, known: set[str]) -> None:
    """Refuse what could be read in two ways: repeated or unknown query parameters, and repeated keys of a call.

    Raises:
        Invalid: naming it.
    """
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name not in known:
            raise Invalid(f"there is no query parameter {shown(name, longest=40)}", field=shown(name, longest=40))
        if name in seen:
            raise Invalid(f"{name} is given twice", field=name)
        seen.add(name)
    if len(request.headers.getlist("idempotency-key")) > 1:
        raise Invalid("Idempotency-Key is given twice", field="Idempotency-Key")


async def _read(request: Request, *, takes_body: bool, needs_body: bool) -> Request:
    raw = await read_body(request)
    if not raw and not needs_body:
        return _Read(request, b"", None)
    demand_json(request)
    value = parse(raw)
    if not takes_body and value != {}:
        raise Invalid("this call takes no body", field="body")
    if value == {} and not needs_body:
        return _Read(request, b"", None)  # nothing is said in an empty object
    if value is None:
        raise Invalid("a body is a JSON object", field="body")
    return _Read(request, raw, value)


def broker_of(request: Request) -> Broker:
    """Return the broker that the application was made for."""
    broker: Broker = request.app.state.broker
    return broker


async def _caller_of(request: Request) -> Principal:
    principal: Principal = request.state.principal
    return principal


async def _broker_of(request: Request) -> Broker:
    return broker_of(request)


Caller = Annotated[Principal, Depends(_caller_of)]
TheBroker = Annotated[Broker, Depends(_broker_of)]

_described = HTTPBearer(
    auto_error=False, description="an access token, or a token of the embedded stack; the guard of the route judges it"
)


def open_router(tag: str) -> APIRouter:
    """Return a router under `/v1` of which every route reads strictly, and nobody need be known."""
    return APIRouter(prefix="/v1", tags=[tag], route_class=OpenRoute)


def guarded_router(tag: str) -> APIRouter:
    """Return a router under `/v1` of which every route is guarded."""
    return APIRouter(prefix="/v1", tags=[tag], route_class=GuardedRoute, dependencies=[Security(_described)])
