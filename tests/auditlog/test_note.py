"""Notes: what others published, round trips, and everything hostile that could stand in one."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from countersign.auditlog.checkpoint import (
    Checkpoint,
    CheckpointRefused,
    OtherOrigin,
    open_checkpoint,
    parse_body,
    sign_checkpoint,
)
from countersign.auditlog.merkle import EMPTY_ROOT, leaf_hash
from countersign.auditlog.note import (
    CosignatureVerifier,
    Ed25519Verifier,
    NotAKey,
    NoteRefused,
    Signature,
    cosigned_at,
    cosigned_message,
    open_note,
    parse_note,
    read_vkey,
    sign_note,
)
from countersign.auditlog.signer import Ed25519Signer, KeyFileRefused, create_key_file, load_key_file

ORIGIN = "log.example/audit"
# Fixed keys: what stands in the names of tests must be the same in every process that runs some of them.
SIGNER = Ed25519Signer(name=ORIGIN, private_key=Ed25519PrivateKey.from_private_bytes(bytes(31) + b"1"))
OTHER = Ed25519Signer(name="other.example", private_key=Ed25519PrivateKey.from_private_bytes(bytes(31) + b"2"))
TEXT = "one line\n\nand another ü\n"

# Published with golang.org/x/mod/sumdb/note (note_test.go, BSD): a key pair and what it signs.
GO_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_SKEY = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)  # fmt: skip
GO_NOTE = (
    GO_TEXT
    + "\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


def cosign(text: str, key: Ed25519PrivateKey, name: str, at: int) -> tuple[CosignatureVerifier, Signature]:
    verifier = CosignatureVerifier(name=name, public_key=key.public_key().public_bytes_raw())
    signature = at.to_bytes(8, "big") + key.sign(cosigned_message(at, text.encode()))
    return verifier, Signature(name=name, key_id=verifier.key_id, signature=signature)


def test_the_published_note_of_the_go_package_verifies_and_is_reproduced(tmp_path: Path) -> None:
    verifier = read_vkey(GO_VKEY)
    note = open_note(GO_NOTE.encode(), [verifier])
    assert note.text == GO_TEXT
    assert note.signed_by(verifier)
    assert verifier.vkey() == GO_VKEY
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_text(GO_SKEY + "\n")
    assert sign_note(GO_TEXT, [load_key_file(path)]) == GO_NOTE


def test_no_mangled_verifier_key_is_read() -> None:
    mangled = [GO_VKEY[:at] + chr(ord(GO_VKEY[at]) + 1) + GO_VKEY[at + 1 :] for at in range(len(GO_VKEY))]
    cut = [GO_VKEY[start:end] for start in range(len(GO_VKEY)) for end in range(start, len(GO_VKEY) + 1)]
    for text in [*mangled, *(item for item in cut if item != GO_VKEY)]:
        with pytest.raises(NotAKey):
            read_vkey(text)
    for text in (
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",  # a kind that nobody assigned
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",  # a key too long
        "a b" + SIGNER.verifier().vkey()[len(ORIGIN) :],
    ):
        with pytest.raises(NotAKey):
            read_vkey(text)


@given(
    text=st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]) | st.just("\n")).map(lambda text: text + "\n")
)
def test_every_text_comes_back_from_its_note(text: str) -> None:
    raw = sign_note(text, [SIGNER, OTHER]).encode()
    note = open_note(raw, [SIGNER.verifier()])
    assert note.text == text
    assert [item.name for item in note.verified] == [ORIGIN]
    assert [item.name for item in note.ignored] == ["other.example"]
    assert open_note(raw, [OTHER.verifier()]).signed_by(OTHER.verifier())


@given(at=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_no_flipped_byte_of_a_note_is_vouched_for(at: int, flip: int) -> None:
    raw = sign_note(TEXT, [SIGNER]).encode()
    at %= len(raw)
    with pytest.raises(NoteRefused):
        open_note(raw[:at] + bytes([raw[at] ^ flip]) + raw[at + 1 :], [SIGNER.verifier()])


def test_unknown_signatures_are_ignored_and_a_failing_known_one_condemns_the_note() -> None:
    forged = Signature(name=OTHER.name, key_id=OTHER.key_id, signature=b"x" * 64)
    raw = sign_note(TEXT, [SIGNER], others=[forged]).encode()
    assert open_note(raw, [SIGNER.verifier()]).text == TEXT
    with pytest.raises(NoteRefused, match=r"other\.example does not verify"):
        open_note(raw, [SIGNER.verifier(), OTHER.verifier()])
    with pytest.raises(NoteRefused, match="no key"):
        open_note(raw, [])
    namesake = Ed25519Signer.generate(ORIGIN).verifier()
    with pytest.raises(NoteRefused, match="no key"):
        open_note(raw, [namesake])


def test_a_repeated_signature_counts_once() -> None:
    line = parse_note(sign_note(TEXT, [SIGNER]).encode()).signatures[0]
    note = open_note(sign_note(TEXT, [SIGNER], others=[line]).encode(), [SIGNER.verifier()])
    assert note.verified == (line,)


def test_a_note_has_room_for_sixteen_signatures_of_the_largest_kind() -> None:
    witnesses = [Signature(name=f"w{at}.example", key_id=bytes([at] * 4), signature=bytes(5_000)) for at in range(15)]
    note = open_note(sign_note(TEXT, [SIGNER], others=witnesses).encode(), [SIGNER.verifier()])
    assert note.ignored == tuple(witnesses)
    with pytest.raises(NoteRefused, match="at most 100"):
        sign_note(TEXT, [SIGNER], others=witnesses * 7)


GOOD = sign_note(TEXT, [SIGNER])
LINE = GOOD[len(TEXT) + 1 :]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\n",
        b"\n\n",
        TEXT.encode(),
        GOOD.encode()[:-1],
        GOOD.encode() + b"\n",
        GOOD.encode() + b"tail\n",
        GOOD.encode() + b"\n" + LINE.encode()[:-1],
        b"\xff" + GOOD.encode(),
        b"\xed\xa0\x80" + GOOD.encode(),
        GOOD.replace("one", "o\te").encode(),
        GOOD.replace("\n", "\r\n").encode(),
        GOOD.replace("one", "o\x00e").encode(),
        GOOD.replace("— ", "- ").encode(),
        GOOD.replace("— ", "—  ").encode(),
        GOOD.replace("— ", "—").encode(),
        GOOD.replace(ORIGIN, "a+b").encode(),
        GOOD.replace(ORIGIN, "a\u00a0b").encode(),
        GOOD.replace(ORIGIN, "a\u2028b").encode(),
        GOOD.replace(ORIGIN, "").encode(),
        GOOD.replace(LINE, LINE[:-1] + " x\n").encode(),
        GOOD.replace(LINE, LINE[:-1] + "=\n").encode(),
        f"{TEXT}\n— {ORIGIN} {base64.b64encode(SIGNER.key_id).decode()}\n".encode(),
        f"{TEXT}\n— {ORIGIN} AAAAAAB=\n".encode(),
        f"{TEXT}\n— {ORIGIN}\n".encode(),
        b"x" * 1_000_001,
    ],
)
def test_hostile_bytes_are_no_note(raw: bytes) -> None:
    with pytest.raises(NoteRefused):
        parse_note(raw)


def test_a_text_that_could_be_read_otherwise_is_not_signed() -> None:
    for text in ("", "no newline", "tab\t\n"):
        with pytest.raises(NoteRefused):
            sign_note(text, [SIGNER])
    with pytest.raises(NoteRefused):
        sign_note(TEXT, [])


def test_a_cosignature_counts_with_the_time_it_was_made_for() -> None:
    body = Checkpoint(origin=ORIGIN, size=0, root=EMPTY_ROOT).body()
    witness, signature = cosign(body, Ed25519PrivateKey.generate(), "w.example", 1_700_000_000)
    raw = sign_note(body, [SIGNER], others=[signature]).encode()
    note = open_checkpoint(raw, [SIGNER.verifier(), witness]).note
    assert note.signed_by(witness)
    assert cosigned_at(note.verified[1].signature) == 1_700_000_000
    assert read_vkey(witness.vkey()) == witness
    later = Signature(name=signature.name, key_id=signature.key_id, signature=b"\1" + signature.signature[1:])
    short = Signature(name=signature.name, key_id=signature.key_id, signature=signature.signature[8:])
    for bent in (later, short):
        with pytest.raises(NoteRefused, match=r"w\.example"):
            open_note(sign_note(body, [SIGNER], others=[bent]).encode(), [SIGNER.verifier(), witness])


def test_a_witness_alone_vouches_for_no_origin() -> None:
    body = Checkpoint(origin=ORIGIN, size=0, root=EMPTY_ROOT).body()
    witness, signature = cosign(body, Ed25519PrivateKey.generate(), "w.example", 1)
    with pytest.raises(OtherOrigin):
        open_checkpoint(sign_note(body, [OTHER], others=[signature]).encode(), [witness, OTHER.verifier()])
    with pytest.raises(OtherOrigin):
        sign_checkpoint(parse_body(body), [OTHER])


@given(size=st.integers(0, 2**64 - 1), seed=st.binary(), extensions=st.lists(st.sampled_from(["x", "y z"]), max_size=2))
def test_every_checkpoint_comes_back_from_its_note(size: int, seed: bytes, extensions: list[str]) -> None:
    checkpoint = Checkpoint(origin=ORIGIN, size=size, root=leaf_hash(seed), extensions=tuple(extensions))
    assert parse_body(checkpoint.body()) == checkpoint
    raw = sign_checkpoint(checkpoint, [SIGNER]).encode()
    assert open_checkpoint(raw, [SIGNER.verifier()]).checkpoint == checkpoint


def test_the_body_is_three_lines() -> None:
    assert Checkpoint(origin=ORIGIN, size=7, root=EMPTY_ROOT).body() == (
        "log.example/audit\n7\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
    )


ROOT = base64.b64encode(EMPTY_ROOT).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        f"o\n7\n{ROOT}",
        "o\n7\n",
        f"\n7\n{ROOT}\n",
        f"o\n\n{ROOT}\n",
        f"o\n07\n{ROOT}\n",
        f"o\n+7\n{ROOT}\n",
        f"o\n-7\n{ROOT}\n",
        f"o\n7 \n{ROOT}\n",
        f"o\n\u0667\n{ROOT}\n",
        f"o\n18446744073709551616\n{ROOT}\n",
        f"o\n7\n{ROOT[:-1]}\n",
        f"o\n7\n{ROOT[:-2]}V=\n",
        "o\n7\nAAAA\n",
        f"o\n7\n{ROOT}\n\n",
        f"o\n7\n{ROOT}\n\nx\n",
    ],
)
def test_other_texts_are_no_checkpoint(text: str) -> None:
    with pytest.raises(CheckpointRefused):
        parse_body(text)


def test_a_key_file_is_private_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "log.key"
    made = create_key_file(path, ORIGIN)
    assert path.stat().st_mode & 0o777 == 0o600
    loaded = load_key_file(path)
    assert loaded.verifier() == made.verifier()
    assert isinstance(read_vkey(loaded.verifier().vkey()), Ed25519Verifier)
    with pytest.raises(FileExistsError):
        create_key_file(path, ORIGIN)
    assert load_key_file(path).verifier() == made.verifier()


@pytest.mark.parametrize("mode", [0o640, 0o620, 0o604, 0o602, 0o601, 0o610])
def test_a_key_file_that_others_can_open_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "log.key"
    create_key_file(path, ORIGIN)
    path.chmod(mode)
    with pytest.raises(KeyFileRefused, match="open to group or others"):
        load_key_file(path)


def test_a_key_is_read_from_a_plain_file_only(tmp_path: Path) -> None:
    path = tmp_path / "log.key"
    create_key_file(path, ORIGIN)
    (tmp_path / "link").symlink_to(path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("link", "pipe", "."):
        with pytest.raises(KeyFileRefused):
            load_key_file(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        load_key_file(tmp_path / "none")


@pytest.mark.parametrize(
    "bend",
    [
        lambda line: line[:0],
        lambda line: line.replace("PRIVATE+", ""),
        lambda line: line.replace("audit", "other"),
        lambda line: line[:-6] + "\n",
        lambda line: "x" + line,
        lambda line: "é" * len(line),
    ],
)
def test_a_broken_key_file_is_refused_without_telling_its_content(tmp_path: Path, bend: object) -> None:
    path = tmp_path / "log.key"
    create_key_file(path, ORIGIN)
    line = path.read_text()
    assert callable(bend)
    path.write_text(bend(line))
    with pytest.raises(KeyFileRefused) as caught:
        load_key_file(path)
    assert caught.value.__cause__ is None
    assert line.split("+", 4)[-1].strip() not in str(caught.value)


def test_a_signer_does_not_show_its_key() -> None:
    assert repr(SIGNER) == f"Ed25519Signer(name={ORIGIN!r})"
