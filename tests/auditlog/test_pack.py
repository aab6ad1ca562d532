"""Evidence packs: the same bytes from the same log, counts that add up, and every change named to who checks it offline."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import multiprocessing
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.auditlog.forging import honest, place
from tests.auditlog.packing import EVERYTHING, SIGNER, InMemory, members, packed, repacked, source_of
from tests.kinds import KINDS

from countersign.auditlog.bulk import verify_directory
from countersign.auditlog.meaning.detectors import Detectors
from countersign.auditlog.pack import PackRefused, verify_pack, write
from countersign.auditlog.pack.controls import CONTROLS
from countersign.auditlog.pack.populations import POPULATIONS
from countersign.auditlog.pack.program import program_digest, program_files
from countersign.auditlog.pack.selection import Selection, rank
from countersign.auditlog.pack.sheet import harmless
from countersign.auditlog.proof import LogProof, verify_proof
from countersign.auditlog.report import Report
from countersign.auditlog.signer import Ed25519Signer
from countersign.auditlog.tiles import LogDirectory
from countersign.domain.canonical import canonical, commitment

KEY = SIGNER.verifier()


def table(raw: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(raw.decode("utf-8"), newline="")))


def checked(files: Mapping[str, bytes]) -> Report:
    return verify_pack(repacked(dict(files)), verifiers=[KEY])


def test_a_pack_verifies_and_is_the_same_to_the_byte_whenever_it_is_made() -> None:
    source = source_of()
    first, second = packed(source), packed(source)
    assert first.getvalue() == second.getvalue()
    assert verify_pack(first, verifiers=[KEY]).ok


def test_its_log_is_a_plain_tlog_tiles_folder(tmp_path: Path) -> None:
    for name, raw in members(packed(source_of())).items():
        place = tmp_path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(raw)
    report = verify_directory(LogDirectory(tmp_path / "log"), checkpoints=[], verifiers=[KEY])
    assert report.ok
    assert report.size == len(honest())


def test_the_populations_add_up_to_the_size_that_the_checkpoint_names() -> None:
    log = honest()
    files = members(packed(source_of(log)))
    rows = table(files["populations.csv"])
    assert sum(int(row["in_log"]) for row in rows) == len(log)
    counted = {row["type"]: int(row["in_log"]) for row in rows}
    assert (
        counted["grant.opened"] == sum(row["type"] == "grant.opened" for row in log) == len(table(files["grants.csv"]))
    )
    changes = table(files["changes.csv"])
    assert {row["what"] for row in changes} >= {"rule", "role", "alias", "person"}
    later = [row for row in changes if row["proposed_by"]]
    assert [(row["what"], row["id"], row["proposed_by"], row["approved_by"]) for row in later] == [
        ("rule", "another", "frank", "grace")
    ]


def test_every_kind_of_fact_belongs_to_a_population() -> None:
    begins = tuple(begin for _, begin in POPULATIONS)
    assert [kind.type for kind in KINDS if not kind.type.startswith(begins)] == []


def test_each_grant_of_the_table_is_told_as_the_log_tells_it() -> None:
    files = members(packed(source_of()))
    rows = {row["entitlement"]: row for row in table(files["grants.csv"])}
    two = rows["orders-db-write"]
    assert (two["person"], two["approvers"], two["approver_is_requester"]) == ("alice", "bob carol", "no")
    assert (two["credentials"], two["evidence"], two["closed_as"]) == ("1", "observed", "ended")
    assert json.loads(files["rulebooks/in-force.json"])["rulebook"] == 2
    events = files["events/000000.ndjson"].decode().splitlines()
    assert [json.loads(event)["metadata"]["sequence"] for event in events] == list(range(len(honest())))


def test_every_proof_of_the_sample_stands_by_itself() -> None:
    files = members(packed(source_of()))
    proofs = [name for name in files if name.endswith(".tlog-proof")]
    assert len(proofs) > 20
    for name in proofs:
        proof = LogProof.decode(files[name])
        verify_proof(proof, files[name.replace(".tlog-proof", ".json")], log=KEY)


def test_a_sample_can_be_drawn_again_by_anybody() -> None:
    files = members(packed(source_of(), replace(EVERYTHING, sample=2, seed="dice")))
    grants = [row["grant"] for row in table(files["grants.csv"])]
    drawn = sorted(grants, key=lambda grant: hashlib.sha256(f"countersign/sample/v1\ndice\n{grant}".encode()).digest())[
        :2
    ]
    assert drawn == sorted(grants, key=lambda grant: rank("dice", grant))[:2]
    assert {name for name in files if name.startswith("grants/")} == {f"grants/{grant}.html" for grant in drawn}


@pytest.mark.parametrize(
    ("narrowed", "grants"),
    [
        ({"person": "dave"}, 1),
        ({"person": "nobody"}, 0),
        ({"entitlement": "orders-db-write"}, 1),
        ({"since": "2026-12-01T00:00:00.000Z"}, 0),
        ({"until": "2026-11-22T09:00:00.000Z"}, 2),
        ({"person": "alice", "entitlement": "orders-db-thrice"}, 2),
    ],
)
def test_a_pack_reports_on_what_was_selected_and_holds_the_whole_log(narrowed: dict[str, Any], grants: int) -> None:
    pack = packed(source_of(), replace(EVERYTHING, **narrowed))
    assert len(table(members(pack)["grants.csv"])) == grants
    report = verify_pack(pack, verifiers=[KEY])
    assert report.ok, report.failures
    assert report.size == len(honest())


def changed(name: str, change: Callable[[bytes], bytes]) -> Callable[[dict[str, bytes]], None]:
    def tamper(files: dict[str, bytes]) -> None:
        found = next(each for each in files if re.fullmatch(name, each))
        files[found] = change(files[found])

    return tamper


def and_the_manifest(name: str, change: Callable[[bytes], bytes]) -> Callable[[dict[str, bytes]], None]:
    """Change a file, and its digest in the manifest too."""

    def tamper(files: dict[str, bytes]) -> None:
        files[name] = change(files[name])
        manifest = json.loads(files["manifest.json"])
        manifest["files"][name] = {"sha256": hashlib.sha256(files[name]).hexdigest(), "bytes": len(files[name])}
        files["manifest.json"] = json.dumps(manifest).encode()

    return tamper


def said(**other: Any) -> Callable[[bytes], bytes]:  # noqa: ANN401 - whatever a manifest may say
    return lambda raw: json.dumps(json.loads(raw) | other).encode()


def cut(raw: bytes) -> bytes:
    return raw[:-1]


def flipped(raw: bytes) -> bytes:
    return raw[:40] + bytes([raw[40] ^ 1]) + raw[41:]


@pytest.mark.parametrize(
    ("tamper", "code"),
    [
        (changed("grants.csv", lambda raw: raw.replace(b"bob", b"eve")), "pack-file"),
        (changed(r"grants/.*", lambda raw: raw.replace(b"bob", b"eve")), "pack-file"),
        (changed(r"proofs/.*tlog-proof", cut), "pack-file"),
        (changed("log/tile/entries/.*", flipped), "leaf-hash"),
        (changed("log/tile/0/.*", flipped), "leaf-hash"),
        (changed("log/checkpoint", cut), "checkpoint-signature"),
        (lambda files: files.pop("findings.csv"), "pack-file"),
        (lambda files: files.update({"more.html": b"<script>"}), "pack-file"),
        (lambda files: files.pop("manifest.json"), "pack-format"),
        (changed("manifest.json", lambda _: b"[]"), "pack-format"),
        (changed("manifest.json", said(selection={"since": 1})), "pack-format"),
        (changed("manifest.json", said(size=3)), "pack-report"),
        (changed("manifest.json", said(program={"digest": "0" * 64, "version": "9"})), "pack-program"),
        (and_the_manifest("grants.csv", lambda raw: raw.replace(b"bob", b"eve")), "pack-report"),
        (and_the_manifest("index.html", lambda raw: raw.replace(b"bob", b"eve")), "pack-report"),
        (and_the_manifest("openings.json", lambda _: b'{"2":{"reason":{"salt":"00","text":"other"}}}'), "pack-text"),
        (and_the_manifest("openings.json", lambda _: b'{"x":{"reason":{}}}'), "pack-text"),
        (and_the_manifest("openings.json", lambda _: b'{"5":[]}'), "pack-text"),
        (and_the_manifest("log.vkey", lambda _: b"\xff\xfe"), "pack-file"),
        (and_the_manifest("log.vkey", lambda _: Ed25519Signer.generate(SIGNER.name).verifier().vkey().encode()), "pack-file"),
        (lambda files: files.pop("log.vkey"), "pack-file"),
        (lambda files: files.update({"log/README.html": b"all is well"}), "pack-file"),
        (lambda files: files.update({"log/handovers/more": b"all is well"}), "pack-file"),
        (lambda files: files.update({"log/../index.html": b"all is well"}), "pack-format"),
        (lambda files: files.update({"reconciliation/../index.html": b"all is well"}), "pack-format"),
        (lambda files: files.update({"/index.html": b"all is well"}), "pack-format"),
        (lambda files: files.update({"log\\index.html": b"all is well"}), "pack-format"),
        (changed("openings.json", lambda _: b"[]"), "pack-format"),
        (changed("manifest.json", said(files=[])), "pack-format"),
        (changed("manifest.json", said(files={"index.html": None})), "pack-format"),
        (changed("manifest.json", said(program="9")), "pack-format"),
        (changed("manifest.json", said(reviewed_by="somebody")), "pack-report"),
        (changed("manifest.json", lambda raw: raw.replace(b'"version": "', b'"version": "9')), "pack-report"),
    ],
)  # fmt: skip
def test_every_change_of_a_pack_is_named(tamper: Callable[[dict[str, bytes]], object], code: str) -> None:
    files = members(packed(source_of()))
    tamper(files)
    report = checked(files)
    assert not report.ok
    assert code in {failure.code for failure in report.failures}, report.failures


@pytest.mark.parametrize(
    "bent",
    [
        lambda raw: b"<h1>all is well</h1>" + raw,
        lambda raw: raw[:-2] + b"\x0b\x00all is well",
        lambda raw: in_the_index(raw, 8, b"\x01\x00"),
        lambda raw: in_the_index(raw, 10, b"\x63\x00"),
        lambda raw: in_the_index(raw, 42, b"\x00\x00\x00\x00"),
    ],
    ids=["a page before it", "a comment", "enciphered", "packed otherwise", "one file over another"],
)
def test_an_archive_that_others_would_unpack_as_something_else_is_no_pack(bent: Callable[[bytes], bytes]) -> None:
    report = verify_pack(io.BytesIO(bent(packed(source_of()).getvalue())), verifiers=[KEY])
    assert [failure.code for failure in report.failures] == ["pack-format"]


def in_the_index(raw: bytes, at: int, other: bytes) -> bytes:
    """Change what the archive's own index says of its last file."""
    place = raw.rindex(b"PK\x01\x02") + at
    return raw[:place] + other + raw[place + len(other) :]


