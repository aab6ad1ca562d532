"""Reviews by auditors and owners: campaigns that recertify memberships, and the record that a period was looked at.

Nothing here gives anything: a membership is kept as it is, or removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta

from countersign.domain.campaign import LONGEST_S, SHORTEST_S, Campaign, Membership, Ruling
from countersign.domain.campaign_facts import (
    CampaignClosed,
    CampaignStarted,
    MembershipDecided,
    MembershipRemoved,
    PeriodReviewed,
)
from countersign.domain.facts import BROKER
from countersign.domain.ids import CAMPAIGN
from countersign.domain.people import Principal, Role
from countersign.domain.refusals import Invalid, NotEligible, NotFound
from countersign.service.office import Office
from countersign.service.rules import Rules
from countersign.store import Tx

MOST_SAMPLED = 500


@dataclass(frozen=True, kw_only=True)
class CampaignView:
    """A campaign and what it asks about."""

    campaign: Campaign
    items: Sequence[Membership]


@dataclass(frozen=True, kw_only=True)
class Campaigns:
    """Use cases of whoever reviews."""

    office: Office

    def start(
        self, principal: Principal, *, groups: Sequence[str], entitlement: str | None, due: timedelta
    ) -> CampaignView:
        """Ask that every membership of these groups, or of those that an entitlement names, be kept or removed.

        Raises:
            Invalid: no group, an unknown one, one of authors, or a time too short or long; the field is named.
            NotEligible: neither auditor nor owner of what the groups are for.
        """
        with self.office.attempt(principal, act="campaign", subject=entitlement or "groups"), self._begin() as tx:
            rules = self.office.rules.current(tx)
            asked = _groups_of(rules, groups, entitlement)
            _demand_reviewer(rules, principal, asked)
            if not SHORTEST_S <= due.total_seconds() <= LONGEST_S:
                raise Invalid(f"due_s must lie between {SHORTEST_S} and {LONGEST_S}", field="due_s")
            campaign = Campaign(
                id=self.office.new_id(CAMPAIGN),
                groups=asked,
                started_by=principal.person,
                started_at=tx.now,
                due_at=tx.now + due,
            )
            items = [
                Membership(person=person, group=group)
                for group in asked
                for person in sorted(rules.roster.members(group))
            ]
            tx.add_campaign(campaign, items)
            tx.record(
                CampaignStarted(
                    actor=principal.person,
                    subject=campaign.id,
                    principal=principal.id,
                    groups=tuple(asked),
                    due_at=campaign.due_at,
                    memberships=len(items),
                )
            )
        return CampaignView(campaign=campaign, items=items)

    def decide(
        self, principal: Principal, campaign_id: str, *, person: str, group: str, ruling: Ruling
    ) -> CampaignView:
        """Keep or remove one membership, not one's own; a removal takes effect at once.

        Raises:
            NotFound: no such campaign, or it does not ask about that.
            NotEligible, SelfReview, WindowOver, AlreadyReviewed: as the campaign stands to the principal.
        """
        with self.office.attempt(principal, act="recertify", subject=campaign_id), self._begin() as tx:
            campaign = _known(tx, campaign_id, lock=True)
            rules = self.office.rules.current(tx)
            _demand_reviewer(rules, principal, [group])
            items = {(item.person, item.group): item for item in tx.campaign_items(campaign.id)}
            item = items.get((person, group))
            if item is None:
                raise NotFound(f"{campaign.id} does not ask about {person[:63]} in {group[:63]}")
            decided = campaign.decided(item, ruling=ruling, by=principal.person, at=tx.now)
            tx.decide_membership(campaign.id, decided)
            tx.record(
                MembershipDecided(
                    actor=principal.person,
                    subject=campaign.id,
                    principal=principal.id,
                    person=person,
                    group=group,
                    ruling=ruling.value,
                )
            )
            if ruling is Ruling.REMOVE:
                _remove(tx, campaign, decided)
            return CampaignView(campaign=campaign, items=tx.campaign_items(campaign.id))

    def close_due(self) -> int:
        """Close campaigns whose time is over, and remove what nobody decided; return how many were closed."""
        with self._begin() as tx:
            due = tx.campaigns_due()
            for campaign in due:
                items = tx.campaign_items(campaign.id)
                for item in items:
                    if item.ruling is None:
                        _remove(tx, campaign, item)
                tx.close_campaign(campaign)
                rulings = [item.ruling for item in items]
                tx.record(
                    CampaignClosed(
                        actor=f"{BROKER}/campaigns",
                        subject=campaign.id,
                        kept=rulings.count(Ruling.KEEP),
                        removed=rulings.count(Ruling.REMOVE),
                        undecided=rulings.count(None),
                    )
                )
        return len(due)

    def campaigns(self, principal: Principal, *, limit: int) -> list[Campaign]:
        """Return the campaigns over groups that the principal reviews, newest first; all of them to auditors and operators."""
        with self.office.store.read() as tx:
            rules = self.office.rules.current(tx)
            return [each for each in tx.campaigns(limit=limit) if _sees(rules, principal, each)]

    def campaign(self, principal: Principal, campaign_id: str) -> CampaignView:
        """Return a campaign and what it asks about.

        Raises:
            NotFound: none such for the principal.
        """
        with self.office.store.read() as tx:
            campaign = _known(tx, campaign_id, lock=False)
            if not _sees(self.office.rules.current(tx), principal, campaign):
                raise NotFound(f"there is no campaign {campaign_id[:20]!r} for you")
            return CampaignView(campaign=campaign, items=tx.campaign_items(campaign.id))

    def reviewed(
        self,
        principal: Principal,
        *,
        since: datetime,
        until: datetime,
        sample: Sequence[str],
        exceptions: int,
        findings: str | None,
    ) -> int:
        """Record that an auditor looked at a period, at these grants in it, and what was not in order; return the log's size.

        Raises:
            NotPermitted: not an auditor.
            Invalid: the period ends before it begins, a grant is unknown, or exceptions are counted and not told.
        """
        with self.office.attempt(principal, act="review", subject="log"), self._begin() as tx:
            self.office.rules.current(tx).directory.demand(principal, Role.AUDITOR)
            if until < since or until > tx.now:
                raise Invalid("the period ends before it begins, or after now", field="until")
            unknown = next((grant for grant in sample if tx.grant(grant) is None), None)
            if unknown is not None or len(sample) > MOST_SAMPLED:
                raise Invalid(f"there is no grant {unknown}, or more than {MOST_SAMPLED}", field="sample")
            if bool(exceptions) != (findings is not None):
                raise Invalid("say what was not in order if, and only if, exceptions are counted", field="findings")
            size = tx.head().size
            tx.record(
                PeriodReviewed(
                    actor=principal.person,
                    subject="log",
                    principal=principal.id,
                    since=since,
                    until=until,
                    sample=tuple(sorted(set(sample))),
                    exceptions=exceptions,
                    size=size,
                    findings=None if findings is None else self.office.seal(findings, field="findings"),
                )
            )
        return size

    def _begin(self) -> AbstractContextManager[Tx]:
        return self.office.store.begin()


def _remove(tx: Tx, campaign: Campaign, item: Membership) -> None:
    if tx.remove_membership(item.person, item.group):
        tx.record(
            MembershipRemoved(
                actor=item.decided_by or f"{BROKER}/campaigns",
                subject=item.person,
                group=item.group,
                campaign=campaign.id,
                decided_by=item.decided_by,
            )
        )


def _groups_of(rules: Rules, groups: Sequence[str], entitlement: str | None) -> tuple[str, ...]:
    asked = set(groups)
    if entitlement is not None:
        item = rules.entitlement(entitlement)
        asked |= {factor.group for factor in item.review} | set(item.requesters or ()) | {item.owner}
    unknown = sorted(asked - rules.roster.groups.keys())
    if unknown or not asked:
        raise Invalid(f"there is no group {unknown[0][:63]}" if unknown else "name a group", field="groups")
    for group in sorted(asked):
        if Role.CATALOG_AUTHOR in rules.roster.groups[group].roles:
            raise Invalid(
                f"{group} are catalog authors: if they were removed, nobody could put anything back",
                field="groups",
                hint="propose other rules instead",
            )
    return tuple(sorted(asked))


def _demand_reviewer(rules: Rules, principal: Principal, groups: Sequence[str]) -> None:
    if not principal.human or not all(_reviews(rules, principal.person, group) for group in groups):
        raise NotEligible(
            f"{principal.person} does not review {', '.join(groups)[:200]}",
            rule="auditors, and owners of the entitlements that a group is for, keep or remove its members",
        )


def _reviews(rules: Rules, person: str, group: str) -> bool:
    """Say whether a person is an auditor, or owns an entitlement that the group asks or signs for."""
    if Role.AUDITOR in rules.directory.roles_of(person):
        return True
    return any(
        person in rules.directory.members(item.owner)
        for item in rules.catalog.entitlements.values()
        if group in {item.owner, *(item.requesters or ()), *(factor.group for factor in item.review)}
    )


def _sees(rules: Rules, principal: Principal, campaign: Campaign) -> bool:
    if Role.OPERATOR in rules.directory.roles_of(principal.person):
        return True
    return any(_reviews(rules, principal.person, group) for group in campaign.groups)


def _known(tx: Tx, campaign_id: str, *, lock: bool) -> Campaign:
    campaign = tx.campaign(campaign_id, lock=lock)
    if campaign is None:
        raise NotFound(f"there is no campaign {campaign_id[:20]!r} for you")
    return campaign
