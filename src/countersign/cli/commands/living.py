"""Whether the broker of this machine is alive, for whoever watches over its process."""

from __future__ import annotations

import click

from countersign.cli.failures import CommandFailed, Exit, usage
from countersign.cli.session import Session, with_session

WITHIN_S = 3.0


@click.command(short_help="Say whether the broker of this machine is alive.")
@with_session
def alive(session: Session) -> None:
    """Say whether the process that these settings describe is alive: for the health check of a container.

    The issuing half is alive as long as it sweeps; whoever listens, as long as it answers that it is ready.
    """
    from countersign.bootstrap.pulse import OLDEST_PULSE_S, pulse_age_s  # noqa: PLC0415 - only here
    from countersign.config.halves import Half  # noqa: PLC0415 - loads the settings
    from countersign.config.problems import ConfigError  # noqa: PLC0415 - as above
    from countersign.config.settings import load_settings  # noqa: PLC0415 - as above

    try:
        settings = load_settings()
    except ConfigError as error:
        raise usage(f"the configuration cannot be used: {error}") from None
    if settings.half is Half.ISSUER:
        age = pulse_age_s(settings.state_dir)
        if age is None or age > OLDEST_PULSE_S:
            since = "never" if age is None else f"{age:.0f} s ago"
            raise CommandFailed(f"no sign of life: {since}", exit_code=Exit.AWAY, code="not-alive")
    elif not _answers(settings.listen_port):
        raise CommandFailed("nobody answers that he is ready", exit_code=Exit.AWAY, code="not-alive")
    session.out.line("alive")


def _answers(port: int) -> bool:
    import http.client  # noqa: PLC0415 - only here

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WITHIN_S)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
