"""Passkeys: making one, seeing whose there are, vouching for another's, having one removed."""

from __future__ import annotations

from collections.abc import Mapping

import click

from countersign.cli.session import Session, with_session

browser_option = click.option("--browser", is_flag=True, help="Open the page in this machine's browser.")


@click.group(short_help="Make a passkey, vouch for another's, have one removed.")
def passkey() -> None:
    """What approvals are signed with. Everything that takes a key happens at a page that the command prints."""


@passkey.command(short_help="Whose passkeys there are.")
@with_session
def ls(session: Session) -> None:
    """List every key that counts, waits or counted."""
    answer = session.client.get("/passkeys")
    if session.out.as_json:
        session.out.json(answer)
        return
    for item in answer.get("items") or []:
        key = item.get("passkey", {})
        voice = ", vouches" if key.get("vouches") else ""
        vouched = ", ".join(item.get("vouched_by") or []) or "the genesis"
        line = f"{item.get('id')}  {key.get('person')}  {item.get('state')}{voice}  by {vouched}"
        session.out.line(line if item.get("fingerprint") is None else f"{line}  {item['fingerprint']}")


@passkey.command(short_help="Make a key of your own.")
@click.option("--vouches", is_flag=True, help="Let it speak for others' keys too; those who vouch for it see this.")
@browser_option
@with_session
def enrol(session: Session, *, vouches: bool, browser: bool) -> None:
    """Make a key; it counts once two persons have vouched for it."""
    from countersign.cli.page_way import by_page  # noqa: PLC0415 - loads HTTP

    done = by_page(session, {"act": "enrol", "vouches": vouches}, browser=browser)
    _told(session, done)
    if not session.out.as_json:
        session.out.hint(
            f"two others (or you with an older key, and one) do: countersign passkey vouch {done.get('id')}"
        )


@passkey.command(short_help="Vouch for somebody's key.")
@click.argument("id")
@browser_option
@with_session
def vouch(session: Session, id: str, *, browser: bool) -> None:  # noqa: A002 - what users see
    """Vouch for key ID with your own, after its person has read you its fingerprint."""
    from countersign.cli.page_way import by_page  # noqa: PLC0415 - loads HTTP

    _told(session, by_page(session, {"act": "vouch", "subject": id}, browser=browser))


@passkey.command(short_help="Have a key removed.")
@click.argument("id")
@click.option("--reason", required=True, help="Why.")
@browser_option
@with_session
def remove(session: Session, id: str, reason: str, *, browser: bool) -> None:  # noqa: A002 - what users see
    """Have key ID removed: your own at once, another's once a second person asks for it too."""
    from countersign.cli.page_way import by_page  # noqa: PLC0415 - loads HTTP

    _told(session, by_page(session, {"act": "remove", "subject": id, "reason": reason}, browser=browser))


def _told(session: Session, done: Mapping[str, object]) -> None:
    if session.out.as_json:
        session.out.json(done)
    else:
        session.out.line(f"{done.get('id')} is {done.get('state')}")
