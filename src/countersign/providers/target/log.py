"""A PostgreSQL server's own log as a source of records: `jsonlog`, matched by the role's name, which is the lease.

It tells of logins, refused ones too, and of errors without more being set; of each statement's kind where the server logs
statements. Of a statement its first word is kept and nothing else: the text stays with whoever may read the server's log.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from countersign.domain.ids import LEASE, is_id
from countersign.domain.records import Act, Outcome, Record, in_a_line
from countersign.domain.timestamps import trim
from countersign.providers.followed_file import FollowedFile

NO_PRIVILEGE = "42501"
_LOGIN_REFUSED = frozenset({"28000", "28P01", "53300"})
_ENDED_BY_US = frozenset({"57P01", "57P02", "57P03", "57P05"})
_STATEMENT = re.compile(r"(?:statement|execute [^:]{1,80}): \s*([A-Za-z]{1,20})")


class PostgresLog(FollowedFile):
    """Follows the log of the server behind one target.

    Args:
        target_id: the catalog's id of the target.
        path: the server's `log_directory`, or one file in it that is rotated by renaming.
    """

    def __init__(self, target_id: str, path: Path) -> None:
        super().__init__(f"postgresql-log {target_id}", path)
        self._target_id = target_id

    def record_of(self, line: bytes) -> Record | None:
        """Return what a line tells of a lease."""
        return record_of(line)

    def concerns(self, target: Mapping[str, Any]) -> bool:
        """Say whether it is this target."""
        return target.get("id") == self._target_id and target.get("kind") == "postgresql"

    def blind_to(self, grants: Mapping[str, Any]) -> str | None:  # noqa: ARG002 -- the seam's signature
        """Return None: whoever uses a login connects first. A session that goes on is seen by looking at sessions."""
        return None


def record_of(line: bytes) -> Record | None:
    """Return what a line tells of a lease; None for what others did, and for what is no use.

    Raises:
        ValueError: it is no line of jsonlog, or its time is not UTC's (others of `UNREADABLE` where its values are of no use).
    """
    entry = json.loads(line)
    user, message, severity = entry.get("user"), str(entry["message"]), entry["error_severity"]
    if not isinstance(user, str) or not is_id(user, LEASE):
        return None
    told = _told(severity, str(entry.get("state_code", "")), message)
    if told is None:
        return None
    what, outcome = told
    return Record(
        at=_moment(entry["timestamp"]),
        act=Act.USE,
        outcome=outcome,
        what=in_a_line(what),
        lease_id=user,
        mark=in_a_line(f"{entry.get('session_id')}/{entry.get('line_num')}")[:80],
        seen={
            "from": in_a_line(str(entry.get("remote_host", ""))),
            "database": in_a_line(str(entry.get("dbname", ""))),
        },
    )


def time_of(line: bytes) -> datetime:
    """Return when a line was written.

    Raises:
        ValueError: it is no line of jsonlog, or its time is not UTC's (others of `UNREADABLE` where its values are of no use).
    """
    return _moment(json.loads(line)["timestamp"])


def _told(severity: object, code: str, message: str) -> tuple[str, Outcome] | None:
    if severity == "LOG":
        if message.startswith("connection authorized:"):
            return "login", Outcome.DONE
        statement = _STATEMENT.match(message)
        return None if statement is None else (f"statement {statement[1].upper()}", Outcome.DONE)
    if severity not in {"ERROR", "FATAL"} or code in _ENDED_BY_US:
        return None
    if code in _LOGIN_REFUSED:
        return f"login ({code})", Outcome.REFUSED
    if code == NO_PRIVILEGE:
        return message, Outcome.REFUSED
    # Other messages may quote what stood in the statement.
    return f"error {code}", Outcome.FAILED


def _moment(text: object) -> datetime:
    day, _, zone = str(text).rpartition(" ")
    if zone not in {"UTC", "GMT"}:
        raise ValueError("log_timezone is not UTC")
    return trim(datetime.fromisoformat(day).replace(tzinfo=UTC))
