"""From the terminal to the passkey page and back: a link to open, and waiting for what comes of it."""

from __future__ import annotations

import os
import time
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from countersign.cli.failures import CommandFailed, Exit
from countersign.cli.output import text_of
from countersign.cli.session import Session

PAUSE_S = 0.5
PATIENCE_S = 300.0
SOFTWARE_VARIABLE = "COUNTERSIGN_SOFTWARE_PASSKEY"


def by_page(session: Session, body: Mapping[str, Any], *, browser: bool) -> Mapping[str, Any]:
    """Have something signed at the passkey page, and return what came of it.

    Raises:
        CommandFailed: the page was refused, or nobody used it in time.
    """
    asked = session.client.post("/passkey-pages", dict(body))
    link = f"{text_of(asked, 'url')}#{text_of(asked, 'ticket')}"
    software = os.environ.get(SOFTWARE_VARIABLE)
    if software:
        from countersign.cli.software_way import use_page  # noqa: PLC0415 - loads cryptography, and few ever use it

        session.out.warn(f"signed by the software passkey in {software}: whoever holds the file is the person")
        use_page(link, Path(software), at=session.client.url)
        return wait_for_page(session, text_of(asked, "id"))
    session.out.note("open this page once, within five minutes, where your passkey is:")
    session.out.note(link)
    if browser:
        webbrowser.open(link)
    return wait_for_page(session, text_of(asked, "id"))


def wait_for_page(session: Session, page_id: str) -> Mapping[str, Any]:
    """Return what came of a page, once it is done.

    Raises:
        CommandFailed: it was refused, or its time is over.
    """
    deadline = time.monotonic() + PATIENCE_S
    told: object = None
    while time.monotonic() < deadline:
        found = session.client.get(f"/passkey-pages/{page_id}")
        outcome = found.get("outcome")
        if found.get("state") == "done" and isinstance(outcome, Mapping):
            return outcome
        if found.get("state") == "over":
            break
        if outcome is not None and outcome != told:
            told = outcome
            session.out.warn(f"the page was told: {outcome.get('detail')} ({outcome.get('code')}); it may try again")
        time.sleep(PAUSE_S)
    raise CommandFailed("the page's time is over; nothing was signed", exit_code=Exit.PENDING, code="page-over")
