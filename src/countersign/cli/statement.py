"""Holds what the broker shows of a request against what its digest binds, so that nobody signs what he was not shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from countersign.cli.failures import CommandFailed
from countersign.domain.canonical import NotCanonical, commitment, digest
from countersign.domain.passkey import fingerprint
from countersign.domain.request import DIGEST_LABEL

_SHOWN = ("id", "entitlement", "person", "parameters", "duration_s", "submitted_at")
_MARKS = {
    "emergency": "the mark of an emergency that it shows",
    "counters": "what it is said to take up",
    "signature": "whether it must be signed",
}
_TEXTS = ("reason", "ticket")


def demand_true(request: Mapping[str, Any]) -> None:
    """Refuse a request whose digest is not that of its statement, or that shows something else than its statement says.

    Raises:
        CommandFailed: naming what does not fit.
    """
    statement = request.get("statement")
    if not isinstance(statement, Mapping):
        raise _unfit("it shows no statement")
    try:
        made = digest(DIGEST_LABEL, statement)
    except NotCanonical:
        raise _unfit("its statement has no canonical spelling") from None
    if made != request.get("digest"):
        raise _unfit("its digest is not the digest of its statement")
    for name in _SHOWN:
        if name in request and request[name] != statement.get(name):
            raise _unfit(f"the {name} that it shows is not the one that the digest binds")
    if "fingerprint" in request and request["fingerprint"] != fingerprint(made):
        raise _unfit("the fingerprint that it shows is not that of its digest")
    for name, what in _MARKS.items():
        if request.get(name) != statement.get(name):
            raise _unfit(f"{what} is not what the digest binds")
    openings = request.get("openings")
    for name in _TEXTS:
        _demand_opened(name, request.get(name), statement.get(name), openings)


def _demand_opened(name: str, shown: object, committed: object, openings: object) -> None:
    if committed is None and shown is None:
        return
    opening = openings.get(name) if isinstance(openings, Mapping) else None
    try:
        salt = bytes.fromhex(opening["salt"]) if isinstance(opening, Mapping) else None
    except (KeyError, TypeError, ValueError):
        salt = None
    if salt is None or not isinstance(shown, str) or commitment(salt, shown) != committed:
        raise _unfit(f"the {name} that it shows is not the one that the digest binds")


def _unfit(what: str) -> CommandFailed:
    return CommandFailed(
        f"do not sign this request: {what}",
        code="shown-is-not-bound",
        rule="what is signed is what was shown",
        hint="tell the operator and the auditor; the broker or something before it shows what is not there",
    )