@pytest.mark.parametrize(
    "name", ["manifest.json", "log.vkey", "index.html", "log/checkpoint", "log/tile/entries/000.p/75"]
)
def test_a_file_whose_packed_bytes_are_garbled_is_named_whichever_it_is(name: str) -> None:
    raw = packed(source_of()).getvalue()
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        start = archive.getinfo(name).header_offset + 30 + len(name)
    report = verify_pack(io.BytesIO(raw[:start] + b"\xff" * 20 + raw[start + 20 :]), verifiers=[KEY])
    assert any(name in failure.detail for failure in report.failures)


def test_a_pack_of_a_forged_log_that_is_signed_anew_fails_by_the_key_and_by_what_it_means() -> None:
    log = honest()
    log[place(log, "review.recorded", 0)]["actor"] = "alice"
    thief = Ed25519Signer.generate(SIGNER.name)
    entries = [canonical(row) for row in log]
    by_thief = verify_pack(packed(InMemory(entries=entries, signer=thief)), verifiers=[KEY])
    assert "checkpoint-signature" in {failure.code for failure in by_thief.failures}
    by_insider = verify_pack(packed(InMemory(entries=entries)), verifiers=[KEY])
    assert by_insider.failures[0].code == "self-review"
    assert verify_pack(packed(InMemory(entries=entries)), verifiers=[KEY], meaning=False).ok
    earlier = source_of().checkpoint
    convicted = verify_pack(packed(InMemory(entries=entries)), verifiers=[KEY], checkpoints=[earlier], meaning=False)
    assert [failure.code for failure in convicted.failures] == ["root-mismatch"]


