"""Signing: one person's word on exactly what he was shown."""

from __future__ import annotations

from typing import Any

import click

from countersign.cli.digests import FORMS, demand_form, demand_meant, is_whole
from countersign.cli.durations import Duration
from countersign.cli.failures import CommandFailed, usage
from countersign.cli.output import text_of
from countersign.cli.parameters import parameters_of
from countersign.cli.session import Session, with_session
from countersign.cli.sheets import quorum, request_sheet
from countersign.cli.statement import demand_true
from countersign.domain.ids import REQUEST


@click.command(short_help="Approve exactly the request that you were shown.")
@click.argument("id")
@click.option("--digest", metavar="HEX", help=FORMS)
@click.option("--comment", help="What you want to have said.")
@click.option("--browser", is_flag=True, help="Open the passkey page in this machine's browser.")
@with_session
def approve(
    session: Session,
    id: str,  # noqa: A002 - what users see
    *,
    digest: str | None,
    comment: str | None,
    browser: bool,
) -> None:
    """Approve request ID. Without --digest it is shown, and nothing is signed.

    Where approvals are signed with passkeys it is shown, and a page is named at which it is signed; the result comes back here.
    """
    from countersign.cli.lookup import whole_id  # noqa: PLC0415 - loads HTTP

    demand_form(digest)
    request = session.client.get(f"/requests/{whole_id(session.client, id, REQUEST)}")
    if request.get("signature") == "required":
        _sign_by_page(session, request, digest, comment, browser=browser)
    else:
        _sign(session, text_of(request, "id"), "approve", digest, comment)


@click.command(short_help="Deny a request.")
@click.argument("id")
@click.option("--digest", metavar="HEX", help=FORMS)
@click.option("--comment", help="Why not.")
@click.option("--counter", type=Duration(), help="A shorter time that you would see asked, such as 15m.")
@click.option(
    "--counter-param", "params", multiple=True, metavar="NAME=VALUE", help="A lesser value that you would see asked."
)
@with_session
def deny(
    session: Session,
    id: str,  # noqa: A002 - what users see
    *,
    digest: str | None,
    comment: str | None,
    counter: int | None,
    params: tuple[str, ...],
) -> None:
    """Deny request ID. Without --digest it is shown, and nothing is signed.

    With --counter or --counter-param you say what less you would see asked; who asked takes it up with `resubmit`.
    """
    less: dict[str, Any] = {"parameters": parameters_of(params, field="--counter-param")}
    if counter is not None:
        less["duration_s"] = counter
    _sign(session, id, "deny", digest, comment, counter=less if counter is not None or params else None)


def _sign(
    session: Session,
    given: str,
    decision: str,
    digest: str | None,
    comment: str | None,
    *,
    counter: dict[str, Any] | None = None,
) -> None:
    from countersign.cli.lookup import whole_id  # noqa: PLC0415 - loads HTTP

    demand_form(digest)
    request_id = whole_id(session.client, given, REQUEST)
    if digest is None:
        raise _shown(session, session.client.get(f"/requests/{request_id}"), decision)
    whole = digest if is_whole(digest) else _completed(session, request_id, digest)
    body: dict[str, Any] = {"decision": decision, "digest": whole} | ({} if comment is None else {"comment": comment})
    if counter is not None:
        body["counter"] = counter
    answer = session.client.post(f"/requests/{request_id}/reviews", body)
    if session.out.as_json:
        session.out.json(answer)
        return
    session.out.line(f"{request_id} is {answer.get('state')} ({quorum(answer.get('review'))})")


def _sign_by_page(
    session: Session, request: dict[str, Any], digest: str | None, comment: str | None, *, browser: bool
) -> None:
    from countersign.cli.page_way import by_page  # noqa: PLC0415 - loads HTTP

    demand_true(request)
    request_id = text_of(request, "id")
    if digest is not None:
        demand_meant(digest, text_of(request, "digest"), of=request_id, look=f"countersign show {request_id}")
    if not session.out.as_json:
        request_sheet(session.out, request)
    body = {"act": "approve", "subject": request_id} | ({} if comment is None else {"comment": comment})
    done = by_page(session, body, browser=browser)
    if session.out.as_json:
        session.out.json(session.client.get(f"/requests/{request_id}"))
    else:
        session.out.line(f"{request_id} is {done.get('state')}")


def _shown(session: Session, request: dict[str, Any], decision: str) -> CommandFailed:
    demand_true(request)
    if session.out.as_json:
        session.out.json(request)
    else:
        request_sheet(session.out, request)
    return usage(
        "nothing was signed: say which digest you mean",
        hint=f"countersign {decision} {request.get('id')} --digest {request.get('digest')}",
        field="--digest",
    )


def _completed(session: Session, request_id: str, given: str) -> str:
    """Return the request's whole digest, if it is the one that was given and binds what the request shows."""
    request = session.client.get(f"/requests/{request_id}")
    demand_true(request)
    whole = text_of(request, "digest")
    demand_meant(given, whole, of=request_id, look=f"countersign show {request_id}")
    return whole
