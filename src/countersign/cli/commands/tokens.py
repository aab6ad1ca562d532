"""One's own token."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import click

from countersign.cli.failures import usage
from countersign.cli.output import text_of
from countersign.cli.session import Session, with_session


@click.group(short_help="Replace your own token.")
def token() -> None:
    """Your own bearer token; they exist in the embedded stack only."""


@token.command(short_help="Replace your own token; those before end.")
@click.option(
    "--write", is_flag=True, help="Write it to the file that COUNTERSIGN_TOKEN_FILE names, and print nothing."
)
@with_session
def rotate(session: Session, *, write: bool) -> None:
    """Replace your own token and print the new one, this once."""
    file = _file() if write else None
    made = text_of(session.client.post("/me/token"), "token")
    if file is not None:
        _replace(file, made)
        session.out.note(f"the new token stands in {file}")
    elif session.out.as_json:
        session.out.json({"token": made})
    else:
        session.out.line(made)
        session.out.hint("it is shown this once; the one before has ended")


def _file() -> Path:
    """Return the token file, once it is sure that it can be replaced: a token that cannot be kept must not be made."""
    named = os.environ.get("COUNTERSIGN_TOKEN_FILE")
    if not named or os.environ.get("COUNTERSIGN_TOKEN"):
        raise usage("--write needs COUNTERSIGN_TOKEN_FILE, and no COUNTERSIGN_TOKEN that would go before it")
    file = Path(named).resolve()
    if not file.is_file() or not os.access(file.parent, os.W_OK):
        raise usage(f"{named} cannot be replaced")
    return file


def _replace(file: Path, text: str) -> None:
    descriptor, name = tempfile.mkstemp(dir=file.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as written:
            written.write(text + "\n")
            written.flush()
            os.fsync(written.fileno())
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