def test_what_is_no_pack_is_said_to_be_none() -> None:
    for raw in (b"", b"PK", b"x" * 1000, packed(source_of()).getvalue()[:-200]):
        assert [failure.code for failure in verify_pack(io.BytesIO(raw), verifiers=[KEY]).failures] == ["pack-format"]


class Elsewhere(InMemory):
    """A log with the checkpoint of another one."""

    @property
    def checkpoint(self) -> str:
        return source_of(honest()[:-1]).checkpoint


class Forgotten(InMemory):
    """A log whose key is another than that which signed."""

    @property
    def vkey(self) -> str:
        return Ed25519Signer.generate(SIGNER.name).verifier().vkey()


def test_entries_that_the_checkpoint_does_not_cover_make_no_evidence() -> None:
    entries = source_of().entries
    with pytest.raises(PackRefused, match="not those that the checkpoint covers"):
        packed(Elsewhere(entries=[*entries[:-3], entries[-2], entries[-3]]))
    with pytest.raises(PackRefused, match="not those that the checkpoint covers"):
        packed(Elsewhere(entries=entries[:5]))
    with pytest.raises(PackRefused, match="entry 0 is not what"):
        packed(Elsewhere(entries=[b"{}", *entries[1:]]))
    with pytest.raises(PackRefused, match="not signed by the log's key"):
        packed(Forgotten(entries=entries))


