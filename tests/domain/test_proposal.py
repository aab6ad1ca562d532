"""A proposal: every edge and every absent edge, and digests that bind what another author approves."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product

import pytest

from countersign.domain.proposal import TRANSITIONS, Proposal, ProposalEvent, ProposalState, genesis_digest
from countersign.domain.refusals import WrongState

EDGES = {
    (ProposalState.PENDING, ProposalEvent.APPROVE): ProposalState.APPROVED,
    (ProposalState.PENDING, ProposalEvent.REJECT): ProposalState.REJECTED,
    (ProposalState.PENDING, ProposalEvent.WITHDRAW): ProposalState.WITHDRAWN,
}


def proposal() -> Proposal:
    return Proposal(
        id="prp_aaaaaaaaaaaaaaaa",
        base=3,
        catalog={"schema": 1},
        directory={"schema": 1},
        catalog_digest="ab" * 32,
        directory_digest="cd" * 32,
        proposed_by="frank",
        proposed_at=datetime(2026, 11, 22, 22, 5, tzinfo=UTC),
    )


@pytest.mark.parametrize(("state", "event"), list(product(ProposalState, ProposalEvent)))
def test_exactly_these_edges_exist(state: ProposalState, event: ProposalEvent) -> None:
    stands = replace(proposal(), state=state, version=3)
    if (state, event) in EDGES:
        assert stands.after(event, by="grace") == replace(
            stands, state=EDGES[state, event], decided_by="grace", version=4
        )
        return
    with pytest.raises(WrongState, match=f"prp_aaaaaaaaaaaaaaaa is {state}; it can no longer {event}"):
        stands.after(event, by="grace")


def test_the_table_of_edges_is_this() -> None:
    assert dict(TRANSITIONS) == EDGES
    assert proposal().state is ProposalState.PENDING
    assert proposal().decided_by is None


def test_the_digest_is_of_these_bytes() -> None:
    signed = (
        f'{{"base":3,"catalog":"{"ab" * 32}","directory":"{"cd" * 32}",'
        '"id":"prp_aaaaaaaaaaaaaaaa","proposed_by":"frank"}'
    )
    assert proposal().digest == hashlib.sha256(b"countersign/proposal/v1\n" + signed.encode()).hexdigest()
    assert proposal().after(ProposalEvent.APPROVE, by="grace").digest == proposal().digest


@pytest.mark.parametrize(
    "changed",
    [
        {"id": "prp_baaaaaaaaaaaaaaa"},
        {"base": 4},
        {"catalog_digest": "ef" * 32},
        {"directory_digest": "ef" * 32},
        {"proposed_by": "grace"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_whatever_is_approved_is_bound_by_the_digest(changed: dict[str, object]) -> None:
    assert replace(proposal(), **changed).digest != proposal().digest  # type: ignore[arg-type]  # one field of its own type each


def test_the_genesis_digest_is_of_these_bytes_and_tells_its_parts_apart() -> None:
    signed = b'countersign/genesis/v1\n{"catalog":"aa","directory":"bb"}'
    assert genesis_digest(catalog="aa", directory="bb") == hashlib.sha256(signed).hexdigest()
    assert genesis_digest(catalog="bb", directory="aa") != genesis_digest(catalog="aa", directory="bb")
