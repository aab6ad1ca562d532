"""`countersign ci gate`: a deployment of one commit or image waits until somebody else approved exactly that."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from countersign.cli.durations import Duration
from countersign.cli.failures import CommandFailed, Exit, usage
from countersign.cli.output import text_of
from countersign.cli.parameters import parameters_of
from countersign.cli.session import Session, with_session

if TYPE_CHECKING:
    from countersign.cli.client import Client

LOOK_AGAIN_S = 240
"""A pipeline's session is short: it comes in again, with a fresh token of its CI, before its token ends."""
TRIES, PAUSE_S = 20, 0.5
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_IMAGE = re.compile(r"sha256:[0-9a-f]{64}")


@click.group(short_help="Let a deployment wait for approval.")
def ci() -> None:
    """For pipelines: they ask and draw, and never sign."""


@ci.command(short_help="Wait until this commit or image is approved, and write the evidence.")
@click.argument("entitlement")
@click.option("--commit", metavar="SHA", help="The commit to be deployed: the parameter `commit` of ENTITLEMENT.")
@click.option("--image", metavar="DIGEST", help="The image to be deployed: the parameter `image` of ENTITLEMENT.")
@click.option("--for", "duration", type=Duration(), required=True, help="How long access is needed, such as 15m.")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="A further parameter; repeat for more.")
@click.option("--reason", required=True, help="Why; the approvers read it.")
@click.option("--ticket", help="Which ticket it belongs to.")
@click.option(
    "--wait", "within", type=Duration(), default="1h", show_default=True, help="How long to wait at the most."
)
@click.option("--evidence", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The file to write.")
@with_session
def gate(
    session: Session,
    *,
    entitlement: str,
    commit: str | None,
    image: str | None,
    duration: int,
    params: tuple[str, ...],
    reason: str,
    ticket: str | None,
    within: int,
    evidence: Path,
) -> None:
    """Ask for ENTITLEMENT for exactly this commit or image, wait until it is approved, and write who approved what."""
    from countersign.cli.client import new_key  # noqa: PLC0415 - loads HTTP

    about = _about(commit, image)
    body: dict[str, Any] = {
        "entitlement": entitlement,
        "parameters": parameters_of(params) | about,
        "duration_s": duration,
        "reason": reason,
    } | ({} if ticket is None else {"ticket": ticket})
    made = session.client.post("/requests", body, key=new_key())
    session.out.note(f"asked: {text_of(made, 'id')}, digest {made.get('digest')}")
    approved = _waited(session, made, within)
    _demand_same(approved, made, about)
    last = Session(out=session.out, url=session.url).client
    entries = list(last.pages("/audit/entries", subject=text_of(approved, "id")))
    found = {
        "schema": 1,
        "about": about,
        "request": approved,
        "entries": entries,
        "checkpoint": _checkpoint_over(last, entries),
    }
    evidence.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    if session.out.as_json:
        session.out.json(approved)
    else:
        who = ", ".join(str(each.get("person")) for each in approved.get("reviews") or [])
        session.out.line(f"approved by {who}; the evidence stands in {evidence}")
    session.out.hint(f"countersign draw {approved.get('grant_id')}")


def _about(commit: str | None, image: str | None) -> dict[str, str]:
    if (commit is None) == (image is None):
        raise usage("say what is deployed: --commit or --image")
    if commit is not None and not _COMMIT.fullmatch(commit):
        raise usage("a commit is named whole, in 40 or 64 hex digits", field="--commit")
    if image is not None and not _IMAGE.fullmatch(image):
        raise usage("an image is named by its digest, sha256: and 64 hex digits; a tag can be moved", field="--image")
    return {"commit": commit} if commit is not None else {"image": str(image)}


def _waited(session: Session, made: Mapping[str, Any], within: int) -> Mapping[str, Any]:
    """Return the approved request, coming in again as often as a short session asks for."""
    from countersign.cli.waiting import wait_for_decision  # noqa: PLC0415 - only here

    request, began = made, time.monotonic()
    while True:
        left = within - int(time.monotonic() - began)
        turn = max(0, min(left, LOOK_AGAIN_S))
        try:
            return wait_for_decision(Session(out=session.out, url=session.url), request, at_most_s=turn)
        except CommandFailed as failed:
            if failed.exit_code is not Exit.PENDING or left <= LOOK_AGAIN_S:
                raise


def _checkpoint_over(client: Client, entries: Sequence[Mapping[str, Any]]) -> str:
    """Return a signed checkpoint that covers these entries; one is signed every second or so.

    Raises:
        CommandFailed: none was signed in time.
    """
    newest = max((each["index"] for each in entries if isinstance(each.get("index"), int)), default=0)
    for _ in range(TRIES):
        try:
            note = client.text("/log/checkpoint")
        except CommandFailed as failed:
            if failed.exit_code is not Exit.OVER:
                raise
        else:
            size = note.splitlines()[1:2]
            if size and size[0].isdecimal() and int(size[0]) > newest:
                return note
        time.sleep(PAUSE_S)
    raise CommandFailed("no checkpoint covers the approval yet", exit_code=Exit.AWAY, code="log-unavailable")


def _demand_same(approved: Mapping[str, Any], made: Mapping[str, Any], about: Mapping[str, str]) -> None:
    """Refuse to go on when what was approved is not what is deployed."""
    parameters = approved.get("parameters")
    same = isinstance(parameters, dict) and about.items() <= parameters.items()
    if not same or approved.get("digest") != made.get("digest") or not approved.get("grant_id"):
        raise CommandFailed("what was approved is not what is deployed", code="strange-answer", hint="tell security")
