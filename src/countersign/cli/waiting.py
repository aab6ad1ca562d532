"""Waiting until a request is decided. An interruption ends the waiting and leaves the request as it is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from countersign.cli.failures import CommandFailed, Exit
from countersign.cli.output import text_of
from countersign.cli.session import Session
from countersign.cli.terminal import plain

FIRST_PAUSE_S, LONGEST_PAUSE_S, GROWTH = 0.25, 3.0, 1.3
PATIENCE_S = 120.0
"""How long the broker may be away before waiting is given up."""

ENDS: Mapping[str, tuple[str, Exit]] = {
    "denied": ("denied", Exit.DENIED),
    "withdrawn": ("withdrawn", Exit.OVER),
    "lapsed": ("lapsed: nobody decided in time", Exit.OVER),
}


def wait_for_decision(session: Session, request: Mapping[str, Any], *, at_most_s: int | None) -> Mapping[str, Any]:
    """Return the request once it is approved.

    Args:
        session: whose broker is asked.
        request: as it was last seen.
        at_most_s: give up after so many seconds; None waits as long as it can be decided.

    Raises:
        CommandFailed: denied, over, still pending, or the broker stays away.
    """
    request_id = text_of(request, "id")
    began = heard = time.monotonic()
    pause = FIRST_PAUSE_S
    try:
        with _told(session) as tell:
            while (state := text_of(request, "state")) == "pending":
                tell(_line(session, request))
                left = None if at_most_s is None else began + at_most_s - time.monotonic()
                if left is not None and left <= 0:
                    raise _still_pending(request_id)
                time.sleep(pause if left is None else min(pause, left))
                pause = min(pause * GROWTH, LONGEST_PAUSE_S)
                try:
                    request, heard = session.client.get(f"/requests/{request_id}"), time.monotonic()
                except CommandFailed as failed:
                    if failed.exit_code is not Exit.AWAY or time.monotonic() - heard > PATIENCE_S:
                        raise
                    tell(f"the broker is away; still waiting for {request_id}")
    except KeyboardInterrupt:
        session.out.warn(f"no longer waiting; {request_id} stays. Resume with: countersign show {request_id}")
        raise
    if state in ENDS:
        how, exit_code = ENDS[state]
        raise CommandFailed(
            f"{request_id} was {how}", exit_code=exit_code, code=state, hint=f"countersign show {request_id}"
        )
    return request


def _line(session: Session, request: Mapping[str, Any]) -> str:
    factors = [factor for factor in request.get("review") or [] if isinstance(factor, dict)]
    needed = sum(factor["count"] for factor in factors if isinstance(factor.get("count"), int))
    have = sum(factor["have"] for factor in factors if isinstance(factor.get("have"), int))
    who = ", ".join(map(str, request.get("may_review") or [])) or "nobody"
    until = session.out.time(request.get("lapses_at"))
    return f"waiting for {needed - have} of {needed} approvers ({who}) · lapses at {until}"


def _still_pending(request_id: str) -> CommandFailed:
    return CommandFailed(
        f"{request_id} is still pending",
        exit_code=Exit.PENDING,
        code="pending",
        hint=f"it stays; look with: countersign show {request_id}",
    )


@contextmanager
def _told(session: Session) -> Iterator[Callable[[str], None]]:
    """Show how things go: a spinner for a person's terminal, otherwise one line for each change."""
    if session.out.quiet or session.out.as_json or not sys.stderr.isatty():
        said: list[str] = []

        def tell(text: str) -> None:
            if said[-1:] != [text]:
                said[:] = [text]
                session.out.note(text)

        yield tell
        return
    from rich.console import Console  # noqa: PLC0415 - a tenth of a second that only a terminal needs
    from rich.text import Text  # noqa: PLC0415 - as above

    with Console(stderr=True).status("") as status:
        yield lambda text: status.update(Text(plain(text)))
