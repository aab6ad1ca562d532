"""A reconciliation in a pack: what others wrote down, as it was read, and what neither side explains of the other.

It is the auditor's own, made with his rights and put into a copy of the pack; the pack's other files stay byte for byte.

| path | is |
|---|---|
| `reconciliation/report.json` | the log's size and root, every extract with its digests, and what is unmatched, both ways |
| `reconciliation/unmatched.csv` | the same list for a spreadsheet |
| `reconciliation/<n>.ndjson` | what the n-th extract showed, one thing a line |
"""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from hashlib import sha256
from typing import IO, Any

from countersign.auditlog.meaning.stories import LeaseStory, Stories
from countersign.auditlog.pack.opened import UNREADABLE
from countersign.auditlog.pack.sheet import Sheet
from countersign.auditlog.reconciliation import Demand, Extract, Kind, Seen, Unmatched, reconcile
from countersign.auditlog.report import Report

RECONCILED = "reconciliation/"
REPORT, SHEET = f"{RECONCILED}report.json", f"{RECONCILED}unmatched.csv"
LARGEST = 512 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)


class AlreadyReconciled(ValueError):
    """The pack holds a reconciliation; another one goes into another copy."""


def put_into(
    pack: IO[bytes], out: IO[bytes], *, log: Report, extracts: Sequence[Extract], unmatched: Sequence[Unmatched]
) -> str:
    """Copy a pack with a reconciliation added, and return the SHA-256 of its report, for the auditor to note.

    Raises:
        AlreadyReconciled: there is one in it.
        zipfile.BadZipFile: it is no pack.
    """
    files = {f"{RECONCILED}{number}.ndjson": _lines(extract) for number, extract in enumerate(extracts)}
    files[SHEET] = _sheet(unmatched)
    said = {
        "schema": 1,
        "log": {"size": log.size, "root": log.root.hex()},
        "extracts": [
            {
                **extract.as_json(),
                "since": _moment(extract.since),
                "until": _moment(extract.until),
                "provider": extract.provider,
                "target": extract.target,
                "demand": extract.demand.name,
            }
            for extract in extracts
        ],
        "unmatched": [each.as_json() for each in unmatched],
        "files": {name: sha256(raw).hexdigest() for name, raw in sorted(files.items())},
    }
    report = (json.dumps(said, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()
    pack.seek(0)
    shutil.copyfileobj(pack, out, 1 << 20)
    with zipfile.ZipFile(out, "a") as archive:
        if any(name.startswith(RECONCILED) for name in archive.namelist()):
            raise AlreadyReconciled("the pack holds a reconciliation already")
        for name, raw in (*files.items(), (REPORT, report)):
            member = zipfile.ZipInfo(name, date_time=_EPOCH)
            member.compress_type, member.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(member, raw)
    return sha256(report).hexdigest()


def holds_one(archive: zipfile.ZipFile) -> bool:
    """Say whether a pack holds a reconciliation, whole or not."""
    return any(name.startswith(RECONCILED) for name in archive.namelist())


def leases_of(leaves: Iterable[bytes]) -> dict[str, LeaseStory]:
    """Return every lease of a log by its id; entries that are none are others' to judge."""
    stories = Stories()
    for index, leaf in enumerate(leaves):
        with suppress(KeyError, TypeError, ValueError, AttributeError, RecursionError):
            stories.feed(index, json.loads(leaf))
    return {lease.id: lease for _, lease in stories.leases()}


def wrong_in(archive: zipfile.ZipFile, *, log: Report, leases: Mapping[str, LeaseStory] | None) -> Iterator[str]:
    """Say what does not hold of a pack's reconciliation: its files by their digests, its log, and its list, made anew.

    Args:
        archive: the pack.
        log: the pack's own log, as it was verified.
        leases: the log's; None leaves the list unjudged.
    """
    try:
        said = json.loads(_read(archive, REPORT))
        listed = dict(said["files"])
        there = {name for name in archive.namelist() if name.startswith(RECONCILED)} - {REPORT}
        for name in sorted(there ^ listed.keys()):
            yield f"{name} is {'not listed' if name in there else 'missing'}"
        for name in sorted(there & listed.keys()):
            if sha256(_read(archive, name)).hexdigest() != listed[name]:
                yield f"{name} was changed"
        if (said["log"]["size"], said["log"]["root"]) != (log.size, log.root.hex()):
            yield "it is about another log than the pack's"
        elif leases is not None:
            extracts = [_extract(archive, number, each) for number, each in enumerate(said["extracts"])]
            made = reconcile(leases, extracts)
            if [each.as_json() for each in made] != said["unmatched"] or _sheet(made) != _read(archive, SHEET):
                yield "made anew from its extracts and this log, what is unmatched would be otherwise"
    except (*UNREADABLE, TypeError, AttributeError, OverflowError) as error:
        yield f"it cannot be read: {type(error).__name__}: {error}"


def _lines(extract: Extract) -> bytes:
    rows = (
        {
            "kind": seen.kind.name,
            "what": seen.what,
            "lease": seen.lease,
            "at": _moment(seen.at),
            "mark": seen.mark,
            "served": seen.served,
        }
        for seen in extract.items
    )
    return "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows).encode()


def _moment(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _sheet(unmatched: Sequence[Unmatched]) -> bytes:
    with io.BytesIO() as file:
        sheet = Sheet(file, ("said_by", "source", "lease", "what_the_other_side_does_not_bear_out"))
        for each in unmatched:
            sheet.row(each.side, each.source, each.lease or "", each.detail)
        sheet.finish()
        return file.getvalue()


def _extract(archive: zipfile.ZipFile, number: int, said: Mapping[str, Any]) -> Extract:
    rows = (
        _read(archive, f"{RECONCILED}{number}.ndjson").decode().splitlines()
    )  # escaped, so that only our own newlines are any
    items = [_seen(json.loads(row)) for row in rows]
    if len(items) != said["items"]:
        raise ValueError(f"extract {number} has {len(items)} items, and says {said['items']}")
    return Extract(
        source=said["source"],
        sha256=said["sha256"],
        items=items,
        since=None if said["since"] is None else datetime.fromisoformat(said["since"]),
        until=datetime.fromisoformat(said["until"]),
        provider=said["provider"],
        target=said["target"],
        demand=Demand[said["demand"]],
    )


def _seen(row: Mapping[str, Any]) -> Seen:
    at = None if row["at"] is None else datetime.fromisoformat(row["at"])
    return Seen(
        kind=Kind[row["kind"]], what=row["what"], lease=row["lease"], at=at, mark=row["mark"], served=row["served"]
    )


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as member:
        raw = member.read(LARGEST + 1)
    if len(raw) > LARGEST:
        raise ValueError(f"{name} is too large")
    return raw
