"""The log's keys change by two people, under a checkpoint of the one before: who trusts the first follows, and nobody else is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from countersign.auditlog.bulk import verify_directory
from countersign.auditlog.checkpoint import Checkpoint, sign_checkpoint
from countersign.auditlog.leaf import Entry, Leaf
from countersign.auditlog.merkle import leaf_hash, root_of
from countersign.auditlog.report import Report
from countersign.auditlog.signer import Ed25519Signer
from countersign.auditlog.tiles import LogDirectory, handover_path, write_directory
from countersign.auditlog.verify import verify_entries

ORIGIN = "log.example/audit"
FIRST, SECOND, THIRD, STRANGER = (Ed25519Signer.generate(ORIGIN) for _ in range(4))
START = datetime(2026, 11, 22, tzinfo=UTC)
AUTHORS = ("frank", "grace")

Fact = tuple[str, dict[str, Any]]
Verify = Callable[[Sequence[Entry], str, Sequence[str]], Report]


def named(*signers: Ed25519Signer, by: tuple[str | None, str | None] = AUTHORS, genesis: bool = False) -> list[Fact]:
    keys = [each.verifier().vkey() for each in signers]
    row = {"section": "catalog/trust", "id": None, "value": {"log_keys": keys}}
    adopted = {"genesis": genesis, "proposed_by": by[0], "approved_by": by[1]}
    return [("rulebook.written", {"rows": [row]}), ("rulebook.adopted", adopted)]


def things(count: int) -> list[Fact]:
    return [("thing", {"n": at}) for at in range(count)]


def log_of(*facts: Fact) -> list[Entry]:
    made = []
    for index, (type_, data) in enumerate(facts):
        at = START + timedelta(seconds=index)
        raw = Leaf(type=type_, at=at, actor="a", subject="rulebook", data=data).encode()
        made.append(Entry(index, raw, leaf_hash(raw)))
    return made


def signed(log: Sequence[Entry], size: int, signer: Ed25519Signer) -> str:
    root = root_of([leaf_hash(each.leaf) for each in log[:size]])
    return sign_checkpoint(Checkpoint(origin=ORIGIN, size=size, root=root), [signer])


@pytest.fixture(params=["entries", "tiles"])
def verify(request: pytest.FixtureRequest, tmp_path: Path) -> Verify:
    """Verify with the first key alone: entry by entry, or as a folder of tiles."""

    def by_entries(log: Sequence[Entry], newest: str, handovers: Sequence[str]) -> Report:
        trusted = [FIRST.verifier()]
        return verify_entries(log, head=None, checkpoints=[newest], verifiers=trusted, handovers=handovers)

    def by_tiles(log: Sequence[Entry], newest: str, handovers: Sequence[str]) -> Report:
        write_directory(tmp_path, [each.leaf for each in log], newest)
        (tmp_path / "handovers").mkdir(exist_ok=True)
        for note in handovers:
            (tmp_path / handover_path(note)).write_text(note)
        return verify_directory(LogDirectory(tmp_path), checkpoints=[], verifiers=[FIRST.verifier()])

    return by_entries if request.param == "entries" else by_tiles


def codes(report: Report) -> list[str]:
    return [failure.code for failure in report.failures]


LONG = log_of(
    *things(300), *named(FIRST, SECOND), *things(3), *named(SECOND), *things(300), *named(SECOND, THIRD), *things(2)
)
"""The second key comes in at entry 301 and is alone from 306; the third comes in at 608."""
HANDED = [signed(LONG, 303, FIRST), signed(LONG, 609, SECOND)]


def test_whoever_trusts_the_first_key_follows_every_change_by_two_people(verify: Verify) -> None:
    report = verify(LONG, signed(LONG, 611, THIRD), HANDED)
    assert report.ok
    assert [(each.verifier, each.index, each.by) for each in report.keys] == [
        (SECOND.verifier(), 301, AUTHORS),
        (THIRD.verifier(), 608, AUTHORS),
    ]


def test_the_old_key_and_the_new_may_sign_at_one_size(verify: Verify) -> None:
    log = log_of(*things(5), *named(FIRST, SECOND))
    assert verify(log, signed(log, 7, SECOND), [signed(log, 7, FIRST)]).ok


@pytest.mark.parametrize("missing", [0, 1])
def test_a_key_that_no_earlier_one_brought_in_is_named(verify: Verify, missing: int) -> None:
    report = verify(LONG, signed(LONG, 611, THIRD), [HANDED[1 - missing]])
    assert codes(report) == ["checkpoint-signature"]
    assert THIRD.verifier().key_id.hex() in report.failures[0].detail


def test_a_key_that_no_rules_name_is_named(verify: Verify) -> None:
    report = verify(LONG, signed(LONG, 611, STRANGER), HANDED)
    assert codes(report) == ["checkpoint-signature"]
    assert STRANGER.verifier().key_id.hex() in report.failures[0].detail


@pytest.mark.parametrize("by", [("frank", "frank"), ("frank", None), (None, None)])
def test_one_person_brings_no_key_in(verify: Verify, by: tuple[str | None, str | None]) -> None:
    log = log_of(*things(5), *named(FIRST, SECOND, by=by), *things(5))
    assert codes(verify(log, signed(log, 12, SECOND), [signed(log, 8, FIRST)])) == ["checkpoint-signature"]


def test_a_spare_key_of_the_first_rules_is_followed_by_nobody_who_does_not_know_it(verify: Verify) -> None:
    log = log_of(*named(FIRST, SECOND, genesis=True), *things(5))
    assert codes(verify(log, signed(log, 7, SECOND), [signed(log, 4, FIRST)])) == ["checkpoint-signature"]


def test_a_checkpoint_before_the_change_brings_nothing_in(verify: Verify) -> None:
    log = log_of(*things(5), *named(FIRST, SECOND), *things(5))
    assert codes(verify(log, signed(log, 12, SECOND), [signed(log, 6, FIRST)])) == ["checkpoint-signature"]


def test_a_handover_of_another_history_brings_nothing_in(verify: Verify) -> None:
    log = log_of(*things(5), *named(FIRST, SECOND), *things(5))
    other = log_of(*things(4), ("thing", {"n": 99}), *named(FIRST, SECOND), *things(5))
    assert "root-mismatch" in codes(verify(log, signed(log, 12, SECOND), [signed(other, 8, FIRST)]))
    assert not verify(log, signed(log, 12, SECOND), [signed(other, 8, FIRST)]).keys


def test_a_rewrite_with_the_retired_key_is_caught(verify: Verify) -> None:
    """Whoever kept the old key writes on from where the new one took over."""
    rewritten = [*LONG[:310], *log_of(*things(400))[310:]]
    report = verify(rewritten, signed(rewritten, 400, FIRST), HANDED[:1])
    assert codes(report) == ["key-retired"]
    assert "entry 306" in report.failures[0].detail


def test_a_key_cannot_bring_itself_in(verify: Verify) -> None:
    log = log_of(*things(5), *named(FIRST, SECOND), *things(5))
    handed = [signed(log, 8, SECOND)]
    assert codes(verify(log, signed(log, 12, SECOND), handed)) == ["checkpoint-signature"]


def test_whoever_knows_only_the_newest_key_is_not_bothered_by_older_notes() -> None:
    newest = signed(LONG, 611, THIRD)
    report = verify_entries(LONG, head=None, checkpoints=[newest], verifiers=[THIRD.verifier()], handovers=HANDED)
    assert report.ok


def test_rules_that_are_none_bring_nothing_in_and_break_nothing(verify: Verify) -> None:
    strange: list[Fact] = [
        ("rulebook.written", {"rows": [{"section": "catalog/trust", "id": None, "value": {"log_keys": 7}}]}),
        ("rulebook.written", {"rows": [{"section": "catalog/trust", "id": None, "value": {"log_keys": ["x+y+z"]}}]}),
        ("rulebook.adopted", {"proposed_by": "frank", "approved_by": "grace"}),
        ("rulebook.adopted", {}),
    ]
    log = log_of(*things(5), *strange)
    assert verify(log, signed(log, 9, FIRST), []).ok
