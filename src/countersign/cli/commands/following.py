"""Whoever follows the log: how far each has come, and what holds it up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from countersign.cli.failures import Exit
from countersign.cli.session import Session, with_session

COLUMNS = ["follower", "next", "behind", "waiting", "tries", "error"]


@click.command("followers", short_help="Who follows the log, and how far each has come.")
@with_session
def followers(session: Session) -> None:
    """Show every follower of the log with its lag; exit 1 if one has fallen behind for longer than a hiccup lasts."""
    found = session.client.get("/followers")
    items: Sequence[Mapping[str, Any]] = found.get("items") or []
    if session.out.as_json:
        session.out.json(found)
    else:
        session.out.table(COLUMNS, [_row(each) for each in items])
    alarming = any(each.get("alarming") for each in items)
    click.get_current_context().exit(int(Exit.FAILURE if alarming else Exit.OK))


def _row(each: Mapping[str, Any]) -> list[object]:
    waiting = f"{float(each.get('behind_s') or 0):.0f} s" if each.get("behind") else None
    return [
        each.get("name"),
        f"{each.get('next')} of {each.get('size')}",
        each.get("behind"),
        waiting,
        each.get("failures") or None,
        each.get("error"),
    ]
