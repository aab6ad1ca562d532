"""Ending access: handing back, revoking, stopping, lifting a stop, disabling a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from countersign.cli.commands.inquiring import Instant
from countersign.cli.failures import usage
from countersign.cli.session import Session, with_session
from countersign.domain.ids import STOP

SCOPES = ["all", "person", "entitlement", "provider"]


@click.command("return", short_help="Hand a grant back early; what was drawn dies.")
@click.argument("grant")
@with_session
def give_back(session: Session, grant: str) -> None:
    """Hand GRANT back (its request or lease names it as well)."""
    from countersign.cli.lookup import whole_grant_id  # noqa: PLC0415 - loads HTTP

    _told(session, session.client.post(f"/grants/{whole_grant_id(session.client, grant)}/return"))


@click.command(short_help="Take a grant away; what was drawn dies.")
@click.argument("grant")
@click.option("--reason", required=True, help="Why.")
@with_session
def revoke(session: Session, grant: str, reason: str) -> None:
    """Take GRANT away (its request or lease names it as well)."""
    from countersign.cli.lookup import whole_grant_id  # noqa: PLC0415 - loads HTTP

    grant_id = whole_grant_id(session.client, grant)
    _told(session, session.client.post(f"/grants/{grant_id}/revoke", {"reason": reason}))


@click.command(short_help="Stop all access, or that of a person, entitlement or provider.")
@click.argument("scope", type=click.Choice(SCOPES))
@click.argument("id", required=False)
@click.option("--reason", required=True, help="Why.")
@with_session
def stop(session: Session, scope: str, id: str | None, reason: str) -> None:  # noqa: A002 - what users see
    """Stop access at once and keep it stopped until someone else lifts the stop."""
    if (id is None) != (scope == "all"):
        raise usage("a stop of all takes no id" if scope == "all" else f"say which {scope}", field="ID")
    body = {"scope": scope, "reason": reason} | ({} if id is None else {"id": id})
    answer = session.client.post("/stop", body)
    _ended(session, answer)
    placed = answer.get("stop")
    if isinstance(placed, Mapping):
        session.out.hint(f"someone else lifts it with: countersign lift {placed.get('id')}")


@click.command(short_help="Lock a person, entitlement or provider for a time.")
@click.option("--person", help="Whom to lock.")
@click.option("--entitlement", help="What to lock.")
@click.option("--provider", help="The provider to lock.")
@click.option(
    "--until", type=Instant(), required=True, help="When it ends by itself: 2026-11-23T18:00Z, or local time."
)
@click.option("--reason", required=True, help="Why.")
@click.option("--revoke", is_flag=True, help="End what lives under it, too.")
@with_session
def lock(
    session: Session,
    *,
    person: str | None,
    entitlement: str | None,
    provider: str | None,
    until: str,
    reason: str,
    revoke: bool,
) -> None:
    """Stop reviews and draws at once, until it ends by itself; two people lift a lock on production before that."""
    named = {"person": person, "entitlement": entitlement, "provider": provider}
    given = [(scope, name) for scope, name in named.items() if name is not None]
    if len(given) != 1:
        raise usage("name one of --person, --entitlement and --provider", field="--person")
    scope, name = given[0]
    body = {"scope": scope, "id": name, "until": until, "reason": reason, "revoke": revoke}
    _ended(session, session.client.post("/lock", body))


@click.command(short_help="Lift a stop that someone else placed.")
@click.argument("id")
@with_session
def lift(session: Session, id: str) -> None:  # noqa: A002 - what users see
    """Lift stop ID; you must not be the one who placed it."""
    from countersign.cli.lookup import whole_id  # noqa: PLC0415 - loads HTTP

    answer = session.client.post(f"/stops/{whole_id(session.client, id, STOP)}/lift")
    if session.out.as_json:
        session.out.json(answer)
    elif answer.get("lift_asked_by"):
        session.out.line(f"{answer.get('id')} is lifted once another person says so too")
    else:
        session.out.line(f"{answer.get('id')} is lifted")


@click.command(short_help="Disable a person; what the person has ends.")
@click.argument("person")
@click.option("--reason", required=True, help="Why.")
@with_session
def disable(session: Session, person: str, reason: str) -> None:
    """Disable PERSON for good: tokens, requests, grants and leases end."""
    from countersign.cli.client import segment  # noqa: PLC0415 - loads HTTP

    _ended(session, session.client.post(f"/persons/{segment(person)}/disable", {"reason": reason}))


def _told(session: Session, grant: Mapping[str, Any]) -> None:
    if session.out.as_json:
        session.out.json(grant)
        return
    session.out.line(f"{grant.get('id')} is {grant.get('state')}")
    leases = grant.get("leases") or []
    for lease in leases:
        session.out.line(f"{lease.get('id')} is {lease.get('state')}")
    if any(lease.get("state") != "revoked" for lease in leases):
        session.out.hint(f"see it dead with: countersign show {grant.get('id')}")


def _ended(session: Session, answer: Mapping[str, Any]) -> None:
    if session.out.as_json:
        session.out.json(answer)
        return
    placed = answer.get("stop")
    if isinstance(placed, Mapping):
        session.out.line(f"{placed.get('id')} is in force")
    session.out.line(f"{answer.get('grants_revoked')} grants revoked, {answer.get('requests_ended')} requests ended")
