"""Runs a broker, or one half of it, until it is told to stop."""

from __future__ import annotations

import fcntl
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import IO, TYPE_CHECKING

import structlog

from countersign.bootstrap.building import build, build_issuing, build_people
from countersign.bootstrap.providers import demand_fit_rights
from countersign.bootstrap.pulse import OLDEST_SWEEP_S
from countersign.config.halves import Half
from countersign.config.problems import ConfigError, Problem
from countersign.config.settings import Settings
from countersign.domain.refusals import LogUnavailable
from countersign.service.broker import Broker

if TYPE_CHECKING:
    from countersign.api.app import Readiness

NEVER_S = 1e9
"""The age of what was never seen."""


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
    """Run what the settings say until it is told to stop; what is due is swept before the first caller is served."""
    configure_logging()
    signal.signal(signal.SIGTERM, _leave)
    with hold_alone(settings):
        _SERVED[settings.half](settings)


def _serve_both(settings: Settings) -> None:
    running = build(settings)
    running.metronome.start()
    try:
        if settings.openbao is not None:
            # While the first sweep is at work: whatever these rights are, what is due is ended with them.
            demand_fit_rights(running.issuing.issuer.providers)
        _listen(running.broker, settings, _sweeping(running.broker, running.sweep_age_s))
    finally:
        running.metronome.stop()
        running.broker.followers.stop()
        running.broker.office.store.close()


def _serve_people(settings: Settings) -> None:
    running = build_people(settings)
    running.metronome.start()
    try:
        _listen(running.broker, settings, _answering(running.broker))
    finally:
        running.metronome.stop()
        running.broker.followers.stop()
        running.broker.office.store.close()


def _serve_issuing(settings: Settings) -> None:
    """Issue, end and look, and listen nowhere; a signal ends the wait."""
    signal.signal(signal.SIGINT, _leave)
    running = build_issuing(settings)
    running.metronome.start()
    try:
        if settings.openbao is not None:
            demand_fit_rights(running.issuing.issuer.providers)
        threading.Event().wait()
    finally:
        running.metronome.stop()
        running.issuing.followers.stop()
        running.issuing.office.store.close()


_SERVED = {Half.BOTH: _serve_both, Half.PEOPLE: _serve_people, Half.ISSUER: _serve_issuing}


def _leave(number: int, frame: FrameType | None) -> None:
    """End in good order; the server raises the signal again once it has shut down, and so what is open is closed after it."""
    del number, frame
    raise SystemExit(0)


def _sweeping(broker: Broker, sweep_age_s: Callable[[], float]) -> Callable[[], Readiness]:
    """Return what says whether a process of both halves should be sent calls: as long as it sweeps."""
    from countersign.api.app import Readiness  # noqa: PLC0415 - as _listen

    def readiness() -> Readiness:
        age = sweep_age_s()
        fresh = age < OLDEST_SWEEP_S
        return Readiness(
            ok=fresh,
            checks={"sweep": "ok" if fresh else "no sweep was completed lately", **broker.followers.checks()},
            sweep_age_s=round(age, 3),
        )

    return readiness


def _answering(broker: Broker) -> Callable[[], Readiness]:
    """Return what says whether the half that faces people should be sent calls: as long as its database answers.

    With the issuing half away nothing is drawn or ended, but people can still sign, refuse and stop.
    """
    from countersign.api.app import Readiness  # noqa: PLC0415 - as _listen

    def readiness() -> Readiness:
        try:
            with broker.office.store.read() as tx:
                seen, now = tx.issuing_process_seen_at(), tx.now
        except LogUnavailable as trouble:
            return Readiness(ok=False, checks={"database": trouble.detail}, sweep_age_s=NEVER_S)
        age = NEVER_S if seen is None else (now - seen).total_seconds()
        said = "ok" if age < OLDEST_SWEEP_S else "the issuing half has not been heard lately"
        checks = {"database": "ok", "issuing half": said, **broker.followers.checks()}
        return Readiness(ok=True, checks=checks, sweep_age_s=round(age, 3))

    return readiness


def _listen(broker: Broker, settings: Settings, readiness: Callable[[], Readiness]) -> None:
    import uvicorn  # noqa: PLC0415 - loading the API takes about a second, in which the sweep is at work already

    from countersign.api.app import LOOPBACK, make_app  # noqa: PLC0415 - as above

    uvicorn.run(
        make_app(broker, readiness=readiness, allowed_hosts=(*LOOPBACK, *settings.allowed_hosts)),
        host=settings.listen_host,
        port=settings.listen_port,
        http="h11",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )
