"""Findings that the detectors raised, and the word of somebody independent on each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from countersign.cli.session import Session, with_session
from countersign.domain.ids import FINDING


@click.command("raised", short_help="What the detectors raised, and who looked at it.")
@click.option("--open", "open_only", is_flag=True, help="Only what nobody has acknowledged.")
@click.option("--after", type=click.IntRange(0), help="`next` of the page before.")
@with_session
def raised(session: Session, *, open_only: bool, after: int | None) -> None:
    """Show the findings that the detectors raised as the log grew, newest first."""
    chosen: dict[str, Any] = {"state": "open"} if open_only else {}
    found = session.client.get("/findings", **chosen, **({} if after is None else {"after": after}))
    if session.out.as_json:
        session.out.json(found)
        return
    out, items = session.out, found.get("items") or []
    names: Sequence[str] = ("id", "index", "severity", "detector", "owner", "detail")
    rows = [[*(each.get(name) for name in names), each.get("acknowledged_by")] for each in items]
    out.table([*names, "acknowledged by"], rows)
    if found.get("next") is not None:
        out.hint(f"more with: countersign raised --after {found['next']}")


@click.command("acknowledge", short_help="Say that you looked at a finding.")
@click.argument("finding")
@click.option("--comment", required=True, help="What comes of it.")
@with_session
def acknowledge(session: Session, finding: str, comment: str) -> None:
    """Acknowledge FINDING, which must not concern you. Final."""
    from countersign.cli.lookup import whole_id  # noqa: PLC0415 - loads HTTP

    finding_id = whole_id(session.client, finding, FINDING)
    answer: Mapping[str, Any] = session.client.post(f"/findings/{finding_id}/acknowledge", {"comment": comment})
    if session.out.as_json:
        session.out.json(answer)
        return
    session.out.line(f"{answer.get('id')}: acknowledged by {answer.get('acknowledged_by')}")
