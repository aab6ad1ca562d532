"""Signing in and out, and one's own sessions."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from countersign.cli.failures import CommandFailed, Exit, usage
from countersign.cli.output import text_of
from countersign.cli.session import Session, with_session
from countersign.domain.ids import SESSION

if TYPE_CHECKING:
    from countersign.cli.client import Client

WITHIN_S = 300


@click.command(short_help="Sign in by a browser.")
@click.option("--issuer", metavar="ID", help="The identity issuer, where there are several.")
@click.option("--no-browser", is_flag=True, help="Print the address, and open nothing.")
@click.option("--within", default=WITHIN_S, show_default=True, type=click.IntRange(1, 3600), help="Seconds to wait.")
@with_session
def login(session: Session, issuer: str | None, *, no_browser: bool, within: int) -> None:
    """Sign in at an identity issuer, in a browser on this machine; the session is kept in the keyring or a file of mode 0600."""
    from countersign.cli.browser_way import NewDevice, issuer_of, sign_in  # noqa: PLC0415 - loads cryptography
    from countersign.cli.client import Client, broker_address  # noqa: PLC0415 - loads HTTP
    from countersign.cli.keeping import Kept, save  # noqa: PLC0415 - as above
    from countersign.cli.signed_in import secrets_in  # noqa: PLC0415 - as above

    client = Client(url=broker_address(session.url), token="")
    chosen = issuer_of(_chosen(_items(client.get("/sign-in/issuers")), issuer))
    device = NewDevice()
    browse = not no_browser and _has_browser()
    answer = sign_in(
        chosen,
        device,
        within=timedelta(seconds=within),
        tell=lambda location: _tell(location, browse=browse),
        browse=browse,
    )
    told = client.post("/sign-in/device", device.shown(chosen.id, answer))
    _end_before(client.url)
    kept = Kept(
        url=client.url,
        session=text_of(told, "session"),
        person=text_of(told, "person"),
        device_key=device.private,
        **secrets_in(told),
    )
    save(kept)
    if session.out.as_json:
        session.out.json({"person": kept.person, "session": kept.session, "ends_at": kept.ends_at})
    else:
        session.out.line(f"signed in as {kept.person}, until {session.out.time(kept.ends_at)}")


@click.command(short_help="Sign out.")
@with_session
def logout(session: Session) -> None:
    """End the session that this machine keeps, here and at the broker."""
    from countersign.cli.client import broker_address  # noqa: PLC0415 - loads HTTP
    from countersign.cli.keeping import forget, load  # noqa: PLC0415 - as above

    url = broker_address(session.url)
    kept = load(url)
    if kept is None:
        raise CommandFailed("nobody is signed in", exit_code=Exit.NOT_SIGNED_IN, code="unauthenticated")
    try:
        _kept_client(url).post(f"/sessions/{kept.session}/revoke")
    except CommandFailed as failed:
        if failed.exit_code not in {Exit.NOT_SIGNED_IN, Exit.OVER}:
            raise CommandFailed(
                f"this machine has forgotten the session, and the broker was not told: {failed.detail}",
                exit_code=failed.exit_code,
                code=failed.code,
                hint=f"end it from elsewhere: countersign sessions --end {kept.session}",
            ) from None
    finally:
        forget(url)
    session.out.line("signed out")


@click.command(short_help="List your sessions, or end one.")
@click.option("--end", metavar="ID", help="End this session instead of listing them.")
@with_session
def sessions(session: Session, end: str | None) -> None:
    """List your own sessions in force, the web's as well; or end one of them."""
    if end is not None:
        from countersign.cli.lookup import whole_id  # noqa: PLC0415 - loads HTTP

        ended = session.client.post(f"/sessions/{whole_id(session.client, end, SESSION)}/revoke")
        if session.out.as_json:
            session.out.json(ended)
        else:
            session.out.line(f"{ended.get('id')} is ended")
        return
    found = _items(session.client.get("/sessions"))
    if session.out.as_json:
        session.out.json(found)
        return
    rows = [_row(session, each) for each in found]
    session.out.table(("id", "kind", "issuer", "opened", "seen", "ends", ""), rows)


def _items(told: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    items = told.get("items")
    if not isinstance(items, list) or not all(isinstance(each, dict) for each in items):
        raise CommandFailed("the broker's answer is no list", code="strange-answer", hint="compare versions")
    return items


def _row(session: Session, each: Mapping[str, Any]) -> list[object]:
    times = [session.out.time(each.get(name)) for name in ("opened_at", "seen_at", "ends_at")]
    return [each.get("id"), each.get("kind"), each.get("issuer"), *times, "this one" if each.get("current") else ""]


def _end_before(url: str) -> None:
    """End the session that this machine kept before, so that none is left that nobody holds."""
    from countersign.cli.keeping import load  # noqa: PLC0415 - as login

    kept = load(url)
    if kept is not None:
        with suppress(CommandFailed):  # it may be over; if not, it ends by itself, and `sessions` shows it until then
            _kept_client(url).post(f"/sessions/{kept.session}/revoke")


def _chosen(known: Sequence[Mapping[str, Any]], wanted: str | None) -> Mapping[str, Any]:
    names = ", ".join(str(each.get("id")) for each in known) or "none"
    fit = [each for each in known if wanted is None or each.get("id") == wanted]
    if len(fit) != 1:
        raise usage(f"the broker knows these issuers: {names}", hint="say which with --issuer")
    return fit[0]


def _kept_client(url: str) -> Client:
    from countersign.cli.client import Client  # noqa: PLC0415 - loads HTTP
    from countersign.cli.signed_in import access_token  # noqa: PLC0415 - as above

    token = access_token(url)
    if token is None:
        raise CommandFailed("nobody is signed in", exit_code=Exit.NOT_SIGNED_IN, code="unauthenticated")
    return Client(url=url, token=token)


def _tell(location: str, *, browse: bool) -> None:
    """Say where to sign in; the address holds no secret of ours, and is all that a machine without a browser has."""
    opened = "your browser opens" if browse else "open this in a browser on this machine:"
    print(f"{opened}\n{location}", file=sys.stderr, flush=True)


def _has_browser() -> bool:
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
