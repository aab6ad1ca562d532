"""A passkey in a file in place of the page's authenticator: for trying things out where there is no browser.

It opens the same link, checks what it is shown as the page does, and gives real signatures; but whoever holds the file is the
person. `COUNTERSIGN_SOFTWARE_PASSKEY` names the file; nothing in a broker depends on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from countersign.cli.client import ANSWER_S, is_loopback
from countersign.cli.failures import CommandFailed, Exit, of_problem, usage
from countersign.cli.page_way import SOFTWARE_VARIABLE as VARIABLE
from countersign.domain.canonical import digest
from countersign.domain.passkey import Assertion, fingerprint, unbase64url
from countersign.embedded.authenticator import SoftwareAuthenticator


def use_page(link: str, path: Path, *, at: str) -> None:
    """Do at the passkey page what its link is for, with the key in a file; to make a key, the file must not be there yet.

    Args:
        link: the page with its ticket.
        path: the file.
        at: the broker's address, to which the calls go: the page's own may be reached from the browser alone.

    Raises:
        CommandFailed: the page was refused, shows something else than it would have signed, or the file is not fit.
    """
    page, _, ticket = link.partition("#")
    task = _call(at, "open", {"ticket": ticket})
    _demand_bound(task)
    if task["act"] == "enrol":
        _make(path, task, origin="{0.scheme}://{0.netloc}".format(urlsplit(page)), at=at)
        return
    key = _loaded(path)
    signed = key.sign(unbase64url(str(task["challenge"])))
    _call(at, "finish", {"secret": task["secret"], **signed.document()})


def _make(path: Path, task: Mapping[str, Any], *, origin: str, at: str) -> None:
    key = SoftwareAuthenticator(person=str(task["person"]), rp_id=str(task["rp_id"]), origin=origin, counts=False)
    try:
        key.write(path)
    except OSError as error:
        raise usage(f"{path} cannot be made for the new key: {error.strerror}", field=VARIABLE) from None
    made = _call(at, "finish", {"secret": task["secret"], **key.make(unbase64url(str(task["challenge"])))})
    proof: Assertion = key.sign(unbase64url(str(made["next"]["challenge"])))
    _call(at, "finish", {"secret": task["secret"], **proof.document()})


def _loaded(path: Path) -> SoftwareAuthenticator:
    try:
        return SoftwareAuthenticator.load(path)
    except OSError as error:
        raise usage(f"{path} cannot be read: {error.strerror}", field=VARIABLE) from None
    except ValueError as error:
        raise usage(str(error), field=VARIABLE) from None


def _demand_bound(task: Mapping[str, Any]) -> None:
    """Refuse a page that shows another statement than its fingerprint's, as the page's own script does."""
    statement = task.get("statement")
    if statement is not None and fingerprint(digest(str(task["label"]), statement)) != task["fingerprint"]:
        raise CommandFailed("what is shown is not what would be signed", code="shown-is-not-bound")


def _call(at: str, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
    try:
        answer = httpx2.post(
            f"{at}/passkey-calls/{name}",
            json=dict(body),
            timeout=ANSWER_S,
            follow_redirects=False,
            trust_env=not is_loopback(urlsplit(at).hostname or ""),
        )
        said = answer.json()
    except (httpx2.HTTPError, ValueError):
        raise CommandFailed(f"the page at {at} does not answer", exit_code=Exit.AWAY, code="unreachable") from None
    if not answer.is_success or not isinstance(said, dict):
        raise of_problem(answer.status_code, said if isinstance(said, dict) else {})
    return said
