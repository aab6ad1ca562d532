"""Where tiles lie, what they hold, and proof files that a stranger can check."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from countersign.auditlog.checkpoint import Checkpoint, CheckpointRefused, sign_checkpoint
from countersign.auditlog.leaf import LARGEST_LEAF, Entry, Leaf
from countersign.auditlog.merkle import ProofRefused, leaf_hash, root_of
from countersign.auditlog.note import CosignatureVerifier, NoteRefused, Signature, cosigned_message
from countersign.auditlog.proof import LogProof, verify_proof
from countersign.auditlog.signer import Ed25519Signer
from countersign.auditlog.tiles import (
    BadTile,
    LogDirectory,
    Tile,
    encode_bundle,
    split_bundle,
    tile_bytes,
    tiles_of,
    write_directory,
)
from countersign.auditlog.tree import Tree

SIGNER = Ed25519Signer.generate("log.example/audit")
AT = datetime(2026, 11, 22, tzinfo=UTC)
LEAVES = [Leaf(type="t", at=AT, actor="a", subject="s", data={"n": at}).encode() for at in range(600)]
HASHES = [leaf_hash(leaf) for leaf in LEAVES]


def checkpoint_over(size: int, *, others: tuple[Signature, ...] = ()) -> str:
    made = Checkpoint(origin=SIGNER.name, size=size, root=root_of(HASHES[:size]))
    return sign_checkpoint(made, [SIGNER], others=others)


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(level=0, index=0), "tile/0/000"),
        (Tile(level=0, index=1234067), "tile/0/x001/x234/067"),
        (Tile(level=1, index=999, width=17), "tile/1/999.p/17"),
        (Tile(level=2, index=1000, width=255), "tile/2/x001/000.p/255"),
        (Tile(level=None, index=273, width=112), "tile/entries/273.p/112"),
        (Tile(level=63, index=67), "tile/63/067"),
    ],
)
def test_a_tile_lies_where_the_specification_puts_it(tile: Tile, path: str) -> None:
    assert tile.path() == path


def test_seventy_thousand_entries_make_the_tiles_of_the_specifications_example() -> None:
    tiles = list(tiles_of(70_000))
    for level, full, width in ((None, 273, 112), (0, 273, 112), (1, 1, 17), (2, 0, 1)):
        of_level = [tile for tile in tiles if tile.level == level]
        assert of_level == [
            *(Tile(level=level, index=at) for at in range(full)),
            Tile(level=level, index=full, width=width),
        ]
    assert {tile.level for tile in tiles} == {None, 0, 1, 2}
    assert list(tiles_of(0)) == []
    assert [tile.path() for tile in tiles_of(256)] == ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]


@given(sizes=st.lists(st.integers(0, 200_000), min_size=2, max_size=2).map(sorted))
def test_what_was_published_before_and_the_new_tiles_make_all_tiles(sizes: list[int]) -> None:
    since, size = sizes
    fresh, before, after = set(tiles_of(size, since=since)), set(tiles_of(since)), set(tiles_of(size))
    assert fresh <= after
    assert fresh.isdisjoint(before)
    assert after - before == fresh


@pytest.mark.parametrize(("level", "width"), [(0, 0), (0, 257), (-1, 1), (64, 1)])
def test_a_tile_outside_the_specification_is_not_named(level: int, width: int) -> None:
    with pytest.raises(BadTile):
        Tile(level=level, index=0, width=width)


@given(leaves=st.lists(st.binary(max_size=70), max_size=256))
def test_every_bundle_comes_back(leaves: list[bytes]) -> None:
    assert split_bundle(encode_bundle(leaves), len(leaves)) == leaves


def test_a_bundle_spells_lengths_in_two_big_endian_bytes() -> None:
    assert encode_bundle([b"", b"ab", b"x" * 258])[:8] == b"\0\0\0\2ab\1\2"
    assert split_bundle(encode_bundle([b"y" * LARGEST_LEAF]), 1) == [b"y" * LARGEST_LEAF]
    with pytest.raises(BadTile):
        encode_bundle([b"y" * (LARGEST_LEAF + 1)])


@pytest.mark.parametrize("raw", [b"", b"\0", b"\0\1", b"\0\1ab", b"\0\1a\0", b"\0\1a\0\1a"])
def test_a_bundle_of_another_form_is_refused(raw: bytes) -> None:
    with pytest.raises(BadTile):
        split_bundle(raw, 1)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 512, 600])
def test_a_written_directory_is_read_back(tmp_path: Path, size: int) -> None:
    tree = write_directory(tmp_path, LEAVES[:size], checkpoint_over(size))
    log = LogDirectory(tmp_path)
    assert tree.root() == root_of(HASHES[:size])
    assert log.checkpoint().decode() == checkpoint_over(size)
    expected = [Entry(at, LEAVES[at], HASHES[at]) for at in range(size)]
    assert list(log.entries(size)) == expected
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert written == {"checkpoint", *(tile.path() for tile in tiles_of(size))}
    for tile in tiles_of(size):
        if tile.level is not None:
            assert log.hashes(tile) == tile_bytes(tree, tile)


def test_a_partial_tile_that_was_tidied_away_is_read_from_the_full_one(tmp_path: Path) -> None:
    write_directory(tmp_path, LEAVES[:512], checkpoint_over(512))
    log = LogDirectory(tmp_path)
    assert log.leaves(1, 10) == LEAVES[256:266]
    assert log.hashes(Tile(level=0, index=1, width=2)) == HASHES[256] + HASHES[257]
    assert len(list(log.entries(300))) == 300


def test_entries_end_where_a_file_is_missing(tmp_path: Path) -> None:
    write_directory(tmp_path, LEAVES, checkpoint_over(600))
    (tmp_path / "tile/entries/001").unlink()
    assert len(list(LogDirectory(tmp_path).entries(600))) == 256
    with pytest.raises(BadTile):
        LogDirectory(tmp_path / "none").checkpoint()
    (tmp_path / "tile/0/000").write_bytes(b"short")
    with pytest.raises(BadTile):
        LogDirectory(tmp_path).hashes(Tile(level=0, index=0))


def proof_of(index: int, size: int, **more: bytes) -> LogProof:
    path = tuple(Tree(HASHES).inclusion(index, size))
    return LogProof(index=index, hashes=path, checkpoint=checkpoint_over(size), **more)


def test_a_proof_file_is_spelled_by_the_specification() -> None:
    raw = proof_of(1, 2, extra=b"x").encode().decode()
    lines = raw.split("\n")
    assert lines[:3] == ["c2sp.org/tlog-proof@v1", "extra eA==", "index 1"]
    assert len(lines[3]) == 44
    assert lines[4] == ""
    assert raw.endswith("\n\n" + checkpoint_over(2))
    assert len(proof_of(5, 600).encode()) < 1_500


@given(size=st.integers(1, 600), data=st.data(), extra=st.none() | st.binary())
def test_every_proof_file_comes_back_and_verifies(size: int, data: st.DataObject, extra: bytes | None) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = LogProof.decode(proof_of(index, size).encode())
    assert LogProof.decode(LogProof(index=1, hashes=(), checkpoint="c\n", extra=extra).encode()).extra == extra
    opened = verify_proof(proof, LEAVES[index], log=SIGNER.verifier())
    assert opened.checkpoint.size == size
    with pytest.raises(ProofRefused):
        verify_proof(proof, LEAVES[index] + b" ", log=SIGNER.verifier())


@given(at=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_no_flipped_byte_of_a_proof_file_is_vouched_for(at: int, flip: int) -> None:
    raw = proof_of(3, 5).encode()
    at %= len(raw)
    with pytest.raises((ProofRefused, NoteRefused, CheckpointRefused)):
        verify_proof(
            LogProof.decode(raw[:at] + bytes([raw[at] ^ flip]) + raw[at + 1 :]), LEAVES[3], log=SIGNER.verifier()
        )


@pytest.mark.parametrize(
    "bend",
    [
        ("tlog-proof@v1", "tlog-proof@v2"),
        ("index 3", "index 03"),
        ("index 3", "index -3"),
        ("index 3", "index"),
        ("index 3\n", ""),
        ("index 3", "index 18446744073709551615"),
        ("index 3", "extra eA==\nextra eA==\nindex 3"),
        ("index 3", "extra ?\nindex 3"),
        ("index 3", "index 3\nAAAA"),
        ("index 3", "index 3\n" + ("A" * 43 + "=\n") * 65),
        ("\n\n", "\n"),
    ],
)
def test_a_proof_file_of_another_form_is_refused(bend: tuple[str, str]) -> None:
    raw = proof_of(3, 5).encode().decode()
    bent = raw.replace(*bend, 2)
    assert bent != raw
    with pytest.raises(ProofRefused):
        LogProof.decode(bent.encode())


def test_a_proof_counts_only_with_the_asked_number_of_witnesses() -> None:
    keys = [Ed25519PrivateKey.generate() for _ in range(3)]
    witnesses = [
        CosignatureVerifier(name=f"w{at}.example", public_key=key.public_key().public_bytes_raw())
        for at, key in enumerate(keys)
    ]
    body = Checkpoint(origin=SIGNER.name, size=600, root=root_of(HASHES)).body().encode()
    lines = tuple(
        Signature(
            name=one.name, key_id=one.key_id, signature=(9).to_bytes(8, "big") + key.sign(cosigned_message(9, body))
        )
        for one, key in zip(witnesses[:2], keys, strict=False)
    )
    text = checkpoint_over(600, others=lines)
    proof = LogProof(index=7, hashes=tuple(Tree(HASHES).inclusion(7, 600)), checkpoint=text)
    verify_proof(proof, LEAVES[7], log=SIGNER.verifier(), witnesses=witnesses, quorum=2)
    for trusted, quorum in ((witnesses, 3), (witnesses[:1], 2), ((), 1)):
        with pytest.raises(ProofRefused, match="trusted witnesses"):
            verify_proof(proof, LEAVES[7], log=SIGNER.verifier(), witnesses=trusted, quorum=quorum)


def test_a_proof_from_another_log_is_refused() -> None:
    other = Ed25519Signer.generate("other.example")
    with pytest.raises(NoteRefused):
        verify_proof(proof_of(1, 2), LEAVES[1], log=other.verifier())
    made = Checkpoint(origin=other.name, size=2, root=root_of(HASHES[:2]))
    theirs = LogProof(index=1, hashes=(HASHES[0],), checkpoint=sign_checkpoint(made, [other, SIGNER]))
    with pytest.raises(CheckpointRefused):
        verify_proof(theirs, LEAVES[1], log=SIGNER.verifier())
    with pytest.raises(ProofRefused):
        verify_proof(theirs, LEAVES[1], log=SIGNER.verifier(), witnesses=[other.verifier()])
