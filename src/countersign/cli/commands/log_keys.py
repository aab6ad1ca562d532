"""Changing the key that signs the log: one author proposes it, another approves, and the old key signs that they did."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from countersign.cli.failures import CommandFailed, usage
from countersign.cli.session import Session, with_session

_reason = click.option("--reason", required=True, help="Why.")


@click.group("log-key", short_help="Show, make and change the keys that sign the log.")
def log_key() -> None:
    """The keys that sign the log. A change takes two catalog authors, and stands in the log under the old key's checkpoint."""


@log_key.command(short_help="Show which key signs, and how it came in.")
@with_session
def show(session: Session) -> None:
    """Show the key that signs, those that may, and whether each was handed over."""
    answer = session.client.get("/log/keys")
    if session.out.as_json:
        session.out.json(answer)
        return
    session.out.line(f"signs: {answer['signs']}")
    for vkey in answer["may_sign"]:
        session.out.line(f"may sign: {vkey}{' (not handed over yet)' if vkey in answer['waiting'] else ''}")
    for each in answer["handovers"]:
        session.out.line(
            f"entry {each['index']} named {len(each['added'])} new, under the checkpoint of {each['size']} entries"
        )
    if answer["signs"] in answer["waiting"]:
        session.out.warn("this key was never handed over: whoever trusts the one before takes it for a stranger's")
    elif answer["waiting"]:
        session.out.hint("leave the old key in place until none is waiting: seconds")


@log_key.command(short_help="Make a new key in a file.")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--origin", required=True, help="The log's name, as its checkpoints bear it.")
@with_session
def make(session: Session, *, path: Path, origin: str) -> None:
    """Make a key at PATH, a new file of mode 0600, and print its public half."""
    from countersign.auditlog.note import NotAKey  # noqa: PLC0415 - loads cryptography
    from countersign.auditlog.signer import create_key_file  # noqa: PLC0415 - as above

    try:
        vkey = create_key_file(path, origin).verifier().vkey()
    except FileExistsError:
        raise usage(f"there is something at {path}; it is left alone", field="PATH") from None
    except NotAKey as error:
        raise usage(str(error), field="--origin") from None
    except OSError as error:
        raise CommandFailed(f"{path} cannot be written: {error.strerror}", code="unwritable") from None
    if session.out.as_json:
        session.out.json({"path": str(path), "vkey": vkey})
    else:
        session.out.line(vkey)


@log_key.command(short_help="Propose that a further key may sign.")
@click.argument("vkey")
@_reason
@with_session
def add(session: Session, *, vkey: str, reason: str) -> None:
    """Propose that VKEY (or the one in a file of that name) may sign the log too; another author approves."""
    given = vkey if vkey.count("+") >= 2 else _text(Path(vkey))  # noqa: PLR2004 - name+id+key
    _propose(session, lambda keys, signs: [*(keys or [signs]), given], reason)


@log_key.command(short_help="Propose that a key signs no more.")
@click.argument("vkey")
@_reason
@with_session
def drop(session: Session, *, vkey: str, reason: str) -> None:
    """Propose that VKEY signs no more; from the entry on by which another author approves, its signatures count for nothing."""
    if vkey not in session.client.get("/log/keys")["may_sign"]:
        raise usage("that key may not sign anyway", field="VKEY", hint="countersign log-key show")
    _propose(session, lambda keys, _: [each for each in keys if each != vkey], reason)


def _propose(session: Session, change: Callable[[list[str], str], list[str]], reason: str) -> None:
    """Propose the rules in force with other keys."""
    signs, catalog = session.client.get("/log/keys")["signs"], session.client.get("/catalog")["catalog"]
    trust: dict[str, Any] = catalog.get("trust", {})
    changed = {**catalog, "trust": {**trust, "log_keys": change(trust.get("log_keys", []), signs)}}
    answer = session.client.post("/catalog/proposals", {"catalog": changed, "reason": reason})
    if session.out.as_json:
        session.out.json(answer)
    else:
        session.out.pairs(
            [(name, answer.get(name)) for name in ("id", "state", "digest", "fingerprint", "proposed_by")]
        )
    session.out.hint(f"another author: countersign catalog approve {answer['id']} --digest {answer['digest']}")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise usage(f"{path} is neither a key (name+id+key) nor a file that holds one", field="VKEY") from None
