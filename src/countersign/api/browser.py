"""Browsers: the cookies of a web session, and the demand that what is sent comes from a page of ours."""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from countersign.domain.people import Principal
from countersign.domain.refusals import Unauthenticated
from countersign.domain.session import LASTS, SessionKind
from countersign.domain.signin_refusals import CrossSite
from countersign.service.broker import Broker
from countersign.service.signing_in import BEGUN_LASTS

FORM_HEADER = "x-countersign-form-token"
FORM_FIELD = "form_token"
LONGEST_COOKIE = 1024
SAFE = frozenset({"GET", "HEAD"})
_SESSION, _SIGN_IN = "countersign", "countersign-sign-in"


def session_cookie(request: Request) -> str | None:
    """Return the secret of the web session that a browser presents, None for none."""
    return _cookie(request, _SESSION)


def sign_in_cookie(request: Request) -> str | None:
    """Return what a browser keeps of a sign-in that it began, None for none."""
    return _cookie(request, _SIGN_IN)


def admit_browser(request: Request, *, form_token: str | None = None) -> Principal:
    """Return who is calling by a browser; what changes something must come from a page of ours, with its form token.

    Args:
        request: the call.
        form_token: of the form's field, where it was a form; the header's otherwise.

    Raises:
        Unauthenticated: no web session in force.
        CrossSite: it came from elsewhere.
    """
    cookie = session_cookie(request)
    if cookie is None:
        raise Unauthenticated("no web session", hint="sign in: /sign-in")
    if request.method not in SAFE:
        demand_own_page(request)
        given = form_token if form_token is not None else request.headers.get(FORM_HEADER, "")
        if not hmac.compare_digest(given.encode(), form_token_of(cookie).encode()):
            raise CrossSite(
                "the form token is not this session's",
                rule="what changes something bears it",
                hint="load the page again",
            )
    return _broker(request).gate.admit_browser(cookie)


def demand_own_page(request: Request) -> None:
    """Refuse what a page of another site had a browser send.

    Raises:
        CrossSite: the browser says so, or does not say where it comes from.
    """
    sites, origins = request.headers.getlist("sec-fetch-site"), request.headers.getlist("origin")
    public_url = _broker(request).sign_in.identities.public_url
    own = sites == ["same-origin"] if sites else origins == [origin_of(public_url)]
    if not own:
        raise CrossSite(
            "this did not come from a page of ours", rule="Sec-Fetch-Site or Origin", hint="use our own pages"
        )


def origin_of(url: str) -> str:
    """Return the origin of an address, as browsers spell it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def form_token_of(cookie: str) -> str:
    """Return the token that forms of a session's pages bear; who has not the cookie cannot make it."""
    return hashlib.sha256(b"countersign/form/v1\n" + cookie.encode()).hexdigest()


def keep_session(request: Request, response: Response, cookie: str) -> None:
    """Give a browser its session; whatever it presented before is worth nothing here."""
    _set(request, response, _SESSION, cookie, lasts=int(LASTS[SessionKind.WEB].total_seconds()))
    _set(request, response, _SIGN_IN, "", lasts=0)


def keep_sign_in(request: Request, response: Response, kept: str) -> None:
    """Let a browser keep what the sign-in that it begins will need."""
    _set(request, response, _SIGN_IN, kept, lasts=int(BEGUN_LASTS.total_seconds()))


def forget_session(request: Request, response: Response) -> None:
    """Let a browser forget its session."""
    _set(request, response, _SESSION, "", lasts=0)


def _cookie(request: Request, name: str) -> str | None:
    given = request.cookies.get(_named(request, name))
    return given if given and len(given) <= LONGEST_COOKIE and given.isascii() else None


def _named(request: Request, name: str) -> str:
    """Return a cookie's name: bound to this host over https, plain where a browser keeps no secure cookie."""
    return f"__Host-{name}" if _is_secure(request) else name


def _set(request: Request, response: Response, name: str, value: str, *, lasts: int) -> None:
    # Lax, not Strict: the browser comes back from the identity issuer by a link, and what changes something is guarded otherwise.
    response.set_cookie(
        _named(request, name), value, max_age=lasts, path="/", secure=_is_secure(request), httponly=True, samesite="lax"
    )


def _is_secure(request: Request) -> bool:
    return _broker(request).sign_in.identities.public_url.startswith("https://")


def _broker(request: Request) -> Broker:
    broker: Broker = request.app.state.broker
    return broker
