"""The tree against the public vectors, a naive recursion, and every way to bend a proof."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.auditlog.merkle import (
    EMPTY_ROOT,
    Frontier,
    NotAFrontier,
    ProofRefused,
    leaf_hash,
    node_hash,
    perfect_root,
    root_of,
    verify_consistency,
    verify_growth,
    verify_inclusion,
)
from countersign.auditlog.tree import Tree

LEAVES = [leaf_hash(b"entry %d" % at) for at in range(601)]


def naive_root(leaves: list[bytes]) -> bytes:
    """The recursion of RFC 6962 §2.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\x01" + naive_root(leaves[:split]) + naive_root(leaves[split:])).digest()


def refused(judge: Callable[..., None], **claim: object) -> bool:
    try:
        judge(**claim)
    except ProofRefused:
        return True
    return False


def vectors() -> dict[str, dict[str, dict[str, Any]]]:
    folder = os.environ.get("COUNTERSIGN_VECTORS")
    if not folder:
        pytest.skip("COUNTERSIGN_VECTORS is not set: THE PUBLIC MERKLE VECTORS WERE NOT CHECKED")
    loaded: dict[str, dict[str, dict[str, Any]]] = json.loads((Path(folder) / "merkle.json").read_text())
    return loaded


def test_every_public_inclusion_vector_gets_its_verdict() -> None:
    cases = vectors()["inclusion"]
    assert len(cases) == 98
    for name, case in cases.items():
        verdict = refused(
            verify_inclusion,
            index=case["leafIdx"],
            size=case["treeSize"],
            leaf=base64.b64decode(case["leafHash"]),
            root=base64.b64decode(case["root"]),
            proof=[base64.b64decode(item) for item in case["proof"] or ()],
        )
        assert verdict is case["wantErr"], name


def test_every_public_consistency_vector_gets_its_verdict() -> None:
    cases = vectors()["consistency"]
    assert len(cases) == 98
    for name, case in cases.items():
        verdict = refused(
            verify_consistency,
            old_size=case["size1"],
            new_size=case["size2"],
            old_root=base64.b64decode(case["root1"]),
            new_root=base64.b64decode(case["root2"]),
            proof=[base64.b64decode(item) for item in case["proof"] or ()],
        )
        assert verdict is case["wantErr"], name


def test_every_kind_of_public_vector_is_tried_and_no_file_is_left_unread() -> None:
    assert vectors().keys() == {"inclusion", "consistency"}
    assert {path.name for path in Path(os.environ["COUNTERSIGN_VECTORS"]).iterdir()} == {"README.md", "merkle.json"}


def test_known_hashes_of_rfc_6962() -> None:
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert node_hash(b"N123", b"N456").hex() == "aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb"


def test_the_frontier_root_equals_the_naive_root_at_every_size_to_600() -> None:
    frontier = Frontier()
    for size in range(601):
        assert frontier.root() == naive_root(LEAVES[:size])
        assert frontier.size == size
        assert Frontier.decode(frontier.encode()) == frontier
        frontier = frontier.append(LEAVES[size])


def test_the_tree_and_the_frontier_agree_at_every_size() -> None:
    tree = Tree(LEAVES)
    for size in range(602):
        frontier = Frontier.of(LEAVES[:size])
        assert tree.frontier(size) == frontier
        assert tree.root(size) == frontier.root() == root_of(LEAVES[:size])


@given(cuts=st.lists(st.integers(0, 600), max_size=8))
@settings(deadline=None, max_examples=50)
def test_a_tree_grown_in_pieces_is_the_tree_built_at_once(cuts: list[int]) -> None:
    tree, whole = Tree(), Tree(LEAVES)
    edges = [0, *sorted(cuts), 601]
    for start, end in pairwise(edges):
        tree.extend(LEAVES[start:end])
    assert tree._levels == whole._levels


@given(cut=st.integers(0, 601))
@settings(deadline=None)
def test_a_frontier_extended_in_blocks_is_the_frontier_grown_leaf_by_leaf(cut: int) -> None:
    one_by_one = Frontier()
    for leaf in LEAVES[:cut]:
        one_by_one = one_by_one.append(leaf)
    assert Frontier.of(LEAVES[:cut]) == one_by_one
    assert one_by_one.extend(LEAVES[cut:]) == Frontier.of(LEAVES)


@given(size=st.integers(0, 600), height=st.integers(0, 9))
@settings(deadline=None)
def test_a_perfect_subtree_is_appended_only_at_a_multiple_of_its_width(size: int, height: int) -> None:
    frontier, width = Frontier.of(LEAVES[:size]), 1 << height
    block = [leaf_hash(b"block %d" % at) for at in range(width)]
    if size % width:
        with pytest.raises(NotAFrontier):
            frontier.append_perfect(perfect_root(block), height=height)
    else:
        assert frontier.append_perfect(perfect_root(block), height=height) == Frontier.of([*LEAVES[:size], *block])


