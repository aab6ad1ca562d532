"""Asking for access, waiting for those who sign, and taking a request back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from countersign.cli.durations import Duration, NotADuration, read_duration
from countersign.cli.failures import usage
from countersign.cli.output import text_of
from countersign.cli.parameters import parameters_of
from countersign.cli.session import Session, with_session
from countersign.cli.sheets import request_sheet
from countersign.domain.ids import REQUEST

UNTIL_DECIDED = "until-decided"


class _BareWait(click.Command):
    """A command whose `--wait` takes a value only as `--wait=DURATION`, so that it never swallows the next argument."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give a bare `--wait` its meaning before click looks at what follows it."""
        ours = args.index("--") if "--" in args else len(args)
        spelled = [f"--wait={UNTIL_DECIDED}" if item == "--wait" else item for item in args[:ours]]
        return super().parse_args(ctx, spelled + args[ours:])


class _Wait(click.ParamType[int | str]):
    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        if value == UNTIL_DECIDED or isinstance(value, int):
            return value
        try:
            return read_duration(str(value))
        except NotADuration as error:
            self.fail(str(error), param, ctx)


@click.command(cls=_BareWait, short_help="Ask for access to one thing, for one task.")
@click.argument("entitlement")
@click.option("--for", "duration", type=Duration(), required=True, help="How long, such as 45m or 1h30m.")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter; repeat for more.")
@click.option("--reason", required=True, help="Why; the approvers read it.")
@click.option("--ticket", help="Which ticket it belongs to.")
@click.option("--break-glass", "incident", metavar="INCIDENT", help="It is an emergency, of this incident.")
@click.option("--drill", is_flag=True, help="With --break-glass: it is only practised.")
@click.option("--wait", type=_Wait(), metavar="[=DURATION]", help="Wait until it is decided, or so long.")
@with_session
def request(
    session: Session,
    *,
    entitlement: str,
    duration: int,
    params: tuple[str, ...],
    reason: str,
    ticket: str | None,
    incident: str | None,
    drill: bool,
    wait: int | str | None,
) -> None:
    """Ask for ENTITLEMENT. Nothing exists until somebody else has signed, and you have drawn."""
    from countersign.cli.client import new_key  # noqa: PLC0415 - loads HTTP

    body: dict[str, Any] = {
        "entitlement": entitlement,
        "parameters": parameters_of(params),
        "duration_s": duration,
        "reason": reason,
    }
    if ticket is not None:
        body["ticket"] = ticket
    if incident is not None:
        body["emergency"] = {"incident": incident, "drill": drill}
    elif drill:
        raise usage("a drill is one of break-glass", field="--drill")
    made = session.client.post("/requests", body, key=new_key())
    if wait is None:
        _show(session, made)
        return
    from countersign.cli.waiting import wait_for_decision  # noqa: PLC0415 - only here

    session.out.note(f"asked: {text_of(made, 'id')}, digest {made.get('digest')}")
    _show(session, wait_for_decision(session, made, at_most_s=wait if isinstance(wait, int) else None))


@click.command(short_help="Ask for what the reviewer who denied would sign.")
@click.argument("id")
@with_session
def resubmit(session: Session, id: str) -> None:  # noqa: A002 - the argument's name is what users see
    """Take up the counter-proposal with which your request ID was denied: a new request, for less."""
    from countersign.cli.client import new_key  # noqa: PLC0415 - loads HTTP
    from countersign.cli.lookup import whole_id  # noqa: PLC0415 - loads HTTP

    whole = whole_id(session.client, id, REQUEST)
    _show(session, session.client.post(f"/requests/{whole}/resubmit", key=new_key()))


@click.command(short_help="Take a request back.")
@click.argument("id")
@with_session
def withdraw(session: Session, id: str) -> None:  # noqa: A002 - the argument's name is what users see
    """Take your pending request back."""
    from countersign.cli.lookup import whole_id  # noqa: PLC0415 - loads HTTP

    answer = session.client.post(f"/requests/{whole_id(session.client, id, REQUEST)}/withdraw")
    if session.out.as_json:
        session.out.json(answer)
    else:
        session.out.line(f"{answer.get('id')} is {answer.get('state')}")


def _show(session: Session, made: Mapping[str, Any]) -> None:
    if session.out.as_json:
        session.out.json(made)
    else:
        request_sheet(session.out, made)
    grant = made.get("grant_id")
    if grant:
        session.out.hint(f"countersign draw {grant}")
    else:
        session.out.hint(f"an approver signs with: countersign approve {made.get('id')} --digest {made.get('digest')}")
