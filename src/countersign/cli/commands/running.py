"""Running a broker, and the embedded stack around one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from countersign.cli.failures import CommandFailed, Exit, usage
from countersign.cli.session import Session, with_session


@click.command(short_help="Run a broker.")
@with_session
def serve(session: Session) -> None:
    """Run a broker as its settings say (COUNTERSIGN_…, and the file that COUNTERSIGN_CONFIG names), until it is stopped."""
    del session
    from countersign.auditlog.signer import KeyFileRefused  # noqa: PLC0415 - loads all of the broker
    from countersign.bootstrap import serving  # noqa: PLC0415 - as above
    from countersign.config.problems import ConfigError  # noqa: PLC0415 - as above
    from countersign.config.settings import load_settings  # noqa: PLC0415 - as above
    from countersign.domain.refusals import LogUnavailable  # noqa: PLC0415 - as above

    try:
        serving.serve(load_settings())
    except ConfigError as error:
        raise usage(f"the configuration cannot be used:\n{error}") from None
    except KeyFileRefused as error:
        raise usage(f"the log's key cannot be used: {error}") from None
    except LogUnavailable as error:
        raise CommandFailed(error.detail, exit_code=Exit.AWAY, code=error.code, hint=error.hint) from None


@click.command(short_help="Run the embedded stack until Ctrl-C.")
@click.option("--keep", is_flag=True, envvar="KEEP", help="Keep the state of an earlier run.")
@click.option(
    "--halves",
    type=click.Choice(["one", "two"]),
    default="one",
    envvar="HALVES",
    help="The broker as one process, or as two halves on PostgreSQL.",
)
@with_session
def dev(session: Session, *, keep: bool, halves: str) -> None:
    """Run OpenBao, PostgreSQL, an AWS emulator and a broker on this machine. With --json it prints one line when ready."""
    with _embedded():
        from countersign.embedded.dev import run_dev  # noqa: PLC0415 - loads the whole stack

        code = run_dev(as_json=session.out.as_json, keep=keep, apart=halves == "two")
    click.get_current_context().exit(code)


@click.command(short_help="Play the whole story on the embedded stack.")
@with_session
def demo(session: Session) -> None:
    """Start the embedded stack, play the story, stop what was started; writes demo-report.json."""
    del session
    with _embedded():
        from countersign.embedded.demo import run_demo  # noqa: PLC0415 - loads the whole stack

        code = run_demo()
    click.get_current_context().exit(code)


@contextmanager
def _embedded() -> Iterator[None]:
    """Tell what kept the embedded stack from running."""
    from countersign.embedded.processes import NotReady  # noqa: PLC0415 - only when it is needed

    try:
        yield
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("countersign"):
            raise
        raise CommandFailed(
            f"the embedded stack needs {missing.name}, which is not installed",
            code="not-installed",
            hint="pip install 'countersign-broker[embedded]'",
        ) from None
    except NotReady as error:
        raise CommandFailed(
            f"the embedded stack did not come up: {error}", exit_code=Exit.AWAY, code="not-ready"
        ) from None
