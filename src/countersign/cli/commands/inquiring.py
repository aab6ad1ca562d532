"""Asking the log: who had what and when, what was late, who could have signed, what stands out. Each question is recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time
from typing import Any

import click

from countersign.cli.failures import Exit
from countersign.cli.output import Output
from countersign.cli.session import Session, with_session
from countersign.domain.timestamps import spell

_FORMS = "2026-11-22T22:05:00Z, 2026-11-22T22:05+01:00 or 2026-11-22"


class Instant(click.ParamType[str]):
    """An option's value that is a moment. One without a zone is local time; a date alone means its last second."""

    name = "time"
    of_day = time(23, 59, 59)

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read the text, and return the moment as the broker spells it."""
        text = str(value)
        try:
            moment = datetime.fromisoformat(text)
            if len(text) == len("2026-11-22"):
                moment = datetime.combine(moment.date(), self.of_day)
            return spell(moment.astimezone(UTC))
        except (ValueError, OverflowError):
            self.fail(f"expected a time such as {_FORMS}", param, ctx)


class Since(Instant):
    """An option's value that is the beginning of a period: a date alone means its first second."""

    of_day = time(0, 0, 0)


@click.command("who-had", short_help="Who had an entitlement at a moment.")
@click.argument("entitlement")
@click.option("--at", type=Instant(), required=True, help=f"The moment: {_FORMS}.")
@with_session
def who_had(session: Session, entitlement: str, at: str) -> None:
    """Show who could use ENTITLEMENT at a moment, who had approved it, how it ended, and the entries that prove it."""
    found = session.client.get("/audit/questions/who-had", entitlement=entitlement, at=at)
    _show_held(session, found)
    if not found.get("items"):
        session.out.hint(f"nobody, if {entitlement} is spelled as the log has it: countersign ls entitlements")


@click.command("had", short_help="Everything that a person ever had.")
@click.argument("person")
@with_session
def had(session: Session, person: str) -> None:
    """Show every credential that PERSON ever had."""
    found = session.client.get("/audit/questions/had", person=person)
    _show_held(session, found)
    if not found.get("items"):
        session.out.hint(f"nothing, if {person} is spelled as the directory has it")


@click.command("late", short_help="Everything that ended late.")
@click.option(
    "--over-ms", type=click.IntRange(0), default=1000, show_default=True, help="Later than so many milliseconds."
)
@with_session
def late(session: Session, over_ms: int) -> None:
    """Show every credential that was overdue, or was seen dead later than it should have been."""
    _show_held(session, session.client.get("/audit/questions/late", over_ms=over_ms))


@click.command("who-could-approve", short_help="Who could approve an entitlement at a moment.")
@click.argument("entitlement")
@click.option("--on", type=Instant(), required=True, help=f"The moment or day: {_FORMS}.")
@with_session
def who_could_approve(session: Session, entitlement: str, on: str) -> None:
    """Show who could have approved ENTITLEMENT by the rules then in force, and the entry that brought them into force."""
    found = session.client.get("/audit/questions/who-could-approve", entitlement=entitlement, on=on)
    if session.out.as_json:
        session.out.json(found)
        return
    groups = found.get("review") or []
    rows = [[each.get("group"), each.get("count"), ", ".join(each.get("persons") or [])] for each in groups]
    session.out.table(["group", "needed", "who could sign"], rows)
    session.out.line(f"rulebook {found.get('rulebook')}, in force by entry {found.get('entry')}")
    if not found.get("matches_log"):
        session.out.warn("the words of these rules do not give the digests that the log names: somebody changed them")
    if not found.get("enough"):
        session.out.warn("these persons could not have filled the rule")


@click.command("reconstruct", short_help="A request as it stood at a moment.")
@click.argument("request")
@click.option("--at", type=Instant(), required=True, help=f"The moment: {_FORMS}.")
@with_session
def reconstruct(session: Session, request: str, at: str) -> None:
    """Show REQUEST (a grant or lease of it names it as well) as the log's facts up to a moment tell it, and those facts."""
    from countersign.cli.lookup import whole_request_id  # noqa: PLC0415 - loads HTTP

    found = session.client.get(f"/audit/questions/reconstruct/{whole_request_id(session.client, request)}", at=at)
    if session.out.as_json:
        session.out.json(found)
        return
    out = session.out
    out.pairs(
        [
            *((name, found.get(name)) for name in ("request", "person", "entitlement", "digest", "state")),
            ("approvers", ", ".join(found.get("approvers") or []) or None),
            ("grant", found.get("grant")),
        ]
    )
    out.line()
    rows = [
        [each.get("index"), out.time(each.get("at")), each.get("type"), each.get("actor"), each.get("subject")]
        for each in found.get("facts") or []
    ]
    out.table(["index", "at", "type", "actor", "subject"], rows)


@click.command("findings", short_help="What stands out in the log.")
@with_session
def findings(session: Session) -> None:
    """Show what the replay of all facts and the detectors find; exit 1 if the log contradicts itself."""
    found = session.client.get("/audit/findings")
    items: Sequence[Mapping[str, Any]] = found.get("items") or []
    if session.out.as_json:
        session.out.json(found)
    else:
        rows = [[each.get(name) for name in ("index", "severity", "code", "detail")] for each in items]
        session.out.table(["index", "severity", "code", "detail"], rows)
        session.out.hint("look at an entry with: countersign log --after INDEX-1 --limit 1")
    broken = any(each.get("severity") == "broken" for each in items)
    click.get_current_context().exit(int(Exit.FAILURE if broken else Exit.OK))


def _show_held(session: Session, found: Mapping[str, Any]) -> None:
    if session.out.as_json:
        session.out.json(found)
        return
    out = session.out
    rows = [_held_row(out, each) for each in found.get("items") or []]
    out.table(["person", "entitlement", "approved by", "from", "until", "ended", "late", "entries"], rows)


def _held_row(out: Output, held: Mapping[str, Any]) -> list[object]:
    ended = " ".join(str(held[name]) for name in ("cause", "evidence") if held.get(name))
    late_ms = held.get("lateness_ms")
    entries = held.get("entries") or []
    return [
        held.get("person"),
        held.get("entitlement"),
        ", ".join(held.get("approvers") or []),
        out.time(held.get("since")),
        out.time(held.get("until")) or f"alive, ends {out.time(held.get('not_after'))}",
        ended + (" overdue" if held.get("overdue") else ""),
        None if late_ms is None else f"{late_ms} ms",
        " ".join(map(str, entries)),
    ]
