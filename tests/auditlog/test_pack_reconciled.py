"""A reconciliation in a pack: extracts and list are held by digests, and the list is made anew from them and the log."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from tests.auditlog.packing import SIGNER, members, packed, repacked, source_of

from countersign.auditlog.pack import verify_pack
from countersign.auditlog.pack.reconciled import REPORT, SHEET, AlreadyReconciled, leases_of, put_into
from countersign.auditlog.reconciliation import Demand, Extract, Kind, Seen, Unmatched, reconcile
from countersign.auditlog.report import Report
from countersign.domain.timestamps import read

KEY = SIGNER.verifier()
NOW = datetime(2026, 11, 30, 12, 0, 0, 123456, tzinfo=UTC)
SOURCE = source_of()
PLAIN = packed(SOURCE)
LEASES = leases_of(SOURCE.entries)
LEASE = next(each for each in LEASES.values() if each.since is not None)

Files = dict[str, bytes]


def verified(pack: io.BytesIO) -> list[tuple[str, str]]:
    return [(failure.code, failure.detail) for failure in verify_pack(pack, verifiers=[KEY]).failures]


def extracts() -> list[Extract]:
    at = read(LEASE.prepared_at) + timedelta(seconds=1)
    used = Seen(kind=Kind.USE, what="use\u2028=1+1\n", lease=LEASE.id, at=at, mark="1")
    strange = Seen(kind=Kind.CREDENTIAL, what="=cmd|read", lease=None, at=NOW, mark="2")
    return [
        Extract(source="audit", sha256="00", items=[used, strange], until=NOW, provider=LEASE.provider),
        Extract(source="roles", sha256="01", items=[], since=at, until=NOW, demand=Demand.ISSUED),
    ]


def reconciled(pack: io.BytesIO = PLAIN, given: list[Extract] | None = None, log: Report | None = None) -> io.BytesIO:
    out, found = io.BytesIO(), extracts() if given is None else given
    about = log or verify_pack(PLAIN, verifiers=[KEY])
    digest = put_into(pack, out, log=about, extracts=found, unmatched=reconcile(LEASES, found))
    assert digest == sha256(members(out)[REPORT]).hexdigest()
    return out


def test_a_pack_with_a_reconciliation_verifies_and_its_other_files_stay_as_they_were() -> None:
    pack = reconciled()
    assert verified(pack) == []
    files = members(pack)
    assert {name: files[name] for name in members(PLAIN)} == members(PLAIN)
    told = json.loads(files[REPORT])["unmatched"]
    assert {each["side"] for each in told} == {"outside", "log"}
    rows = list(csv.reader(io.StringIO(files[SHEET].decode(), newline="")))
    assert len(rows) == len(told) + 1
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "@"))]


def test_a_second_one_is_refused_and_so_is_what_is_no_pack() -> None:
    with pytest.raises(AlreadyReconciled):
        put_into(reconciled(), io.BytesIO(), log=Report(size=0, root=b""), extracts=[], unmatched=[])


def listed(files: Files, name: str, raw: bytes) -> None:
    """Change a file, and its digest in the report."""
    said = json.loads(files[REPORT])
    files[name], said["files"][name] = raw, sha256(raw).hexdigest()
    files[REPORT] = json.dumps(said).encode()


def without_the_strange(files: Files) -> None:
    [used, _] = files["reconciliation/0.ndjson"].splitlines(keepends=True)
    listed(files, "reconciliation/0.ndjson", used)


def with_a_shorter_list(files: Files) -> None:
    said = json.loads(files[REPORT])
    said["unmatched"] = said["unmatched"][1:]
    files[REPORT] = json.dumps(said).encode()


def about_another_log(files: Files) -> None:
    said = json.loads(files[REPORT])
    said["log"]["size"] += 1
    files[REPORT] = json.dumps(said).encode()


TAMPERED: dict[str, Callable[[Files], object]] = {
    "was changed": lambda files: files.update({"reconciliation/0.ndjson": b"{}\n"}),
    "reconciliation/1.ndjson is missing": lambda files: files.pop("reconciliation/1.ndjson"),
    "reconciliation/2.ndjson is not listed": lambda files: files.update({"reconciliation/2.ndjson": b""}),
    "cannot be read": lambda files: files.update({REPORT: b"[]"}),
    "KeyError": lambda files: files.pop(REPORT),
    "items": without_the_strange,
    "would be otherwise": with_a_shorter_list,
    "another log": about_another_log,
}


@pytest.mark.parametrize("detail", TAMPERED)
def test_whatever_is_changed_in_it_is_named(detail: str) -> None:
    files = members(reconciled())
    TAMPERED[detail](files)
    found = verified(repacked(files))
    assert {code for code, _ in found} == {"pack-reconciliation"}
    assert any(detail in said for _, said in found)


@pytest.mark.parametrize("name", [REPORT, SHEET, "reconciliation/0.ndjson"])
def test_a_file_of_it_whose_packed_bytes_are_garbled_is_no_fault_of_the_verification(name: str) -> None:
    raw = reconciled().getvalue()
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        start = archive.getinfo(name).header_offset + 30 + len(name)
    garbled = raw[:start] + b"\xff" * 20 + raw[start + 20 :]
    assert [code for code, _ in verified(io.BytesIO(garbled))] == ["pack-reconciliation"]


def test_a_list_that_was_touched_up_for_a_spreadsheet_is_named() -> None:
    files = members(reconciled())
    listed(files, SHEET, files[SHEET].splitlines(keepends=True)[0])
    assert [code for code, _ in verified(repacked(files))] == ["pack-reconciliation"]


def test_a_list_of_nothing_is_found_out_by_the_extracts() -> None:
    out, about = io.BytesIO(), verify_pack(PLAIN, verifiers=[KEY])
    unmatched: list[Unmatched] = []
    put_into(PLAIN, out, log=about, extracts=extracts(), unmatched=unmatched)
    assert [code for code, _ in verified(out)] == ["pack-reconciliation"]
    matched = [replace(each, items=[], demand=Demand.NONE) for each in extracts()]
    assert verified(reconciled(given=matched)) == []
