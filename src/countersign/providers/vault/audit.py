"""OpenBao's audit device as a source of records: a file of JSON lines, matched to leases by what it shows in clear.

Shown in clear are a token's metadata and display name (both hold the lease's id), the request's path, and the caller's address;
tokens, accessors and bodies are HMACs, which are alike for alike values and so serve as pseudonyms. Each act has two lines, a
request and a response; a refused one has its error on both, or on the request alone. The first that tells the outcome counts.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from countersign.domain.records import Act, Outcome, Record, in_a_line, named_lease
from countersign.providers.followed_file import FollowedFile

UNWRAPS = frozenset({"sys/wrapping/unwrap", "sys/wrapping/rewrap"})
_CREDS = frozenset({"creds", "static-creds"})
_ACTS_REMEMBERED = 256
_WRAPPING_POLICY = ["response-wrapping"]


class OpenBaoAudit(FollowedFile):
    """Follows the file of one audit device; each act is told once, whichever of its lines comes first.

    Args:
        path: the file that the audit device writes.
        provider: the catalog's name for the provider behind it.
    """

    def __init__(self, path: Path, *, provider: str = "vault") -> None:
        super().__init__(f"openbao-audit {provider}", path)
        self._provider = provider
        self._told: deque[str] = deque(maxlen=_ACTS_REMEMBERED)

    def record_of(self, line: bytes) -> Record | None:
        """Return what a line tells of an act that was not told yet."""
        record = record_of(line)
        if record is None or record.mark in self._told:
            return None
        self._told.append(record.mark)
        return record

    def concerns(self, target: Mapping[str, Any]) -> bool:
        """Say whether uses at this target pass through OpenBao: those of scoped tokens do, those of logins do not."""
        return target.get("provider") == self._provider and target.get("kind") == "openbao"

    def blind_to(self, grants: Mapping[str, Any]) -> str | None:  # noqa: ARG002 -- the seam's signature
        """Return None: whatever is done with a token is done at OpenBao."""
        return None


def record_of(line: bytes) -> Record | None:
    """Return what a line tells of; None for what concerns no credential.

    Raises:
        ValueError: it is no line of an audit device (others of `UNREADABLE` where its values are of no use).
    """
    entry = _table({"entry": json.loads(line)}, "entry")
    auth, request, response = (_table(entry, name) for name in ("auth", "request", "response"))
    error, path = entry.get("error"), request.get("path")
    if entry.get("type") not in {"request", "response"} or not isinstance(path, str):
        raise ValueError("not an entry")
    if entry["type"] == "request" and not error:
        return None  # its response tells how it went
    at, outcome = _moment(entry.get("time")), _outcome(error)
    if path in UNWRAPS:
        return _delivery(at, outcome, auth, request, response)
    lease = _lease(auth)
    is_read = request.get("mount_type") == "database" and bool(_CREDS & set(path.split("/")))
    if auth.get("policies") == _WRAPPING_POLICY or not (lease or is_read):
        return None
    wrap = _table(response, "wrap_info")
    wraps = is_read and isinstance(wrap.get("token"), str)
    return Record(
        at=at,
        act=Act.READ if is_read else Act.USE,
        outcome=outcome,
        what=in_a_line(f"{request.get('operation')} {path}"),
        lease_id=lease,
        mark=in_a_line(str(request.get("id")))[:80],
        place=str(request.get("mount_point") or path.partition("/")[0]).strip("/"),
        wrapping=_pseudonym(wrap.get("token")) if wraps else None,
        wrapping_until=at + timedelta(seconds=int(wrap.get("ttl") or 0)) if wraps else None,
        seen=_seen(auth, request, response),
    )


def time_of(line: bytes) -> datetime:
    """Return when a line was written, by OpenBao's clock.

    Raises:
        ValueError: it is no line of an audit device (others of `UNREADABLE` where its values are of no use).
    """
    return _moment(_table({"entry": json.loads(line)}, "entry").get("time"))


def _delivery(
    at: datetime, outcome: Outcome, auth: Mapping[str, Any], request: Mapping[str, Any], response: Mapping[str, Any]
) -> Record | None:
    # A wrapping token is presented as the caller's own, or named in the body by another caller.
    named = _table(request, "data").get("token")
    wrapping = _pseudonym(named or auth.get("client_token") or request.get("client_token"))
    lease = (None if named else _lease(auth)) or _lease(_table(response, "auth"))
    if wrapping is None:
        return None
    ttl = auth.get("token_ttl")
    issued = auth.get("token_issue_time")
    until = _moment(issued) + timedelta(seconds=ttl) if not named and type(ttl) is int and issued else None
    return Record(
        at=at,
        act=Act.DELIVERY,
        outcome=outcome,
        what=in_a_line(f"{request.get('operation')} {request.get('path')}"),
        lease_id=lease,
        mark=in_a_line(str(request.get("id")))[:80],
        wrapping=wrapping,
        wrapping_until=until,
        seen=_seen(auth, request, response),
    )


def _lease(auth: Mapping[str, Any]) -> str | None:
    return named_lease(_table(auth, "metadata").get("lease")) or named_lease(auth.get("display_name"))


def _seen(auth: Mapping[str, Any], request: Mapping[str, Any], response: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an alarm shows: who did it as far as OpenBao says so in clear, and OpenBao's own lease."""
    told = {
        "path": request.get("path"),
        "display_name": auth.get("display_name"),
        "policies": ",".join(str(name) for name in auth.get("policies") or ()),
        "remote_address": request.get("remote_address"),
        "openbao_lease": _table(response, "secret").get("lease_id"),
    }
    return {name: in_a_line(str(value)) for name, value in told.items() if value}


def _outcome(error: object) -> Outcome:
    if not error:
        return Outcome.DONE
    return Outcome.REFUSED if "permission denied" in str(error) else Outcome.FAILED


def _pseudonym(value: object) -> str | None:
    return value if isinstance(value, str) and value.startswith("hmac-sha256:") and len(value) <= 80 else None  # noqa: PLR2004 -- the column's width


def _moment(text: object) -> datetime:
    """Read OpenBao's nanoseconds."""
    moment = datetime.fromisoformat(str(text))
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return moment.astimezone(UTC)


def _table(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}
