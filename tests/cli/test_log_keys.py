"""The log's key is changed by two people; whoever knows the first verifies all that is handed out, and rewrites are caught."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.cli.desk import Desk, Ran

from countersign.auditlog.checkpoint import Checkpoint, sign_checkpoint
from countersign.auditlog.signer import Ed25519Signer, load_key_file

ORIGIN = "test.example/log"


def use(desk: Desk, signer: Ed25519Signer) -> None:
    """Let the broker sign with another key, as after a start with it."""
    object.__setattr__(desk.world.issuing.checkpoints, "signer", signer)  # it is frozen, and nobody else changes it
    object.__setattr__(desk.world.broker.evidence, "key", signer.verifier())


def sign(desk: Desk) -> str:
    note = desk.world.issuing.checkpoints.sign()
    assert note is not None
    return note


def propose(desk: Desk, *args: str) -> Ran:
    return desk.run("frank", "log-key", *args, "--reason", "the yearly change", "--json")


def adopt(desk: Desk, proposed: Ran) -> None:
    assert proposed.code == 0, proposed.err
    told = proposed.json()
    ran = desk.run("grace", "catalog", "approve", told["id"], "--digest", told["digest"])
    assert ran.code == 0, ran.err


def change(desk: Desk, path: Path) -> Ed25519Signer:
    """Change the key for a new one, in the steps that the documentation names."""
    old = desk.world.issuing.checkpoints.signer.verifier().vkey()
    made = desk.run(None, "log-key", "make", str(path), "--origin", ORIGIN)
    assert made.code == 0, made.err
    path.with_suffix(".vkey").write_text(made.out)
    adopt(desk, propose(desk, "add", str(path.with_suffix(".vkey"))))
    sign(desk)
    new = load_key_file(path)
    use(desk, new)
    desk.granted("orders-db-thrice")
    sign(desk)
    adopt(desk, propose(desk, "drop", old))
    sign(desk)
    return new


def first_key(desk: Desk) -> str:
    desk.granted()
    sign(desk)
    return desk.world.issuing.checkpoints.signer.verifier().vkey()


def test_whoever_knows_the_first_key_verifies_all_that_is_handed_out_after_two_changes(
    desk: Desk, tmp_path: Path
) -> None:
    first = first_key(desk)
    change(desk, tmp_path / "second")
    third = change(desk, tmp_path / "third")
    desk.run("erin", "evidence", str(tmp_path / "live.zip"), "--from", "2026-11-01", "--to", "2026-11-30")
    assert desk.run("erin", "export", str(tmp_path / "export")).code == 0
    copy = ("--copy", str(tmp_path / "export"), "--key", first)
    packed = desk.run(None, "evidence", str(tmp_path / "copy.zip"), "--from", "2026-11-01", "--to", "2026-11-30", *copy)
    assert packed.code == 0, packed.err
    for who, *what in (
        ("erin",),
        (None, str(tmp_path / "export")),
        (None, "--database", f"sqlite:///{desk.database}"),
        (None, str(tmp_path / "live.zip")),
        (None, str(tmp_path / "copy.zip")),
    ):
        ran = desk.run(who, "verify", *what, "--key", first)
        assert ran.code == 0, (what, ran.out)
        assert ran.out.count("frank and grace brought in the key") == 2
        assert third.verifier().vkey() in ran.out
    shown = desk.run("bob", "log-key", "show", "--json").json()
    assert (shown["signs"], shown["may_sign"], shown["waiting"]) == (third.verifier().vkey(), [shown["signs"]], [])


def test_without_the_handovers_or_with_a_key_that_nobody_named_the_key_is_named(desk: Desk, tmp_path: Path) -> None:
    first = first_key(desk)
    second = change(desk, tmp_path / "second")
    assert desk.run("erin", "export", str(tmp_path / "export")).code == 0
    shutil.rmtree(tmp_path / "export" / "handovers")
    ran = desk.run(None, "verify", str(tmp_path / "export"), "--key", first, "--json")
    assert (ran.code, [each["code"] for each in ran.json()["failures"]]) == (1, ["checkpoint-signature"])
    assert second.verifier().key_id.hex() in ran.json()["failures"][0]["detail"]
    stranger = Ed25519Signer.generate(ORIGIN)
    use(desk, stranger)
    desk.granted()
    assert sign(desk) == desk.world.broker.publication.checkpoint()
    assert stranger.verifier().key_id.hex() not in sign(desk)
    assert desk.run("erin", "verify", "--key", first).code == 0


def test_what_the_retired_key_signs_afterwards_counts_for_nothing(desk: Desk, tmp_path: Path) -> None:
    first = first_key(desk)
    old = desk.world.issuing.checkpoints.signer
    change(desk, tmp_path / "second")
    assert isinstance(old, Ed25519Signer)
    use(desk, old)
    desk.granted("orders-db-thrice")
    # The broker itself would not sign with it: somebody does who kept the key and has the database.
    with desk.world.store.begin() as tx:
        head = tx.head()
        tx.add_checkpoint(head, sign_checkpoint(Checkpoint(origin=ORIGIN, size=head.size, root=head.root), [old]))
    ran = desk.run("erin", "verify", "--key", first, "--json")
    assert (ran.code, [each["code"] for each in ran.json()["failures"]]) == (1, ["key-retired"])


def test_the_key_that_signs_is_not_left_out_before_another_signs(desk: Desk, tmp_path: Path) -> None:
    first = first_key(desk)
    made = desk.run(None, "log-key", "make", str(tmp_path / "second"), "--origin", ORIGIN)
    adopt(desk, propose(desk, "add", made.out.strip()))
    refused = propose(desk, "drop", first)
    assert (refused.code, refused.err.count("leaves out the key that signs the log now")) == (2, 1)
    shown = desk.run("bob", "log-key", "show")
    assert "not handed over yet" in shown.out
    sign(desk)
    assert "not handed over yet" not in desk.run("bob", "log-key", "show").out


@pytest.mark.parametrize("given", ["x+y+z", "nothing", "another log's"])
def test_what_is_no_key_of_this_log_is_not_proposed(desk: Desk, given: str) -> None:
    first_key(desk)
    other = Ed25519Signer.generate("other.example/log").verifier().vkey()
    assert propose(desk, "add", other if given == "another log's" else given).code == 2


def test_a_key_is_made_once_and_open_to_nobody(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert desk.run(None, "log-key", "make", str(path), "--origin", ORIGIN, "--json").code == 0
    assert path.stat().st_mode & 0o077 == 0
    again = desk.run(None, "log-key", "make", str(path), "--origin", ORIGIN)
    assert (again.code, "left alone" in again.err) == (2, True)
    assert desk.run(None, "log-key", "make", str(tmp_path / "b"), "--origin", "a b").code == 2
