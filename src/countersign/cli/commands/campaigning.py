"""Reviewing who may what: campaigns over memberships, and the record that a period was looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from countersign.cli.commands.inquiring import Instant, Since
from countersign.cli.durations import Duration
from countersign.cli.lookup import whole_id
from countersign.cli.session import Session, with_session
from countersign.domain.ids import CAMPAIGN


@click.group(short_help="Have memberships kept or removed, each by somebody's name.")
def campaign() -> None:
    """Recertification: what nobody decides in time is removed, and only a change of the rules puts it back."""


@campaign.command(short_help="Start one over groups, or over those that an entitlement names.")
@click.argument("groups", nargs=-1)
@click.option("--entitlement", help="All groups that ask, sign or answer for it.")
@click.option("--for", "due", type=Duration(), required=True, help="How long people have to decide, as 14d.")
@with_session
def start(session: Session, *, groups: tuple[str, ...], entitlement: str | None, due: int) -> None:
    """Ask that every membership of GROUPS be kept or removed."""
    body = {"groups": list(groups), "due_s": due} | ({} if entitlement is None else {"entitlement": entitlement})
    _show(session, session.client.post("/campaigns", body))


@campaign.command("ls", short_help="List campaigns.")
@with_session
def ls(session: Session) -> None:
    """List the campaigns that you may decide in."""
    found = session.client.get("/campaigns")
    if session.out.as_json:
        session.out.json(found)
        return
    rows = [
        [each["id"], ", ".join(each["groups"]), each["started_by"], session.out.time(each["due_at"]), each["closed_at"]]
        for each in found.get("items") or []
    ]
    session.out.table(["id", "groups", "started by", "due", "closed"], rows)


@campaign.command(short_help="Show what one asks about, and what was said.")
@click.argument("campaign")
@with_session
def show(session: Session, *, campaign: str) -> None:
    """Show every membership that CAMPAIGN asks about."""
    _show(session, session.client.get(f"/campaigns/{whole_id(session.client, campaign, CAMPAIGN)}"))


@campaign.command(short_help="Keep a membership.")
@click.argument("campaign")
@click.argument("person")
@click.argument("group")
@with_session
def keep(session: Session, *, campaign: str, person: str, group: str) -> None:
    """Keep PERSON in GROUP; by your name, and not your own."""
    _decide(session, campaign, person, group, "keep")


@campaign.command(short_help="Remove a membership, at once.")
@click.argument("campaign")
@click.argument("person")
@click.argument("group")
@with_session
def remove(session: Session, *, campaign: str, person: str, group: str) -> None:
    """Remove PERSON from GROUP. What was drawn lives to its end; nothing more is asked, signed or drawn by it."""
    _decide(session, campaign, person, group, "remove")


@click.command("reviewed", short_help="Record that you reviewed a period.")
@click.option("--from", "since", type=Since(), required=True, help="The first moment or day.")
@click.option("--to", "until", type=Instant(), required=True, help="The last moment or day.")
@click.option("--grant", "sample", multiple=True, help="A grant that you looked at; repeat for more.")
@click.option("--exceptions", type=click.IntRange(0), required=True, help="How many things were not in order.")
@click.option("--findings", help="What was not in order.")
@with_session
def reviewed(session: Session, /, **asked: Any) -> None:  # noqa: ANN401 - options
    """Record what you looked at, what you drew as a sample, and what was not in order."""
    said = {name: list(value) if name == "sample" else value for name, value in asked.items() if value is not None}
    answer = session.client.post("/audit/reviews", said)
    if session.out.as_json:
        session.out.json(answer)
    else:
        session.out.line(f"recorded, over a log of {answer.get('size')} entries")


def _decide(session: Session, campaign: str, person: str, group: str, ruling: str) -> None:
    body = {"person": person, "group": group, "ruling": ruling}
    campaign_id = whole_id(session.client, campaign, CAMPAIGN)
    _show(session, session.client.post(f"/campaigns/{campaign_id}/decide", body))


def _show(session: Session, found: Mapping[str, Any]) -> None:
    if session.out.as_json:
        session.out.json(found)
        return
    session.out.pairs(
        [
            ("campaign", found.get("id")),
            ("started by", found.get("started_by")),
            ("due", session.out.time(found.get("due_at"))),
            ("closed", session.out.time(found.get("closed_at"))),
        ]
    )
    rows = [
        [each["group"], each["person"], each["ruling"] or "undecided", each["decided_by"]]
        for each in found.get("memberships") or []
    ]
    session.out.table(["group", "person", "ruling", "by"], rows)
