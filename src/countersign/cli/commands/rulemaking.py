"""Changing the rules: a catalog author proposes files, another reads the difference and approves its digest."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from countersign.cli.digests import FORMS, demand_form, demand_meant, is_whole
from countersign.cli.failures import CommandFailed, Exit, usage
from countersign.cli.output import text_of
from countersign.cli.session import Session, with_session
from countersign.domain.ids import PROPOSAL
from countersign.domain.proposal import proposal_digest

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_SHOWN = ("id", "state", "digest", "fingerprint", "proposed_by", "decided_by")


@click.group(short_help="Propose, read and approve other rules.")
def catalog() -> None:
    """The rules in force, and how they change: one author proposes, another approves."""


@catalog.command(short_help="Propose a catalog (and a directory).")
@click.argument("file", type=_FILE)
@click.option("--directory", type=_FILE, help="Another directory.toml with it.")
@click.option("--reason", required=True, help="Why.")
@with_session
def propose(session: Session, file: Path, directory: Path | None, reason: str) -> None:
    """Propose FILE, a catalog.toml, as the rules in force."""
    body: dict[str, Any] = {"catalog": _read(file), "reason": reason}
    if directory is not None:
        body["directory"] = _read(directory)
    answer = session.client.post("/catalog/proposals", body)
    _told(session, answer)
    session.out.hint(f"another author: countersign catalog approve {answer.get('id')} --digest {answer.get('digest')}")


@catalog.command(short_help="Check files before you propose them; no broker is asked.")
@click.argument("file", type=_FILE)
@click.option("--directory", type=_FILE, help="The directory.toml that goes with it.")
@with_session
def check(session: Session, file: Path, directory: Path | None) -> None:
    """Check FILE, a catalog.toml: what is wrong with it, what in it could never be served, and what is dangerous.

    Exits 2 when it could not be proposed.
    """
    from countersign.cli.catalog_check import problems_in  # noqa: PLC0415 - loads pydantic and the providers

    found = problems_in(file, directory)
    errors = [each for each in found if each.startswith("error")]
    if session.out.as_json:
        session.out.json({"ok": not errors, "problems": found})
    else:
        for line in found:
            session.out.line(line)
        session.out.line(f"{file}: errors {len(errors)}, warnings {len(found) - len(errors)}")
    click.get_current_context().exit(int(Exit.USAGE if errors else Exit.OK))


@catalog.command(short_help="Show what a proposal would change.")
@click.argument("id")
@with_session
def diff(session: Session, id: str) -> None:  # noqa: A002 - what users see
    """Show what proposal ID would change in the rules in force."""
    _told(session, session.client.get(f"/catalog/proposals/{_whole(session, id)}"))


@catalog.command(short_help="Bring another author's proposal into force.")
@click.argument("id")
@click.option("--digest", required=True, metavar="HEX", help=FORMS)
@with_session
def approve(session: Session, id: str, digest: str) -> None:  # noqa: A002 - what users see
    """Approve proposal ID, exactly as it was shown."""
    demand_form(digest)
    proposal = _whole(session, id)
    whole = digest if is_whole(digest) else _completed(session, proposal, digest)
    _told(session, session.client.post(f"/catalog/proposals/{proposal}/approve", {"digest": whole}))


@catalog.command(short_help="Reject a proposal, or withdraw your own.")
@click.argument("id")
@with_session
def reject(session: Session, id: str) -> None:  # noqa: A002 - what users see
    """Reject proposal ID, or withdraw it if it is yours."""
    answer = session.client.post(f"/catalog/proposals/{_whole(session, id)}/reject")
    if session.out.as_json:
        session.out.json(answer)
    else:
        session.out.line(f"{answer.get('id')} is {answer.get('state')}")


@catalog.command(short_help="Sign your own proposal with a passkey.")
@click.argument("id")
@click.option("--browser", is_flag=True, help="Open the page in this machine's browser.")
@with_session
def sign(session: Session, id: str, *, browser: bool) -> None:  # noqa: A002 - what users see
    """Sign proposal ID, which is yours, at the passkey page; where rules are signed, nobody can approve it before."""
    _by_page(session, "propose", id, browser=browser)


@catalog.command(short_help="Approve another's proposal with a passkey.")
@click.argument("id")
@click.option("--browser", is_flag=True, help="Open the page in this machine's browser.")
@with_session
def adopt(session: Session, id: str, *, browser: bool) -> None:  # noqa: A002 - what users see
    """Bring proposal ID, which is another author's, into force at the passkey page."""
    _by_page(session, "adopt", id, browser=browser)


