"""Builds a broker from its settings and runs it until it is told to stop."""

from __future__ import annotations

import fcntl
import signal
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import IO

import structlog
from pydantic import SecretStr

from countersign import __version__
from countersign.bootstrap.assembly import Running, assemble
from countersign.bootstrap.beginning import configured_of, demand_nothing_stands
from countersign.bootstrap.founding import found_rules, open_store
from countersign.bootstrap.logkey import demand_log_key, log_signer
from countersign.bootstrap.outlets import make_archive, make_followers, state_clock
from countersign.bootstrap.providers import demand_fit_rights, make_providers
from countersign.bootstrap.record_sources import make_sources
from countersign.config.problems import ConfigError, Problem
from countersign.config.settings import Settings
from countersign.domain.facts import BROKER, BrokerStarted
from countersign.service.identities import Identities
from countersign.service.trusting import record_mismatches

OLDEST_SWEEP_S = 5.0


def _given(secrets: Mapping[str, SecretStr | None]) -> dict[str, str]:
    return {name: secret.get_secret_value() for name, secret in secrets.items() if secret is not None}


def build(settings: Settings) -> Running:
    """Return a broker as the settings describe it, recorded as started and ready to be swept."""
    store = open_store(settings)
    demand_log_key(store, settings)
    providers = make_providers(settings, store)
    demand_nothing_stands(store, settings, providers)
    found_rules(store, settings)
    running = assemble(
        store=store,
        providers=providers,
        sources=make_sources(settings),
        signer=log_signer(settings),
        configured=configured_of(settings),
        tokens_allowed=settings.allow_tokens,
        log_public=settings.log_public,
        sweep_every=timedelta(seconds=settings.sweep_interval_s),
        followers=make_followers(store, settings),
        archive=None if settings.archive is None else make_archive(settings.archive),
        clock=lambda: state_clock(store),
        identities=Identities(
            public_url=settings.public_url,
            client_secrets=_given({name: access.client_secret for name, access in settings.issuers.items()}),
            commits_tokens=_given({name: access.commits_token for name, access in settings.issuers.items()}),
        ),
        genesis=settings.genesis,
        memory=settings.state_dir / "log-memory.json",
    )
    with store.begin() as tx:
        tx.record(
            BrokerStarted(
                actor=f"{BROKER}/start", subject="broker", version=__version__, configuration=settings.digest()
            )
        )
        record_mismatches(running.broker.office, tx)
    running.broker.sweeper.start()
    running.broker.followers.start()
    return running


def hold_alone(settings: Settings) -> IO[str]:
    """Take the lock that keeps a second broker off the same embedded database; held until the file is closed.

    Raises:
        ConfigError: another broker holds it.
    """
    settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    held = (Path(settings.state_dir) / "broker.lock").open("w", encoding="utf-8")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as taken:
        held.close()
        problem = Problem(
            where=f"state_dir {settings.state_dir}",
            expected="to be the only broker on an embedded database",
            got="another one at work",
        )
        raise ConfigError([problem]) from taken
    return held


def configure_logging() -> None:
    """Log one JSON object a line to standard error; tracebacks without the values of variables, which may be secrets."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )


def serve(settings: Settings) -> None:
    """Run a broker until it is told to stop; what is due is swept before the first caller is served."""
    configure_logging()
    signal.signal(signal.SIGTERM, _leave)
    with hold_alone(settings):
        running = build(settings)
        running.metronome.start()
        try:
            if settings.openbao is not None:
                # While the first sweep is at work: whatever these rights are, what is due is ended with them.
                demand_fit_rights(running.broker.issuer.providers)
            _listen(running, settings)
        finally:
            running.metronome.stop()
            running.broker.followers.stop()
            running.broker.office.store.close()


def _leave(number: int, frame: FrameType | None) -> None:
    """End in good order; the server raises the signal again once it has shut down, and so what is open is closed after it."""
    del number, frame
    raise SystemExit(0)


def _listen(running: Running, settings: Settings) -> None:
    import uvicorn  # noqa: PLC0415 - loading the API takes about a second, in which the sweep is at work already

    from countersign.api.app import LOOPBACK, Readiness, make_app  # noqa: PLC0415 - as above

    def readiness() -> Readiness:
        age = running.sweep_age_s()
        fresh = age < OLDEST_SWEEP_S
        return Readiness(
            ok=fresh,
            checks={"sweep": "ok" if fresh else "no sweep was completed lately", **running.broker.followers.checks()},
            sweep_age_s=round(age, 3),
        )

    uvicorn.run(
        make_app(running.broker, readiness=readiness, allowed_hosts=(*LOOPBACK, *settings.allowed_hosts)),
        host=settings.listen_host,
        port=settings.listen_port,
        http="h11",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )
