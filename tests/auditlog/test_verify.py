"""The tamper corpus: whatever is done to a log, somebody who kept a checkpoint sees it, and the row is named."""

from __future__ import annotations

import itertools
import json
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.quick import histories

from countersign.auditlog import bulk
from countersign.auditlog.anchors import Head
from countersign.auditlog.bulk import verify_directory
from countersign.auditlog.checkpoint import Checkpoint, sign_checkpoint
from countersign.auditlog.leaf import Entry, Leaf
from countersign.auditlog.merkle import EMPTY_ROOT, leaf_hash, root_of
from countersign.auditlog.note import Signature, sign_note
from countersign.auditlog.report import MOST_FAILURES, Report
from countersign.auditlog.signer import Ed25519Signer
from countersign.auditlog.tiles import LogDirectory, encode_bundle, write_directory
from countersign.auditlog.tree import Tree
from countersign.auditlog.verify import verify_entries

SIGNER = Ed25519Signer.generate("log.example/audit")
START = datetime(2026, 11, 22, tzinfo=UTC)
SIZE = 600


def entry(index: int, **change: object) -> Entry:
    leaf = Leaf(type="t", at=START + timedelta(seconds=index), actor="a", subject="s", data={"n": index} | change)
    return Entry(index, leaf.encode(), leaf_hash(leaf.encode()))


def at_time(index: int, at: datetime) -> Entry:
    raw = replace(Leaf.decode(LOG[index].leaf), at=at).encode()
    return Entry(index, raw, leaf_hash(raw))


def root(entries: Sequence[Entry]) -> bytes:
    return root_of([leaf_hash(item.leaf) for item in entries])


def signed(entries: Sequence[Entry], signer: Ed25519Signer = SIGNER) -> str:
    return sign_checkpoint(Checkpoint(origin=signer.name, size=len(entries), root=root(entries)), [signer])


def renumbered(entries: Sequence[Entry]) -> list[Entry]:
    return [replace(item, index=at) for at, item in enumerate(entries)]


LOG = [entry(at) for at in range(SIZE)]
KEPT = [signed(LOG[:size]) for size in (0, 100, 256, 300, SIZE)]
HEAD = Head(size=SIZE, root=root(LOG))


def check(entries: Sequence[Entry], *, head: Head | None = HEAD, checkpoints: Sequence[str] = tuple(KEPT)) -> Report:
    return verify_entries(entries, head=head, checkpoints=checkpoints, verifiers=[SIGNER.verifier()])


def found(report: Report) -> list[tuple[int | None, str]]:
    return [(item.index, item.code) for item in report.failures]


def test_an_honest_log_verifies() -> None:
    report = check(LOG)
    assert report.ok
    assert report.as_json() == {"ok": True, "size": SIZE, "root": root(LOG).hex(), "failures": []}
    assert check([], head=Head(size=0, root=EMPTY_ROOT), checkpoints=KEPT[:1]).ok
    assert check([replace(item, leaf_hash=None) for item in LOG]).ok
    assert verify_entries(iter(LOG), head=None, checkpoints=(), verifiers=()).ok


@given(seed=st.integers(0, 2**32))
@histories(ci=500, nightly=10_000)
def test_no_clean_random_log_raises_an_alarm(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a seeded history, no secret
    moment, entries = START, []
    for index in range(chance.randrange(chance.choice((3, 30, 30, 600)))):
        moment += timedelta(milliseconds=chance.randrange(-1, 5_000))
        leaf = Leaf(type="t", at=moment, actor=chance.choice("abc"), subject="s", data={"n": chance.random() < 0.5})
        entries.append(Entry(index, leaf.encode(), leaf_hash(leaf.encode())))
    sizes = [chance.randrange(len(entries) + 1) for _ in range(4)]
    report = check(
        entries,
        head=Head(size=len(entries), root=root(entries)),
        checkpoints=[signed(entries[:size]) for size in sizes],
    )
    assert report.ok, report.as_json()


def test_an_edited_row_is_named_and_so_is_the_first_root_that_does_not_fit() -> None:
    edited = [*LOG[:150], replace(LOG[150], leaf=entry(150, lie=True).leaf), *LOG[151:]]
    assert found(check(edited))[0] == (150, "leaf-hash")
    assert found(check(edited))[1:] == [(100, "root-mismatch")] * 4


@given(at=st.integers(0, SIZE - 1), byte=st.integers(0, 200), flip=st.integers(1, 255))
@settings(deadline=None, max_examples=40)
def test_every_flipped_byte_names_its_row(at: int, byte: int, flip: int) -> None:
    raw = bytearray(LOG[at].leaf)
    raw[byte % len(raw)] ^= flip
    report = check([*LOG[:at], replace(LOG[at], leaf=bytes(raw)), *LOG[at + 1 :]])
    assert (at, "leaf-hash") in found(report)
    assert report.root != HEAD.root


def test_an_edit_with_its_hash_recomputed_is_caught_by_head_and_checkpoints() -> None:
    lie = entry(150, lie=True)
    edited = [*LOG[:150], lie, *LOG[151:]]
    assert found(check(edited)) == [(100, "root-mismatch")] * 4
    rewritten = Head(size=SIZE, root=root(edited))
    assert check(edited, head=rewritten, checkpoints=KEPT[:2]).ok
    assert found(check(edited, head=rewritten, checkpoints=KEPT[:3])) == [(100, "root-mismatch")]


def test_an_edited_stored_hash_is_named_though_the_root_fits() -> None:
    edited = [*LOG[:5], replace(LOG[5], leaf_hash=bytes(32)), *LOG[6:]]
    assert found(check(edited)) == [(5, "leaf-hash")]


def test_a_dropped_row_leaves_a_gap() -> None:
    report = check(LOG[:299] + LOG[300:])
    assert (299, "index-gap") in found(report)
    assert (SIZE - 1, "truncated") in found(report)
    assert [code for _, code in found(report)].count("index-gap") == 1


def test_a_dropped_row_with_the_rest_moved_up_is_caught() -> None:
    moved = renumbered(LOG[:299] + LOG[300:])
    assert found(check(moved)) == [(256, "root-mismatch"), (599, "truncated"), (599, "truncated")]


def test_an_inserted_row_is_caught_with_and_without_renumbering() -> None:
    again = [*LOG[:300], LOG[299], *LOG[300:]]
    assert found(check(again))[0] == (300 - 1, "index-order")
    moved = renumbered([*LOG[:299], entry(299, lie=True), *LOG[299:]])
    assert (256, "root-mismatch") in found(check(moved))
    assert (SIZE, "beyond-head") in found(check(moved))


def test_swapped_rows_are_caught_with_and_without_renumbering() -> None:
    swapped = [*LOG[:9], LOG[10], LOG[9], *LOG[11:]]
    assert [item for item in found(check(swapped)) if item[1].startswith("index")] == [
        (9, "index-gap"),
        (9, "index-order"),
    ]
    moved = check(renumbered(swapped))
    assert found(moved) == [(0, "root-mismatch")] * 5 or found(moved)[0] == (10, "time-backwards")
    assert (0, "root-mismatch") in found(moved)


@pytest.mark.parametrize("left", [0, 1, 299, 300, 599])
def test_a_truncated_log_is_caught_by_its_head_and_by_a_checkpoint_alone(left: int) -> None:
    assert (left, "truncated") in found(check(LOG[:left]))
    rolled_back = Head(size=left, root=root(LOG[:left]))
    report = check(LOG[:left], head=rolled_back, checkpoints=KEPT[-1:])
    assert found(report) == [(left, "truncated")]
    assert report.size == left


def test_rows_beyond_the_head_are_reported() -> None:
    short = Head(size=590, root=root(LOG[:590]))
    assert found(check(LOG, head=short)) == [(590, "beyond-head")]
    assert check(LOG[:590], head=short, checkpoints=KEPT[:-1]).ok


def test_a_fork_is_caught_by_the_checkpoint_of_the_other_branch() -> None:
    fork = LOG[:400] + [entry(at, branch=2) for at in range(400, SIZE)]
    head = Head(size=SIZE, root=root(fork))
    assert found(check(fork, head=head)) == [(300, "root-mismatch")]
    both = [*KEPT, signed(fork)]
    assert found(check(fork, head=head, checkpoints=both)) == [(300, "root-mismatch")]
    assert found(check(LOG, checkpoints=both)) == [(300, "root-mismatch")]


def test_a_checkpoint_of_size_zero_with_another_root_is_caught() -> None:
    lie = sign_checkpoint(Checkpoint(origin=SIGNER.name, size=0, root=bytes(32)), [SIGNER])
    assert found(check(LOG, checkpoints=[lie])) == [(0, "root-mismatch")]


def test_a_rewrite_signed_with_another_key_is_caught() -> None:
    thief = Ed25519Signer.generate(SIGNER.name)
    assert found(check(LOG, checkpoints=[signed(LOG, thief)])) == [(None, "checkpoint-signature")]
    key_id_forged = Signature(name=SIGNER.name, key_id=SIGNER.key_id, signature=thief.sign(b"x"))
    both = sign_note(Checkpoint(origin=SIGNER.name, size=0, root=EMPTY_ROOT).body(), [thief], others=[key_id_forged])
    assert found(check(LOG, checkpoints=[both])) == [(None, "checkpoint-signature")]


def test_a_rewrite_by_somebody_who_holds_database_and_key_is_caught_by_an_earlier_checkpoint() -> None:
    rewritten = [entry(at, history=2) for at in range(SIZE)]
    report = check(rewritten, head=Head(size=SIZE, root=root(rewritten)), checkpoints=[signed(rewritten), KEPT[2]])
    assert found(report) == [(0, "root-mismatch")]


def test_a_checkpoint_of_another_log_is_no_checkpoint_of_this_one() -> None:
    other = Ed25519Signer.generate("other.example")
    text = sign_note(Checkpoint(origin=SIGNER.name, size=SIZE, root=HEAD.root).body(), [other])
    verifiers = [SIGNER.verifier(), other.verifier()]
    for checkpoints in ([text], [KEPT[-1], signed(LOG, other)]):
        report = verify_entries(LOG, head=HEAD, checkpoints=checkpoints, verifiers=verifiers)
        assert found(report) == [(None, "checkpoint-origin")]


@pytest.mark.parametrize("text", ["", "nothing", "x\n\n", "\ud800"])
def test_what_is_no_note_is_reported(text: str) -> None:
    assert found(check(LOG, checkpoints=[text])) == [(None, "checkpoint-signature")]


def test_a_signed_text_that_is_no_checkpoint_is_reported() -> None:
    assert found(check(LOG, checkpoints=[sign_note("hello\n", [SIGNER])])) == [(None, "checkpoint-format")]


def test_one_step_back_of_the_clock_is_one_failure_at_its_row() -> None:
    stepped = LOG[:300] + [at_time(at, START + timedelta(seconds=at - 60)) for at in range(300, SIZE)]
    head = Head(size=SIZE, root=root(stepped))
    assert found(check(stepped, head=head, checkpoints=KEPT[:4])) == [(300, "time-backwards")]
    allowed = verify_entries(stepped, head=head, checkpoints=(), verifiers=(), tolerance=timedelta(seconds=61))
    assert allowed.ok


def test_a_clock_that_creeps_back_below_the_tolerance_is_still_seen() -> None:
    creeping = [at_time(at, START - timedelta(milliseconds=400 * at)) for at in range(4)]
    report = check(creeping, head=None, checkpoints=())
    assert found(report) == [(3, "time-backwards")]


def test_a_leaf_that_is_not_canonical_is_named() -> None:
    raw = LOG[7].leaf.replace(b'"n":7', b'"n": 7')
    edited = [*LOG[:7], Entry(7, raw, leaf_hash(raw)), *LOG[8:]]
    assert found(check(edited, head=None, checkpoints=())) == [(7, "leaf-format")]


def test_a_wrong_stored_node_is_named_and_right_ones_are_not() -> None:
    tree = Tree([leaf_hash(item.leaf) for item in LOG])
    stored = {(level, at): tree.nodes(level, at, at + 1) for level in range(10) for at in range(SIZE >> level)}

    def run(nodes: Callable[[int, int], bytes | None]) -> Report:
        return verify_entries(LOG, head=HEAD, checkpoints=(), verifiers=(), nodes=nodes)

    assert run(lambda level, at: stored.get((level, at))).ok
    for level, at in [(0, 599), (1, 0), (3, 5), (8, 1), (9, 0)]:
        bent = stored | {(level, at): bytes(32)}
        asked: set[tuple[int, int]] = set()

        def lookup(
            level: int, at: int, bent: dict[tuple[int, int], bytes] = bent, asked: set[tuple[int, int]] = asked
        ) -> bytes | None:
            asked.add((level, at))
            return bent.get((level, at))

        assert found(run(lookup)) == [(at << level, "node-mismatch")]
        assert asked == set(stored)


def test_the_report_is_bounded_and_counts_the_rest() -> None:
    wrong = (replace(item, index=at, leaf_hash=bytes(32)) for at, item in enumerate(itertools.repeat(LOG[0], 1_100)))
    report = verify_entries(wrong, head=None, checkpoints=(), verifiers=())
    assert len(report.failures) == MOST_FAILURES
    assert report.as_json()["omitted"] == 100
    assert not report.ok
    assert json.loads(json.dumps(report.as_json()))["failures"][3]["index"] == 3


# --- the same log as a folder of tiles


def directory(folder: Path, entries: Sequence[Entry] = LOG) -> LogDirectory:
    write_directory(folder, [item.leaf for item in entries], signed(entries))
    return LogDirectory(folder)


@pytest.fixture(autouse=True)
def other_processes_are_worth_their_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "WORTH_IT", 0)


def check_folder(log: LogDirectory, *checkpoints: str, processes: int = 1) -> Report:
    return verify_directory(log, checkpoints=checkpoints, verifiers=[SIGNER.verifier()], processes=processes)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 512, 600])
def test_an_honest_folder_verifies_alike_in_bulk_and_entry_by_entry(tmp_path: Path, size: int) -> None:
    log = directory(tmp_path, LOG[:size])
    kept = [signed(LOG[:earlier]) for earlier in range(0, size + 1, 37)]
    report = check_folder(log, *kept)
    assert report.as_json() == {"ok": True, "size": size, "root": root(LOG[:size]).hex(), "failures": []}
    assert check(list(log.entries(size)), head=None, checkpoints=kept) == report


def test_two_processes_find_what_one_finds(tmp_path: Path) -> None:
    log = directory(tmp_path)
    bundle = tmp_path / "tile/entries/001"
    bundle.write_bytes(bundle.read_bytes().replace(b'"n":300', b'"n":301'))
    one, two = check_folder(log, *KEPT), check_folder(log, *KEPT, processes=2)
    assert one == two
    assert found(one) == [
        (300, "leaf-hash"),
        (300, "root-mismatch"),
        (300, "root-mismatch"),
        (256, "node-mismatch"),
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tile/0/000", (0, "leaf-hash")),
        ("tile/0/002.p/88", (512, "leaf-hash")),
        ("tile/1/000.p/2", (0, "node-mismatch")),
    ],
)
def test_a_swapped_tile_is_named(tmp_path: Path, name: str, expected: tuple[int, str]) -> None:
    log = directory(tmp_path)
    path = tmp_path / name
    raw = path.read_bytes()
    path.write_bytes(bytes([raw[0] ^ 1]) + raw[1:])
    assert found(check_folder(log, *KEPT)) == [expected]
    path.write_bytes(raw[:-1])
    assert found(check_folder(log, *KEPT)) == [(expected[0], "tile-format")]
    path.unlink()
    assert found(check_folder(log, *KEPT)) == [(expected[0], "tile-format")]


def test_a_missing_or_cut_bundle_ends_the_reading_and_is_named(tmp_path: Path) -> None:
    log = directory(tmp_path)
    path = tmp_path / "tile/entries/001"
    for change in (lambda: path.write_bytes(path.read_bytes()[:-1]), path.unlink):
        change()
        report = check_folder(log, *KEPT[:4])
        assert found(report) == [(256, "bundle-format"), (256, "truncated"), (256, "truncated")]
        assert report.size == 256


def test_a_bundle_with_an_entry_more_or_less_is_caught(tmp_path: Path) -> None:
    log = directory(tmp_path)
    path = tmp_path / "tile/entries/002.p/88"
    leaves = [item.leaf for item in LOG[512:]]
    for bent in ([*leaves, b"x"], leaves[:-1]):
        path.write_bytes(encode_bundle(bent))
        assert found(check_folder(log))[0] == (512, "bundle-format")


def test_a_folder_rolled_back_or_forked_is_caught_by_a_checkpoint_from_elsewhere(tmp_path: Path) -> None:
    old = directory(tmp_path / "old", LOG[:400])
    assert check_folder(old).ok
    assert found(check_folder(old, KEPT[-1])) == [(400, "truncated")]
    fork = directory(tmp_path / "fork", LOG[:400] + [entry(at, branch=2) for at in range(400, SIZE)])
    assert check_folder(fork, *KEPT[:-1]).ok
    assert found(check_folder(fork, KEPT[3], KEPT[-1])) == [(300, "root-mismatch")]


def test_a_folder_whose_checkpoint_is_missing_or_signed_by_another_is_refused(tmp_path: Path) -> None:
    log = directory(tmp_path)
    thief = Ed25519Signer.generate(SIGNER.name)
    (tmp_path / "checkpoint").write_text(signed(LOG, thief))
    assert found(check_folder(log, *KEPT)) == [(None, "checkpoint-signature")]
    (tmp_path / "checkpoint").write_bytes(b"\xff")
    assert found(check_folder(log)) == [(None, "checkpoint-signature")]
    (tmp_path / "checkpoint").unlink()
    assert found(check_folder(log, KEPT[-1])) == [(None, "checkpoint-format"), (0, "truncated")]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_size_that_nobody_vouched_for_is_read_as_far_as_there_are_entries(tmp_path: Path, processes: int) -> None:
    log = directory(tmp_path, LOG[:512])
    vast = Checkpoint(origin=SIGNER.name, size=2**64 - 1, root=EMPTY_ROOT)
    (tmp_path / "checkpoint").write_text(sign_checkpoint(vast, [SIGNER]))
    report = check_folder(log, KEPT[2], processes=processes)
    assert found(report) == [(512, "bundle-format"), (512, "truncated")]
    assert report.size == 512


@pytest.mark.parametrize("processes", [1, 2])
def test_how_leaves_are_spelled_is_judged_where_it_is_asked_for(tmp_path: Path, processes: int) -> None:
    leaves = [item.leaf for item in LOG[:600]]
    leaves[3] = leaves[3].replace(b'"actor"', b' "actor"')
    leaves[400] = b"[]"
    log = directory(tmp_path, [Entry(index, leaf, leaf_hash(leaf)) for index, leaf in enumerate(leaves)])
    assert check_folder(log, processes=processes).ok
    report = verify_directory(log, checkpoints=[], verifiers=[SIGNER.verifier()], processes=processes, spelling=True)
    assert found(report) == [(3, "leaf-format"), (400, "leaf-format")]


def test_several_tasks_of_bundles_are_joined_in_order(tmp_path: Path) -> None:
    leaves = [b"%d" % at for at in range(130 * 256 + 5)]
    made = Checkpoint(origin=SIGNER.name, size=len(leaves), root=root_of([leaf_hash(leaf) for leaf in leaves]))
    write_directory(tmp_path, leaves, sign_checkpoint(made, [SIGNER]))
    for processes in (1, 2):
        report = check_folder(LogDirectory(tmp_path), processes=processes)
        assert report.ok
        assert (report.size, report.root) == (made.size, made.root)
    path = tmp_path / "tile/entries/129"
    path.unlink()
    one, two = (check_folder(LogDirectory(tmp_path), processes=processes) for processes in (1, 2))
    assert one == two
    assert found(one) == [(129 * 256, "bundle-format"), (129 * 256, "truncated")]


def test_a_bundle_that_is_no_plain_file_is_not_opened(tmp_path: Path) -> None:
    log = directory(tmp_path, LOG[:300])
    path = tmp_path / "tile/entries/000"
    path.unlink()
    os.mkfifo(path)
    assert found(check_folder(log))[0] == (0, "bundle-format")
