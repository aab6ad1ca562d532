"""Erasing what people wrote, once its retention is over: one asks, another approves, the database's owner carries it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from countersign.cli.commands.inquiring import Since
from countersign.cli.failures import CommandFailed, usage
from countersign.cli.session import Session, with_session

COLUMNS = ("id", "before", "asked_by", "approved_by", "done_at", "texts")


@click.group(short_help="Erase what people wrote, once its retention is over.")
def retention() -> None:
    """Erase reasons, tickets and comments. Two people decide, one of them an auditor; the log goes on verifying."""


@retention.command(short_help="Ask that texts be erased.")
@click.option("--before", type=Since(), required=True, help="The moment or day before which everything is erased.")
@click.option("--reason", required=True, help="Why.")
@with_session
def erase(session: Session, *, before: str, reason: str) -> None:
    """Ask that what people wrote before a moment be erased; its retention must be over, and no legal hold in force."""
    answer = session.client.post("/retention/erasures", {"before": before, "reason": reason})
    _told(session, [answer], answer)
    session.out.hint(f"another person: countersign retention approve {answer.get('id')}")


@retention.command(short_help="Approve another's erasure.")
@click.argument("id")
@with_session
def approve(session: Session, id: str) -> None:  # noqa: A002 - what users see
    """Approve erasure ID, which another person asked for; one of the two is an auditor."""
    from countersign.cli.client import segment  # noqa: PLC0415 - loads HTTP

    answer = session.client.post(f"/retention/erasures/{segment(id)}/approve")
    _told(session, [answer], answer)
    session.out.hint("the database's owner: countersign retention carry-out")


@retention.command(short_help="List erasures.")
@with_session
def ls(session: Session) -> None:
    """List erasures, newest first."""
    answer = session.client.get("/retention/erasures")
    _told(session, answer["items"], answer)


@retention.command("carry-out", short_help="Erase what was decided.")
@with_session
def carry_out(session: Session) -> None:
    """Erase what two people decided on. Reads the broker's settings, with the database login that owns the tables."""
    from countersign.bootstrap.founding import open_store  # noqa: PLC0415 - loads all of the broker
    from countersign.config.problems import ConfigError  # noqa: PLC0415 - as above
    from countersign.config.settings import load_settings  # noqa: PLC0415 - as above
    from countersign.domain.refusals import Refused  # noqa: PLC0415 - as above
    from countersign.service.retention import carry_out as carry  # noqa: PLC0415 - as above
    from countersign.service.rules import RuleReader  # noqa: PLC0415 - as above

    try:
        settings = load_settings()
        store = open_store(settings)
    except ConfigError as error:
        raise usage(f"the configuration cannot be used: {error}") from None
    try:
        done = carry(store, RuleReader(genesis=settings.genesis))
    except Refused as refused:
        raise CommandFailed(refused.detail, code=refused.code, hint=refused.hint) from None
    finally:
        store.close()
    rows = [{"id": each.id, "before": each.before.isoformat(), "texts": each.texts} for each in done]
    if session.out.as_json:
        session.out.json({"items": rows})
    for row in [] if session.out.as_json else rows:
        session.out.line(f"{row['id']}: {row['texts']} texts before {row['before']} are erased")


def _told(session: Session, items: Sequence[Mapping[str, Any]], answer: Mapping[str, Any]) -> None:
    if session.out.as_json:
        session.out.json(answer)
    else:
        session.out.table(list(COLUMNS), [[each.get(name) for name in COLUMNS] for each in items])
