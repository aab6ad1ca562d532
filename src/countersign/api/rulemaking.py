"""Calls of catalog authors: proposing other rules, reading what a proposal would change, approving and rejecting it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Path
from pydantic import BaseModel, Field

from countersign.api.bodies import AssertionBody, Body, Limit, Text
from countersign.api.problems import documented
from countersign.api.route import Caller, TheBroker, guarded_router
from countersign.domain.passkey import fingerprint
from countersign.domain.proposal import Proposal
from countersign.domain.proving import outcome
from countersign.domain.timestamps import spell
from countersign.service.rule_changes import ProposalView

router = guarded_router("rules")

ProposalId = Annotated[str, Path(pattern=r"^prp_[a-z2-7]{16}$", description="a proposal's id")]


class ProposalBody(Body):
    """Another catalog, and with it another directory if one is given, in the shape of their files."""

    catalog: dict[str, Any]
    directory: dict[str, Any] | None = None
    reason: Text


class ApprovalBody(Body):
    """An author's approval of exactly the proposal that was shown, signed where the rules ask for it."""

    digest: str = Field(min_length=1, max_length=128)
    signature: AssertionBody | None = None


class SigningBody(Body):
    """An author's signature of his own proposal."""

    digest: str = Field(min_length=1, max_length=128)
    signature: AssertionBody


class ChangeAnswer(BaseModel):
    """What happens to one entitlement, person, principal or group: each differing key before and after."""

    kind: str
    id: str
    what: Literal["added", "removed", "changed"]
    keys: dict[str, tuple[Any, Any]]


class ProposalAnswer(BaseModel):
    """A proposal, built on rulebook number `base`."""

    id: str
    digest: str
    fingerprint: str
    state: str
    base: int
    catalog_digest: str
    directory_digest: str
    proposed_by: str
    proposed_at: str
    decided_by: str | None


class OutcomeAnswer(BaseModel):
    """What the prover says of an entitlement: how many together reach it, who alone, one smallest set for each rule."""

    least: int | None
    alone: dict[str, Any]
    witnesses: list[str | None]
    nobody_for: int


class EffectAnswer(BaseModel):
    """An entitlement whose answer changes; null where there is none before, or none afterwards."""

    entitlement: str
    before: OutcomeAnswer | None
    after: OutcomeAnswer | None


class ProposalDetail(ProposalAnswer):
    """A proposal with what it would change in the rules and in the prover's answers, and what in it means nobody."""

    changes: list[ChangeAnswer]
    effects: list[EffectAnswer]
    uncompared: list[str]
    warnings: list[str]


class Proposals(BaseModel):
    """Proposals, newest first."""

    items: list[ProposalAnswer]
    next: str | None = None


class RulebookAnswer(BaseModel):
    """The rules in force, in the shape of their files."""

    seq: int
    catalog: dict[str, Any]
    directory: dict[str, Any]
    catalog_digest: str
    directory_digest: str
    proposed_by: str | None
    approved_by: str | None


@router.get("/catalog", responses=documented(403), summary="The rules in force")
def rules_in_force(broker: TheBroker, caller: Caller) -> RulebookAnswer:
    """Return catalog and directory as they were proposed, with who proposed and who approved them."""
    rulebook = broker.rulemaking.in_force(caller)
    return RulebookAnswer(**{name: getattr(rulebook, name) for name in RulebookAnswer.model_fields})


@router.get("/catalog/proposals", responses=documented(403), summary="Proposals, newest first")
def list_proposals(broker: TheBroker, caller: Caller, limit: Limit = 50) -> Proposals:
    """Return proposals, decided ones too."""
    found = broker.rulemaking.proposals(caller, limit=limit)
    return Proposals(items=[ProposalAnswer(**_fields(proposal)) for proposal in found])


@router.post(
    "/catalog/proposals", status_code=201, responses=documented(403, 408, 409, 413, 415), summary="Propose other rules"
)
def propose(broker: TheBroker, caller: Caller, body: ProposalBody) -> ProposalDetail:
    """Propose a catalog and a directory; another author approves them by their digest."""
    return _detail(
        broker.rulemaking.propose(caller, catalog=body.catalog, directory=body.directory, reason=body.reason)
    )


@router.get("/catalog/proposals/{proposal_id}", responses=documented(403, 404), summary="One proposal and its changes")
def read_proposal(broker: TheBroker, caller: Caller, proposal_id: ProposalId) -> ProposalDetail:
    """Return a proposal with what it would change."""
    return _detail(broker.rulemaking.proposal(caller, proposal_id))


@router.post(
    "/catalog/proposals/{proposal_id}/approve",
    responses=documented(403, 404, 408, 409, 413, 415),
    summary="Bring a proposal into force",
)
def approve(broker: TheBroker, caller: Caller, proposal_id: ProposalId, body: ApprovalBody) -> ProposalDetail:
    """Approve another author's proposal by the digest that was shown."""
    signature = None if body.signature is None else body.signature.meaning()
    return _detail(broker.rulemaking.approve(caller, proposal_id, digest=body.digest, signature=signature))


@router.post(
    "/catalog/proposals/{proposal_id}/sign",
    responses=documented(403, 404, 408, 409, 413, 415),
    summary="Sign one's own proposal",
)
def sign(broker: TheBroker, caller: Caller, proposal_id: ProposalId, body: SigningBody) -> ProposalDetail:
    """Sign what one has proposed; where the rules ask for it, nobody can approve it before."""
    signature = body.signature.meaning()
    return _detail(broker.rulemaking.sign(caller, proposal_id, digest=body.digest, signature=signature))


@router.post(
    "/catalog/proposals/{proposal_id}/reject",
    responses=documented(403, 404, 408, 409, 413, 415),
    summary="Reject a proposal, or withdraw one's own",
)
def reject(broker: TheBroker, caller: Caller, proposal_id: ProposalId) -> ProposalAnswer:
    """Reject another author's proposal, or withdraw one's own."""
    return ProposalAnswer(**_fields(broker.rulemaking.reject(caller, proposal_id)))


def _fields(proposal: Proposal) -> dict[str, Any]:
    return {
        "id": proposal.id,
        "digest": proposal.digest,
        "fingerprint": fingerprint(proposal.digest),
        "state": proposal.state.value,
        "base": proposal.base,
        "catalog_digest": proposal.catalog_digest,
        "directory_digest": proposal.directory_digest,
        "proposed_by": proposal.proposed_by,
        "proposed_at": spell(proposal.proposed_at),
        "decided_by": proposal.decided_by,
    }


def _detail(view: ProposalView) -> ProposalDetail:
    changes = [ChangeAnswer(kind=c.kind, id=c.id, what=c.what, keys=dict(c.keys)) for c in view.changes]
    effects = [
        EffectAnswer.model_validate(
            {"entitlement": each.entitlement, "before": outcome(each.before), "after": outcome(each.after)}
        )
        for each in view.effects.found
    ]
    return ProposalDetail(
        **_fields(view.proposal),
        changes=changes,
        effects=effects,
        uncompared=list(view.effects.uncompared),
        warnings=list(view.warnings),
    )
