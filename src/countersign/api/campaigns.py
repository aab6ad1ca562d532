"""Calls of those who review: campaigns over memberships, and the record that a period was looked at."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from fastapi import Path
from pydantic import Field

from countersign.api.answers import Answer, Moment
from countersign.api.bodies import USUALLY, Body, Limit, Name, Text
from countersign.api.inquiries import moment
from countersign.api.problems import documented
from countersign.api.route import Caller, TheBroker, guarded_router
from countersign.domain.campaign import LONGEST_S, SHORTEST_S, Campaign, Ruling
from countersign.domain.timestamps import spell
from countersign.service.campaigns import MOST_SAMPLED, CampaignView

router = guarded_router("audit")

CampaignId = Annotated[str, Path(max_length=20)]


class CampaignBody(Body):
    """Every membership of these groups, or of the groups that an entitlement names, is to be kept or removed in time."""

    groups: list[Name] = Field(default_factory=list, max_length=100)
    entitlement: Name | None = None
    due_s: int = Field(ge=SHORTEST_S, le=LONGEST_S, description="whole seconds until what is undecided is removed")


class RulingBody(Body):
    """Keep or remove this person's membership in this group."""

    person: Name
    group: Name
    ruling: Literal["keep", "remove"]


class PeriodBody(Body):
    """I looked at this period and at these grants; so many things were not in order, namely these."""

    since: Annotated[str, Field(max_length=40)]
    until: Annotated[str, Field(max_length=40)]
    sample: list[Annotated[str, Field(max_length=20)]] = Field(default_factory=list, max_length=MOST_SAMPLED)
    exceptions: int = Field(ge=0, le=1_000_000)
    findings: Text | None = None


class MembershipAnswer(Answer):
    """One membership that a campaign asks about; undecided without a ruling."""

    person: str
    group: str
    ruling: str | None
    decided_by: str | None
    decided_at: Moment | None


class CampaignAnswer(Answer):
    """A campaign. `undecided` memberships are removed at `due_at`."""

    id: str
    groups: list[str]
    started_by: str
    started_at: Moment
    due_at: Moment
    closed_at: Moment | None


class CampaignDetail(CampaignAnswer):
    """A campaign and what it asks about."""

    memberships: list[MembershipAnswer]


class CampaignList(Answer):
    """Campaigns, newest first."""

    items: list[CampaignAnswer]


class ReviewedAnswer(Answer):
    """The size of the log when the review was recorded."""

    size: int


@router.post("/campaigns", status_code=201, responses=documented(403), summary="Have memberships kept or removed")
def start(broker: TheBroker, caller: Caller, body: CampaignBody) -> CampaignDetail:
    """Start a campaign: auditors, and owners of what the groups are for. What nobody decides in time is removed."""
    view = broker.campaigns.start(
        caller, groups=body.groups, entitlement=body.entitlement, due=timedelta(seconds=body.due_s)
    )
    return _detail(view)


@router.get("/campaigns", responses=documented(403), summary="Campaigns")
def campaigns(broker: TheBroker, caller: Caller, limit: Limit = USUALLY) -> CampaignList:
    """Return the campaigns that concern the caller as a reviewer; all of them to auditors and operators."""
    found = broker.campaigns.campaigns(caller, limit=limit)
    return CampaignList(items=[CampaignAnswer.model_validate(_fields(each)) for each in found])


@router.get("/campaigns/{campaign_id}", responses=documented(404), summary="A campaign and what it asks about")
def campaign(broker: TheBroker, caller: Caller, campaign_id: CampaignId) -> CampaignDetail:
    """Return every membership with what was said of it and by whom."""
    return _detail(broker.campaigns.campaign(caller, campaign_id))


@router.post(
    "/campaigns/{campaign_id}/decide", responses=documented(403, 404, 409, 410), summary="Keep or remove a membership"
)
def decide(broker: TheBroker, caller: Caller, campaign_id: CampaignId, body: RulingBody) -> CampaignDetail:
    """Decide on somebody else's membership. A removal takes effect at once, and only other rules put it back."""
    view = broker.campaigns.decide(
        caller, campaign_id, person=body.person, group=body.group, ruling=Ruling(body.ruling)
    )
    return _detail(view)


@router.post("/audit/reviews", status_code=201, responses=documented(403), summary="Record that a period was reviewed")
def reviewed(broker: TheBroker, caller: Caller, body: PeriodBody) -> ReviewedAnswer:
    """Record what an auditor looked at, and what was not in order; the text stands in the log as a commitment."""
    size = broker.campaigns.reviewed(
        caller,
        since=moment(body.since, "since"),
        until=moment(body.until, "until"),
        sample=body.sample,
        exceptions=body.exceptions,
        findings=body.findings,
    )
    return ReviewedAnswer(size=size)


def _fields(campaign: Campaign) -> dict[str, object]:
    return {
        "id": campaign.id,
        "groups": list(campaign.groups),
        "started_by": campaign.started_by,
        "started_at": spell(campaign.started_at),
        "due_at": spell(campaign.due_at),
        "closed_at": None if campaign.closed_at is None else spell(campaign.closed_at),
    }


def _detail(view: CampaignView) -> CampaignDetail:
    memberships = [
        MembershipAnswer(
            person=item.person,
            group=item.group,
            ruling=None if item.ruling is None else item.ruling.value,
            decided_by=item.decided_by,
            decided_at=None if item.decided_at is None else spell(item.decided_at),
        )
        for item in view.items
    ]
    return CampaignDetail.model_validate(_fields(view.campaign) | {"memberships": memberships})