@catalog.command(short_help="List proposals, decided ones too.")
@with_session
def history(session: Session) -> None:
    """List proposals, newest first."""
    answer = session.client.get("/catalog/proposals")
    if session.out.as_json:
        session.out.json(answer)
        return
    rows = [
        [
            item["id"],
            item["state"],
            item["proposed_by"],
            item["decided_by"] or "",
            session.out.time(item["proposed_at"]),
        ]
        for item in answer["items"]
    ]
    session.out.table(["id", "state", "proposed by", "decided by", "when"], rows)


@catalog.command(short_help="Show the rules in force.")
@with_session
def show(session: Session) -> None:
    """Show the rules in force, their digests, and who proposed and approved them."""
    answer = session.client.get("/catalog")
    if session.out.as_json:
        session.out.json(answer)
        return
    entitlements = ", ".join(item["id"] for item in answer["catalog"].get("entitlement", []))
    session.out.pairs(
        [
            ("rulebook", answer["seq"]),
            ("catalog", answer["catalog_digest"]),
            ("directory", answer["directory_digest"]),
            ("proposed by", answer["proposed_by"] or "the first start"),
            ("approved by", answer["approved_by"] or "the first start"),
            ("entitlements", entitlements),
        ]
    )


def _completed(session: Session, proposal: str, given: str) -> str:
    """Return the whole digest of a proposal, if it is the one that was given and binds the rules that the proposal names."""
    found = session.client.get(f"/catalog/proposals/{proposal}")
    whole, base = text_of(found, "digest"), found.get("base")
    named = {name: text_of(found, f"{name}_digest") for name in ("catalog", "directory")}
    bound = isinstance(base, int) and whole == proposal_digest(
        proposal=text_of(found, "id"), base=base, proposed_by=text_of(found, "proposed_by"), **named
    )
    if not bound:
        raise CommandFailed(
            "do not approve this proposal: its digest does not bind what it shows",
            code="shown-is-not-bound",
            rule="what is signed is what was shown",
            hint="tell the operator and the auditor",
        )
    demand_meant(given, whole, of=proposal, look=f"countersign catalog diff {proposal}")
    return whole


def _by_page(session: Session, act: str, given: str, *, browser: bool) -> None:
    from countersign.cli.page_way import by_page  # noqa: PLC0415 - loads HTTP

    done = by_page(session, {"act": act, "subject": _whole(session, given)}, browser=browser)
    if session.out.as_json:
        session.out.json(done)
    else:
        session.out.line(f"{done.get('id')} is {done.get('state')}")


def _told(session: Session, answer: Mapping[str, Any]) -> None:
    if session.out.as_json:
        session.out.json(answer)
        return
    session.out.pairs([(name, answer.get(name)) for name in _SHOWN])
    for change in answer.get("changes", []):
        session.out.line(f"{change['what']} {change['kind']} {change['id']}")
        for key, (before, after) in change["keys"].items():
            session.out.line(f"    {key}: {before!r} -> {after!r}")
    for effect in answer.get("effects") or []:
        session.out.line(f"reached {effect['entitlement']}")
        session.out.line(f"    before: {_outcome(effect.get('before'))}")
        session.out.line(f"    after:  {_outcome(effect.get('after'))}")
    for name in answer.get("uncompared") or []:
        session.out.warn(f"there was no time to say who would reach {name}: run countersign policy prove")
    for warning in answer.get("warnings", []):
        session.out.warn(warning)


def _outcome(outcome: Mapping[str, Any] | None) -> str:
    """Say who reaches an entitlement, in a line."""
    if outcome is None:
        return "there is none"
    alone = outcome["alone"]
    told = "nobody reaches it" if outcome["least"] is None else f"{outcome['least']} together"
    if alone["count"]:
        told += f", ALONE: {', '.join(alone['named'])}"
    sets = "; ".join(each for each in outcome["witnesses"] if each)
    return f"{told} ({sets})" if sets else told


def _whole(session: Session, given: str) -> str:
    from countersign.cli.lookup import whole_id  # noqa: PLC0415 - loads HTTP

    return whole_id(session.client, given, PROPOSAL)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise usage(f"{path} is not TOML: {error}", field=str(path)) from None
