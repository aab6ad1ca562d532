"""Break-glass: envelopes that are signed before and opened by one on call, and the word on an emergency afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from countersign.cli.digests import FORMS, demand_form, demand_meant, is_whole
from countersign.cli.durations import Duration
from countersign.cli.failures import CommandFailed
from countersign.cli.output import text_of
from countersign.cli.parameters import parameters_of
from countersign.cli.session import Session, with_session
from countersign.cli.sheets import envelope_rows, quorum, request_sheet
from countersign.domain.canonical import NotCanonical, digest
from countersign.domain.ids import ENVELOPE
from countersign.domain.passkey import fingerprint

_SHOWN = ("entitlement", "not_before", "not_after", "uses", "max_duration_s", "proposed_by")


@click.group(short_help="Sign in advance what one on call may open, and open it.")
def envelope() -> None:
    """Two people sign before the emergency that whoever is on call may open one entitlement in it, so often, so long."""


@envelope.command(short_help="Write an envelope for others to sign.")
@click.argument("entitlement")
@click.option("--valid", type=Duration(), required=True, help="For how long it may be opened, such as 3d; 7d at most.")
@click.option("--uses", type=click.IntRange(1), default=1, show_default=True, help="How often it may be opened.")
@click.option("--for", "duration", type=Duration(), required=True, help="How long each access lasts at most.")
@click.option("--not-before", metavar="TIME", help="From when on, such as 2026-11-27T18:00:00.000Z; else at once.")
@with_session
def propose(
    session: Session, *, entitlement: str, valid: int, uses: int, duration: int, not_before: str | None
) -> None:
    """Write an envelope for ENTITLEMENT; it is worth nothing until two people have signed it."""
    body: dict[str, Any] = {"entitlement": entitlement, "valid_s": valid, "uses": uses, "max_duration_s": duration}
    if not_before is not None:
        body["not_before"] = not_before
    made = session.client.post("/envelopes", body)
    _told(session, made)
    session.out.hint(f"signers: countersign envelope sign {made.get('id')} --digest {made.get('digest')}")


@envelope.command(short_help="Sign exactly the envelope that you were shown.")
@click.argument("id")
@click.option("--digest", "shown", required=True, metavar="HEX", help=FORMS)
@with_session
def sign(session: Session, id: str, shown: str) -> None:  # noqa: A002 - what users see
    """Sign envelope ID."""
    demand_form(shown)
    envelope_id = _whole(session, id)
    whole = shown if is_whole(shown) else _completed(session, envelope_id, shown)
    _told(session, session.client.post(f"/envelopes/{envelope_id}/sign", {"digest": whole}))


@envelope.command("sign-by-page", short_help="Sign an envelope with a passkey.")
@click.argument("id")
@click.option("--browser", is_flag=True, help="Open the page in this machine's browser.")
@with_session
def sign_by_page(session: Session, id: str, *, browser: bool) -> None:  # noqa: A002 - what users see
    """Sign envelope ID at the passkey page, where the entitlement asks for signatures."""
    from countersign.cli.page_way import by_page  # noqa: PLC0415 - loads HTTP

    done = by_page(session, {"act": "envelope", "subject": _whole(session, id)}, browser=browser)
    if session.out.as_json:
        session.out.json(done)
    else:
        session.out.line(f"{done.get('id')} is {done.get('state')}")


@envelope.command(short_help="Show an envelope.")
@click.argument("id")
@with_session
def show(session: Session, id: str) -> None:  # noqa: A002 - what users see
    """Show envelope ID, and whether its digest binds what is shown."""
    found = session.client.get(f"/envelopes/{_whole(session, id)}")
    _told(session, found)
    _demand_true(found)


@envelope.command(short_help="List envelopes.")
@with_session
def ls(session: Session) -> None:
    """List the envelopes that you may know of, newest first."""
    answer = session.client.get("/envelopes")
    if session.out.as_json:
        session.out.json(answer)
    else:
        session.out.table(*envelope_rows(session.out, answer["items"]))


@envelope.command(short_help="Make an envelope worth nothing.")
@click.argument("id")
@with_session
def revoke(session: Session, id: str) -> None:  # noqa: A002 - what users see
    """Revoke envelope ID."""
    _told(session, session.client.post(f"/envelopes/{_whole(session, id)}/revoke"))


@envelope.command("open", short_help="Open an envelope in an emergency.")
@click.argument("id")
@click.option("--incident", required=True, help="The incident's id.")
@click.option("--for", "duration", type=Duration(), required=True, help="How long, such as 10m.")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter; repeat for more.")
@click.option("--reason", required=True, help="Why; it is read afterwards.")
@click.option("--drill", is_flag=True, help="It is only practised.")
@with_session
def open_envelope(
    session: Session,
    *,
    id: str,  # noqa: A002 - what users see
    incident: str,
    duration: int,
    params: tuple[str, ...],
    reason: str,
    drill: bool,
) -> None:
    """Open envelope ID. Its signers are told, and somebody else says afterwards whether it was justified."""
    from countersign.cli.client import new_key  # noqa: PLC0415 - loads HTTP

    body = {
        "incident": incident,
        "drill": drill,
        "duration_s": duration,
        "parameters": parameters_of(params),
        "reason": reason,
    }
    made = session.client.post(f"/envelopes/{_whole(session, id)}/open", body, key=new_key())
    if session.out.as_json:
        session.out.json(made)
    else:
        request_sheet(session.out, made)
    session.out.hint(f"countersign draw {made.get('grant_id')}")


@click.command("after-review", short_help="Say whether a break-glass access was justified.")
@click.argument("grant")
@click.option("--verdict", type=click.Choice(["justified", "not-justified"]), required=True, help="Your word on it.")
@click.option("--comment", required=True, help="What you looked at, and why you say so.")
@with_session
def after_review(session: Session, grant: str, verdict: str, comment: str) -> None:
    """Review GRANT afterwards (its request or lease names it as well); what was not justified is revoked."""
    from countersign.cli.lookup import whole_grant_id  # noqa: PLC0415 - loads HTTP

    grant_id = whole_grant_id(session.client, grant)
    answer = session.client.post(f"/grants/{grant_id}/after-review", {"verdict": verdict, "comment": comment})
    if session.out.as_json:
        session.out.json(answer)
    else:
        session.out.line(f"{answer.get('id')} for {answer.get('incident')} was {answer.get('verdict')}")


def _told(session: Session, answer: Mapping[str, Any]) -> None:
    if session.out.as_json:
        session.out.json(answer)
        return
    session.out.pairs(
        [
            ("envelope", answer.get("id")),
            ("state", answer.get("state")),
            ("entitlement", answer.get("entitlement")),
            ("from", session.out.time(answer.get("not_before"))),
            ("until", session.out.time(answer.get("not_after"))),
            ("uses left", f"{answer.get('uses_left')} of {answer.get('uses')}"),
            ("longest", session.out.duration(answer.get("max_duration_s"))),
            ("written by", answer.get("proposed_by")),
            ("signed by", ", ".join(map(str, answer.get("signers") or [])) or None),
            ("review", quorum(answer.get("review"))),
            ("digest", answer.get("digest")),
            ("fingerprint", answer.get("fingerprint")),
        ]
    )


def _completed(session: Session, envelope_id: str, given: str) -> str:
    """Return the envelope's whole digest, if it is the one that was given and binds what the envelope shows."""
    found = session.client.get(f"/envelopes/{envelope_id}")
    _demand_true(found)
    whole = text_of(found, "digest")
    demand_meant(given, whole, of=envelope_id, look=f"countersign envelope show {envelope_id}")
    return whole


def _demand_true(found: Mapping[str, Any]) -> None:
    """Refuse an envelope whose digest does not bind what it shows."""
    statement = found.get("statement")
    try:
        true = isinstance(statement, Mapping) and digest("countersign/envelope/v1", statement) == found.get("digest")
    except NotCanonical:
        true = False
    true = true and found.get("fingerprint") == fingerprint(text_of(found, "digest"))
    if not true or any(found.get(name) != statement.get(name) for name in _SHOWN if isinstance(statement, Mapping)):
        raise CommandFailed(
            "do not sign this envelope: its digest does not bind what it shows",
            code="shown-is-not-bound",
            rule="what is signed is what was shown",
            hint="tell the operator and the auditor",
        )


def _whole(session: Session, given: str) -> str:
    from countersign.cli.lookup import whole_id  # noqa: PLC0415 - loads HTTP

    return whole_id(session.client, given, ENVELOPE)
