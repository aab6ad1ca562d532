"""All emergencies with the word on each afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from countersign.cli.output import Output
from countersign.cli.session import Session, with_session

COLUMNS = ["opened", "person", "entitlement", "incident", "signed by", "told", "review", "entries"]


@click.command("break-glass", short_help="All break-glass with its review.")
@with_session
def break_glass(session: Session) -> None:
    """Show every break-glass that there ever was, who was told of it, and who said afterwards whether it was justified."""
    found = session.client.get("/audit/questions/break-glass")
    if session.out.as_json:
        session.out.json(found)
        return
    session.out.table(COLUMNS, [_row(session.out, each) for each in found.get("items") or []])


def _row(out: Output, each: Mapping[str, Any]) -> list[object]:
    said = f"{each.get('verdict')} by {each.get('reviewer')}" + (", late" if each.get("late") else "")
    owed = f"owed by {out.time(each.get('review_due'))}" + (", overdue" if each.get("escalated") else "")
    return [
        out.time(each.get("opened_at")),
        each.get("person"),
        each.get("entitlement"),
        f"{each.get('incident')}{' (drill)' if each.get('drill') else ''}",
        ", ".join(each.get("approvers") or []) or each.get("envelope"),
        ", ".join(each.get("told") or []) or "nobody",
        said if each.get("verdict") else owed,
        " ".join(map(str, each.get("entries") or [])),
    ]
