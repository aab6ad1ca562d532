"""Passkeys: making one, seeing whose there are, vouching for another's, having one removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from countersign.cli.failures import CommandFailed, usage
from countersign.cli.output import text_of
from countersign.cli.session import Session, with_session
from countersign.domain.ids import PASSKEY
from countersign.domain.passkey import VOUCHERS, NotASignature, Passkey, enrolment_digest, fingerprint

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
        # What counts, or counted, on nobody's word is a first key, whether or not it was shown before it became one.
        founded = item.get("state") in {"enrolled", "removed"}
        vouched = ", ".join(item.get("vouched_by") or []) or ("the genesis" if founded else "nobody yet")
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
    made = session.client.get(f"/passkeys/{text_of(done, 'id')}")
    _told(session, {**done, "fingerprint": made.get("fingerprint")})
    if session.out.as_json:
        return
    session.out.line(f"read this to who vouches for it: {made.get('fingerprint')}")
    session.out.hint(f"two others (or you with an older key, and one) do: countersign passkey vouch {done.get('id')}")
    session.out.hint("where there are no keys yet, who writes the catalog goes on: countersign passkey first")


@passkey.command(short_help="Print waiting keys as the first ones of a catalog.")
@click.argument("ids", nargs=-1)
@with_session
def first(session: Session, ids: tuple[str, ...]) -> None:
    """Print the keys that wait, or those named by IDS, as `[[trust.passkey]]` for a catalog that has no keys yet.

    Each stands under the fingerprint that its person's page showed; have it read to you before the catalog is countersigned.
    """
    from countersign.config.signing_file import stanza_of  # noqa: PLC0415 - loads pydantic

    keys = _first_keys(session.client.get("/passkeys").get("items") or [], ids)
    if session.out.as_json:
        session.out.json({"items": [shown for shown, _ in keys]})
    else:
        for shown, key in keys:
            remark = f"{key.person}, {shown['id']}, made {shown['said_at']}: {shown['fingerprint']}"
            for line in stanza_of(key, remark=remark).splitlines():
                session.out.line(line)
            session.out.line()
    voices = {key.person for _, key in keys if key.vouches}
    if len(voices) < VOUCHERS:
        session.out.warn(f"fewer than {VOUCHERS} persons' keys vouch: nobody could enrol any other key")


@passkey.command(short_help="Vouch for somebody's key.")
@click.argument("id")
@browser_option
@with_session
def vouch(session: Session, id: str, *, browser: bool) -> None:  # noqa: A002 - what users see
    """Vouch for key ID with your own, after its person has read you its fingerprint."""
    from countersign.cli.page_way import by_page  # noqa: PLC0415 - loads HTTP

    _told(session, by_page(session, {"act": "vouch", "subject": _whole(session, id)}, browser=browser))


@passkey.command(short_help="Have a key removed.")
@click.argument("id")
@click.option("--reason", required=True, help="Why.")
@browser_option
@with_session
def remove(session: Session, id: str, reason: str, *, browser: bool) -> None:  # noqa: A002 - what users see
    """Have key ID removed: your own at once, another's once a second person asks for it too."""
    from countersign.cli.page_way import by_page  # noqa: PLC0415 - loads HTTP

    _told(
        session, by_page(session, {"act": "remove", "subject": _whole(session, id), "reason": reason}, browser=browser)
    )


def _whole(session: Session, given: str) -> str:
    from countersign.cli.lookup import whole_id  # noqa: PLC0415 - loads HTTP

    return whole_id(session.client, given, PASSKEY)


def _first_keys(items: Sequence[Mapping[str, Any]], ids: Sequence[str]) -> list[tuple[Mapping[str, Any], Passkey]]:
    """Return the keys to begin with, each as it was shown and as it is; the broker's word for their fingerprints is not taken.

    Raises:
        CommandFailed: there are first keys already, none waits, or what is shown of one is not what its person made.
    """
    if any(item.get("state") in {"enrolled", "removed"} for item in items):
        raise CommandFailed(
            "there are first keys already",
            code="wrong-state",
            rule="the first keys stay as they were named",
            hint="further ones are enrolled: countersign passkey vouch",
        )
    waiting = {str(item.get("id")): item for item in items if item.get("state") == "waiting"}
    unknown = [each for each in ids if each not in waiting]
    if unknown or not waiting:
        known = ", ".join(waiting) or "none"
        raise usage(f"these keys wait: {known}", hint="each person makes one with: countersign passkey enrol --vouches")
    return [(item, _demand_true(item)) for name, item in waiting.items() if not ids or name in ids]


def _demand_true(item: Mapping[str, Any]) -> Passkey:
    try:
        key = Passkey.read(item["passkey"])
        digest = enrolment_digest(key, str(item["said_at"]))
    except (KeyError, TypeError, NotASignature) as error:
        raise CommandFailed("what is shown of a key is none", code="strange-answer", hint="compare versions") from error
    if (key.id, digest, fingerprint(digest)) != (item.get("id"), item.get("digest"), item.get("fingerprint")):
        raise CommandFailed(
            f"what is shown of {item.get('id')} is not what its person made",
            code="shown-is-not-bound",
            hint="tell the operator and the auditor",
        )
    return key


def _told(session: Session, done: Mapping[str, object]) -> None:
    if session.out.as_json:
        session.out.json(done)
    else:
        session.out.line(f"{done.get('id')} is {done.get('state')}")
