"""The application: the routers behind the rim, the calls outside `/v1`, and a description that is true."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi

from countersign import __version__
from countersign.api import (
    campaigns,
    catalog,
    ceremonies,
    control,
    done,
    emergencies,
    events,
    explaining,
    findings,
    followers,
    glass,
    grants,
    inquiries,
    log,
    log_keys,
    me,
    packs,
    passkeys,
    pipelines,
    problems,
    publication,
    requests,
    retention,
    rulemaking,
    signing_in,
    witnesses,
)
from countersign.api.delivery import Delivery
from countersign.api.rim import Rim
from countersign.service.broker import Broker

LOOPBACK = ("127.0.0.1", "localhost", "testserver", "[::1]")


@dataclass(frozen=True, kw_only=True)
class Readiness:
    """Whether the broker should be sent calls.

    Attributes:
        checks: what was looked at, by name, each `ok` or what is wrong.
        sweep_age_s: seconds since the last completed sweep.
    """

    ok: bool
    checks: Mapping[str, str]
    sweep_age_s: float


def make_app(
    broker: Broker, *, readiness: Callable[[], Readiness], allowed_hosts: Collection[str] = LOOPBACK
) -> FastAPI:
    """Return the HTTP application over a broker.

    Args:
        broker: the use cases.
        readiness: asked at each `GET /readyz`; must not raise.
        allowed_hosts: names (without port) by which the broker may be addressed.
    """
    app = FastAPI(title="Countersign", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.broker = broker
    problems.install(app)
    for part in (
        requests,
        retention,
        explaining,
        grants,
        emergencies,
        catalog,
        rulemaking,
        log,
        log_keys,
        inquiries,
        control,
        me,
        passkeys,
        publication,
        followers,
        events,
        witnesses,
        done,
        findings,
        glass,
        packs,
        campaigns,
    ):
        app.include_router(part.router)
    for router in (ceremonies.mine, ceremonies.page):
        app.include_router(router)
    for router in (signing_in.anyone, signing_in.mine, signing_in.pages, pipelines.router):
        app.include_router(router)
    app.add_middleware(Delivery, undelivered=broker.draws.undelivered)
    app.add_middleware(Rim, allowed_hosts=allowed_hosts)  # the last one added is the outermost

    @app.get("/healthz", tags=["health"], summary="Whether the process serves")
    def healthz() -> dict[str, bool]:
        return {"ok": True}

    @app.get(
        "/readyz",
        tags=["health"],
        summary="Whether the broker should be sent calls",
        responses={503: {"model": Readiness}},
    )
    def readyz(response: Response) -> Readiness:
        found = readiness()
        response.status_code = 200 if found.ok else 503
        return found

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _describe(app)
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign] # FastAPI's documented way to complete its description
    return app


def _describe(app: FastAPI) -> dict[str, Any]:
    description = get_openapi(title=app.title, version=app.version, routes=app.routes)
    schema = problems.Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    description["components"]["schemas"]["Problem"] = schema
    return description
