"""What every command shares: its output options, and a client that is made only when the broker is really called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

import click

from countersign.cli.failures import CommandFailed
from countersign.cli.output import Output

if TYPE_CHECKING:
    from countersign.cli.client import Client

P = ParamSpec("P")


@dataclass(frozen=True, kw_only=True)
class Session:
    """One run of one command.

    Attributes:
        out: where data, hints and failures go.
        url: the broker's address as it was given.
    """

    out: Output
    url: str | None

    @cached_property
    def client(self) -> Client:
        """The broker, as the caller's principal.

        Raises:
            CommandFailed: no address or no token.
        """
        from countersign.cli.client import Client, broker_address, find_token  # noqa: PLC0415 - commands that call nobody load no HTTP

        url = broker_address(self.url)
        return Client(url=url, token=find_token(url))


def with_session(function: Callable[Concatenate[Session, P], None]) -> Callable[P, None]:
    """Give a command the common options and its session, and tell its failures."""

    @click.option("--json", "as_json", is_flag=True, help="Print JSON (times in UTC).")
    @click.option("--quiet", "-q", is_flag=True, help="No hints.")
    @click.option("--utc", is_flag=True, help="Times in UTC.")
    @click.option(
        "--no-input", is_flag=True, envvar="COUNTERSIGN_NO_INPUT", help="Accepted for scripts; no command ever asks."
    )
    @click.option("--url", envvar="COUNTERSIGN_URL", metavar="URL", help="The broker (COUNTERSIGN_URL).")
    @wraps(function)
    def command(*args: P.args, **kwargs: P.kwargs) -> None:
        options: dict[str, Any] = kwargs
        out = Output(as_json=options.pop("as_json"), quiet=options.pop("quiet"), utc=options.pop("utc"))
        options.pop("no_input")
        session = Session(out=out, url=options.pop("url"))
        try:
            function(session, *args, **kwargs)
        except CommandFailed as failed:
            out.failure(failed)
            click.get_current_context().exit(int(failed.exit_code))

    return command
