"""Pages for people in a browser: where to sign in, whether they are, and what went wrong. No script runs in them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.responses import HTMLResponse, Response

from countersign.api.problems import HEADERS, STATUSES, refusal_of
from countersign.domain.refusals import Refused

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = ("base.html", "choose.html", "home.html", "refused.html")
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}


def page(name: str, *, status: int = 200, **values: Any) -> HTMLResponse:  # noqa: ANN401 - whatever a page shows
    """Return a page; every value is escaped, and one that is missing is an error."""
    return HTMLResponse(_templates().get_template(name).render(**values), status_code=status, headers=PAGE_HEADERS)


class PageRoute(APIRoute):
    """A route for browsers: to one that asks for a page, a refusal is a page; to everybody else, a problem as ever."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the framework's handler, whose refusals are shown."""
        handle = super().get_route_handler()

        async def shown(request: Request) -> Response:
            try:
                return await handle(request)
            except Refused as refused:
                if not _asks_for_page(request):
                    raise
                return _refusal(refused)
            except RequestValidationError as error:
                if not _asks_for_page(request):
                    raise
                return _refusal(refusal_of(error.errors()))

        return shown


def _asks_for_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _refusal(refused: Refused) -> Response:
    status, title = STATUSES[refused.code]
    answer = page(
        "refused.html",
        status=status,
        title=title,
        detail=refused.detail,
        rule=refused.rule,
        next=refused.hint,
        code=refused.code,
    )
    if "Retry-After" in (headers := HEADERS.get(refused.code, {})):
        answer.headers["Retry-After"] = headers["Retry-After"]
    return answer


@cache
def _templates() -> Environment:
    from jinja2 import DictLoader, Environment, StrictUndefined  # noqa: PLC0415 - few brokers ever show a page

    folder = resources.files("countersign.api") / "sign_in_pages"
    return Environment(
        loader=DictLoader({name: (folder / name).read_text(encoding="utf-8") for name in TEMPLATES}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
