"""Looking: lists, single things, oneself and the log."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import click

from countersign.cli.output import Output
from countersign.cli.session import Session, with_session
from countersign.cli.sheets import (
    SHEETS,
    Row,
    after_review_rows,
    entitlement_rows,
    envelope_rows,
    grant_rows,
    lease_rows,
    request_rows,
    stop_rows,
)
from countersign.cli.statement import demand_true
from countersign.domain.ids import REQUEST

Rows = Callable[[Output, Sequence[Mapping[str, Any]]], tuple[list[str], list[Row]]]
LISTS: Mapping[str, Rows] = MappingProxyType(
    {
        "requests": request_rows,
        "grants": grant_rows,
        "leases": lease_rows,
        "entitlements": entitlement_rows,
        "stops": stop_rows,
        "envelopes": envelope_rows,
        "after-reviews": after_review_rows,
    }
)
MOST_AT_ONCE = 100


@click.command(short_help="List requests, grants, leases or entitlements.")
@click.argument("what", type=click.Choice(list(LISTS)), default="requests")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many.")
@with_session
def ls(session: Session, what: str, limit: int) -> None:
    """List what concerns you, newest first."""
    items: list[dict[str, Any]] = []
    following: str | None = None
    for item in session.client.pages(f"/{what}"):
        if len(items) == limit:
            following = str(items[-1].get("id"))
            break
        items.append(item)
    if session.out.as_json:
        session.out.json({"items": items, "next": following})
        return
    session.out.table(*LISTS[what](session.out, items))
    if following is not None:
        session.out.hint(f"there are more than {limit}; see --limit")


@click.command(short_help="Show anything by its id or a unique prefix of it.")
@click.argument("id")
@with_session
def show(session: Session, id: str) -> None:  # noqa: A002 - the argument's name is what users see
    """Show a request, grant, lease or entitlement by its id or any unique prefix of it."""
    from countersign.cli.lookup import find  # noqa: PLC0415 - loads HTTP

    kind, found = find(session.client, id)
    if session.out.as_json:
        session.out.json(found)
    else:
        SHEETS[kind](session.out, found)
    if kind == REQUEST:
        demand_true(found)
    for text in [] if session.out.as_json else _next_steps(found):
        session.out.hint(text)


@click.command(short_help="Show who you are to the broker.")
@with_session
def me(session: Session) -> None:
    """Show your principal, the person behind it, groups and roles."""
    found = session.client.get("/me")
    if session.out.as_json:
        session.out.json(found)
        return
    session.out.pairs(
        (name, ", ".join(map(str, value)) if isinstance(value, list) else value) for name, value in found.items()
    )


@click.command(short_help="Show what happened.")
@click.option("--subject", metavar="ID", help="Only what happened to this request, grant or lease.")
@click.option("--after", type=click.IntRange(0), help="Only entries behind this index.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=1000, show_default=True, help="At most so many.")
@with_session
def log(session: Session, subject: str | None, after: int | None, limit: int) -> None:
    """Show log entries in order: auditors see all, others what happened to things of theirs."""
    from countersign.cli.lookup import whole_id_of_any_kind  # noqa: PLC0415 - loads HTTP

    about = None if subject is None else whole_id_of_any_kind(session.client, subject)
    entries: list[dict[str, Any]] = []
    following = after
    while len(entries) < limit:
        page = session.client.get(
            "/audit/entries", after=following, limit=min(MOST_AT_ONCE, limit - len(entries)), subject=about
        )
        entries += page.get("items") or []
        following = page.get("next")
        if following is None:
            break
    if session.out.as_json:
        session.out.json({"items": entries, "next": following})
        return
    rows = [
        [item.get("index"), session.out.time(item.get("at")), item.get("type"), item.get("actor"), item.get("subject")]
        for item in entries
    ]
    session.out.table(["index", "at", "type", "actor", "subject"], rows)
    if following is not None:
        session.out.hint(f"there are more: --after {following}")


def _next_steps(found: Mapping[str, Any]) -> list[str]:
    match found:
        case {"state": "pending", "id": str(thing), "digest": str(digest)}:
            return [f"an approver signs with: countersign approve {thing} --digest {digest}"]
        case {"state": "denied", "id": str(thing), "counter": dict(counter)} if not counter.get("taken_up_by"):
            return [f"who asked takes the counter-proposal up with: countersign resubmit {thing}"]
        case {"state": "approved", "grant_id": str(grant)}:
            return [f"see what became of it with: countersign show {grant}"]
        case {"state": "open", "id": str(thing), "draws": int(draws), "draws_used": int(used)} if used < draws:
            return [f"who it was granted to draws with: countersign draw {thing}"]
        case _:
            return []
