"""Asking what was done under a grant: the records of targets and providers, and what is missing of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from countersign.cli.output import Output
from countersign.cli.session import Session, with_session


@click.command("done", short_help="What was done under a grant.")
@click.argument("grant")
@with_session
def done(session: Session, grant: str) -> None:
    """Show what the records of the target say was done under GRANT, beside what was granted, and what they do not say.

    The grant's request, or a lease drawn under it, names it as well.
    """
    from countersign.cli.lookup import whole_grant_id  # noqa: PLC0415 - loads HTTP

    found = session.client.get(f"/audit/questions/done/{whole_grant_id(session.client, grant)}")
    if session.out.as_json:
        session.out.json(found)
        return
    _show(session.out, found)


def _show(out: Output, found: Mapping[str, Any]) -> None:
    parameters = " ".join(f"{name}={value}" for name, value in sorted((found.get("parameters") or {}).items()))
    out.pairs(
        [
            *((name, found.get(name)) for name in ("grant", "request", "person", "entitlement")),
            ("parameters", parameters or None),
            *(("gives", line) for line in found.get("privileges") or []),
            *(("lease", _lease(out, lease)) for lease in found.get("leases") or []),
        ]
    )
    rows = [
        [
            each.get("lease"),
            each.get("what"),
            f"{each.get('outcome')}{', OUTSIDE ITS LIFE' if each.get('outside') else ''}",
            each.get("count"),
            out.time(each.get("first_at")),
            out.time(each.get("last_at")),
            each.get("source"),
        ]
        for each in found.get("uses") or []
    ]
    out.table(["lease", "what", "outcome", "times", "first", "last", "told by"], rows)
    out.line(f"refused: {found.get('refused')}, outside of the window: {found.get('outside')}")
    for source in found.get("sources") or []:
        since = source.get("followed_since")
        out.line(f"source {source.get('name')}: " + (f"followed since {out.time(since)}" if since else "never read"))
    for line in found.get("missing") or []:
        out.warn(f"not known: {line}")


def _lease(out: Output, lease: Mapping[str, Any]) -> str:
    until = out.time(lease.get("dead_at") or lease.get("not_after"))
    cause = f", {lease['cause']}" if lease.get("cause") else ""
    return f"{lease.get('id')} {lease.get('state')}, {out.time(lease.get('prepared_at'))} to {until}{cause}"