@given(data=st.data())
@settings(deadline=None, max_examples=200)
def test_every_inclusion_proof_verifies_and_every_bent_one_fails(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 600))
    index = data.draw(st.integers(0, size - 1))
    tree = Tree(LEAVES)
    claim: dict[str, Any] = {
        "index": index,
        "size": size,
        "leaf": LEAVES[index],
        "root": tree.root(size),
        "proof": tree.inclusion(index, size),
    }
    verify_inclusion(**claim)
    other = data.draw(st.integers(0, size))
    if other != index:
        assert refused(verify_inclusion, **claim | {"index": other})
    for bent in bent_proofs(claim["proof"]):
        assert refused(verify_inclusion, **claim | {"proof": bent})
    for name in ("leaf", "root"):
        for other_hash in bent_hashes(claim[name]):
            assert refused(verify_inclusion, **claim | {name: other_hash})
    assert refused(verify_inclusion, **claim | {"index": -1})
    assert refused(verify_inclusion, **claim | {"size": 2**64})


@given(data=st.data())
@settings(deadline=None, max_examples=200)
def test_every_consistency_proof_verifies_and_every_bent_one_fails(data: st.DataObject) -> None:
    new = data.draw(st.integers(1, 600))
    old = data.draw(st.integers(1, new))
    tree = Tree(LEAVES)
    claim: dict[str, Any] = {
        "old_size": old,
        "new_size": new,
        "old_root": tree.root(old),
        "new_root": tree.root(new),
        "proof": tree.consistency(old, new),
    }
    verify_consistency(**claim)
    verify_growth(**claim)
    for bent in bent_proofs(claim["proof"]):
        assert refused(verify_consistency, **claim | {"proof": bent})
    for name in ("old_root", "new_root"):
        for other_hash in bent_hashes(claim[name]):
            assert refused(verify_consistency, **claim | {name: other_hash})
    if old < new:
        assert refused(verify_consistency, **claim | {"old_size": new})
        assert refused(verify_consistency, **claim | {"new_size": old})
        assert refused(verify_consistency, **claim | {"old_size": new, "new_size": old})


def bent_proofs(proof: list[bytes]) -> list[list[bytes]]:
    bent = [[*proof, LEAVES[600]], [LEAVES[600], *proof]]
    for at, item in enumerate(proof):
        bent.append(proof[:at] + proof[at + 1 :])
        bent.append([*proof[:at], item, *proof[at:]])
        bent.extend([*proof[:at], other, *proof[at + 1 :]] for other in bent_hashes(item))
    swapped = ([*proof[:at], proof[at + 1], proof[at], *proof[at + 2 :]] for at in range(len(proof) - 1))
    return [*bent, *swapped]


def bent_hashes(item: bytes) -> list[bytes]:
    return [bytes([item[0] ^ 1]) + item[1:], item[:-1], item + b"\0", b""]


def test_inclusion_proofs_are_right_for_every_leaf_of_every_small_tree() -> None:
    tree = Tree(LEAVES)
    for size in range(1, 40):
        for index in range(size):
            proof = tree.inclusion(index, size)
            verify_inclusion(index=index, size=size, leaf=LEAVES[index], root=tree.root(size), proof=proof)
        for old in range(1, size + 1):
            proof = tree.consistency(old, size)
            verify_consistency(
                old_size=old, new_size=size, old_root=tree.root(old), new_root=tree.root(size), proof=proof
            )


def test_only_a_witness_accepts_growth_from_an_empty_tree() -> None:
    root = root_of(LEAVES)
    first: dict[str, Any] = {"old_size": 0, "new_size": 601, "old_root": EMPTY_ROOT, "new_root": root, "proof": []}
    assert refused(verify_consistency, **first)
    verify_growth(**first)
    verify_growth(**first | {"new_size": 0, "new_root": EMPTY_ROOT})
    assert refused(verify_growth, **first | {"proof": [root]})
    assert refused(verify_growth, **first | {"old_root": root})
    assert refused(verify_growth, **first | {"new_size": 0})
    assert refused(verify_growth, **first | {"new_root": root[:-1]})


@pytest.mark.parametrize(
    "raw",
    [b"", b"\0" * 7, b"\0" * 9, (1).to_bytes(8, "big"), bytes(8) + bytes(32), (2).to_bytes(8, "big") + bytes(64)],
)
def test_a_frontier_is_not_read_from_other_bytes(raw: bytes) -> None:
    with pytest.raises(NotAFrontier):
        Frontier.decode(raw)


def test_a_frontier_refuses_a_hash_of_another_length() -> None:
    with pytest.raises(NotAFrontier):
        Frontier().append(b"short")


def test_a_tree_refuses_what_it_does_not_hold() -> None:
    tree = Tree(LEAVES[:7])
    for ask in (
        lambda: tree.root(8),
        lambda: tree.root(-1),
        lambda: tree.inclusion(7, 7),
        lambda: tree.inclusion(0, 8),
        lambda: tree.inclusion(-1, 7),
        lambda: tree.consistency(5, 4),
        lambda: tree.consistency(-1, 4),
        lambda: tree.nodes(1, 2, 4),
        lambda: tree.nodes(0, -1, 1),
    ):
        with pytest.raises(IndexError):
            ask()
    with pytest.raises(ValueError, match="32 bytes"):
        tree.extend([b"short"])
    assert tree.size == 7
    assert tree.nodes(1, 2, 3) == node_hash(LEAVES[4], LEAVES[5])
    assert tree.nodes(0, 1, 3) == LEAVES[1] + LEAVES[2]