@pytest.fixture
def long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every log counts as a long one, which another process takes down."""
    monkeypatch.setattr(write, "LONG", 1)


def test_a_long_log_that_another_process_takes_down_gives_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    short = packed(source_of()).getvalue()
    monkeypatch.setattr(write, "LONG", 1)
    assert packed(source_of()).getvalue() == short


@pytest.mark.usefixtures("long")
def test_an_entry_that_the_other_process_cannot_tell_of_is_named() -> None:
    log = honest()
    at = place(log, "lease.prepared", 0)
    log[at]["data"]["not_after"] = "tomorrow"
    with pytest.raises(PackRefused, match=f"entry {at} is not what"):
        packed(source_of(log))


class Deadly(InMemory):
    """A log at whose reading the process dies that should take it down."""

    def leaves(self, start: int, end: int) -> Iterator[bytes]:
        for child in multiprocessing.active_children():
            child.kill()
        yield from super().leaves(start, end)


@pytest.mark.usefixtures("long")
def test_a_process_that_dies_over_a_log_fails_the_pack_and_is_no_fault_of_the_log() -> None:
    with pytest.raises(ChildProcessError, match="ended by itself"):
        packed(Deadly(entries=source_of().entries))


def test_what_came_before_the_period_tells_whose_credential_an_event_is_about() -> None:
    log = honest()
    at = place(log, "lease.issued", 0)
    files = members(packed(source_of(log), replace(EVERYTHING, since=log[at]["at"])))
    events = [json.loads(line) for line in files["events/000000.ndjson"].splitlines()]
    issued = next(event for event in events if event["metadata"]["sequence"] == at)
    assert issued["user"]["uid"] == log[place(log, "lease.prepared", 0)]["data"]["person"]


def test_pages_show_texts_escaped_and_hold_no_script() -> None:
    log, text, salt = honest(), "<script>alert('x')</script> & more", b"s" * 16
    index = place(log, "request.submitted", 0)
    data = log[index]["data"]
    bound = commitment(salt, text)
    assert data["reason"] != bound
    source = source_of(log)
    source.openings = {index: {"reason": (salt, text)}}
    pages = b"".join(raw for name, raw in members(packed(source)).items() if name.endswith(".html"))
    assert b"&lt;script&gt;" in pages
    assert b"<script" not in pages
    assert b"Content-Security-Policy" in pages


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "|x", "%0a"])
def test_no_cell_begins_like_a_formula(text: str) -> None:
    assert harmless(text) == f"'{text}"


@given(st.text())
def test_no_cell_of_any_text_begins_like_a_formula(text: str) -> None:
    assert not str(harmless(text)).startswith(("=", "+", "-", "@", "\t", "\r"))


def test_every_control_links_to_a_file_that_is_in_the_pack() -> None:
    files = members(packed(source_of()))
    page = files["index.html"].decode()
    links = set(re.findall(r'href="([^"]+)"', page))
    assert links <= files.keys()
    assert {row.framework for row in CONTROLS} == {"SEC 17a-4(f)", "FINRA", "SOX ITGC", "NIST 800-53", "PCI DSS 4.0.1"}
    assert "compliant" in page
    assert not re.search(r"\bis compliant|ensures compliance|certified", page)


def test_the_program_is_digested_file_by_file_with_its_templates() -> None:
    names = program_files()
    assert {"auditlog/pack/write.py", "auditlog/pack/templates/index.html", "domain/review.py"} <= names.keys()
    manifest = json.loads(members(packed(source_of()))["manifest.json"])
    assert (manifest["program"]["digest"], manifest["program"]["files"]) == (program_digest(), names)


def test_what_the_detectors_find_in_the_period_stands_in_the_pack() -> None:
    log = honest()
    refused = {
        "v": 1,
        "type": "act.refused",
        "at": log[-1]["at"],
        "actor": "alice",
        "subject": "=cmd()",
        "data": {"principal": "alice", "act": "approve", "code": "self-review", "rule": None},
    }
    log.append(refused)
    found = Detectors()
    for index, row in enumerate(log):
        found.feed(index, row)
    files = members(packed(source_of(log)))
    assert [int(row["entry"]) for row in table(files["findings.csv"])] == [each.index for each in found.finish()]
    assert files["index.html"].count(b"self-approval-attempt") == 1


def test_a_selection_that_is_none_is_refused() -> None:
    good = EVERYTHING.document()
    assert Selection.of(good) == EVERYTHING
    for bad in (good | {"sample": 10_000}, good | {"person": 3}, {"since": "x"}):
        with pytest.raises((KeyError, TypeError, ValueError)):
            Selection.of(bad)
