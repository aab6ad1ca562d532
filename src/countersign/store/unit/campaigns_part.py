"""Campaigns within a transaction."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from countersign.domain.campaign import Campaign, Membership, Ruling
from countersign.domain.refusals import Conflict
from countersign.store.campaign_tables import campaign_items, campaigns
from countersign.store.unit.part import Part


class CampaignsPart(Part):
    """Campaigns, and what they ask about."""

    def add_campaign(self, campaign: Campaign, items: Iterable[Membership]) -> None:
        """Keep a new campaign and what it asks about."""
        row = {name: getattr(campaign, name) for name in Campaign.__dataclass_fields__}
        self._insert(campaigns, row | {"groups": list(campaign.groups)})
        for item in items:
            row = {name: getattr(item, name) for name in Membership.__dataclass_fields__}
            self._insert(campaign_items, row | {"campaign_id": campaign.id})

    def campaign(self, campaign_id: str, *, lock: bool = False) -> Campaign | None:
        """Return a campaign; with `lock`, nobody else decides in it until the transaction ends."""
        row = self._one(campaigns, campaigns.c.id == campaign_id, lock=lock)
        return None if row is None else _to_campaign(row)

    def campaigns(self, *, limit: int = 100) -> list[Campaign]:
        """Return campaigns, newest first."""
        query = sa.select(campaigns).order_by(campaigns.c.started_at.desc(), campaigns.c.id.desc()).limit(limit)
        return [_to_campaign(row) for row in self._connection.execute(query).mappings()]

    def campaigns_due(self) -> list[Campaign]:
        """Return campaigns whose time is over and that are not closed."""
        query = sa.select(campaigns).where(campaigns.c.closed_at.is_(None), campaigns.c.due_at <= self.now)
        return [_to_campaign(row) for row in self._connection.execute(self._skip_locked(query)).mappings()]

    def campaign_items(self, campaign_id: str) -> list[Membership]:
        """Return what a campaign asks about, by group and person."""
        table = campaign_items
        query = sa.select(table).where(table.c.campaign_id == campaign_id).order_by(table.c.group, table.c.person)
        return [_to_item(row) for row in self._connection.execute(query).mappings()]

    def decide_membership(self, campaign_id: str, item: Membership) -> None:
        """Write a ruling.

        Raises:
            Conflict: somebody else was faster.
        """
        table = campaign_items
        query = sa.update(table).where(
            table.c.campaign_id == campaign_id,
            table.c.person == item.person,
            table.c.group == item.group,
            table.c.ruling.is_(None),
        )
        values = {"ruling": str(item.ruling), "decided_by": item.decided_by, "decided_at": item.decided_at}
        if self._connection.execute(query.values(**values)).rowcount != 1:
            raise Conflict(f"somebody else decided on {item.person} at the same moment")

    def close_campaign(self, campaign: Campaign) -> None:
        """Close a campaign.

        Raises:
            Conflict: it is closed.
        """
        query = sa.update(campaigns).where(campaigns.c.id == campaign.id, campaigns.c.closed_at.is_(None))
        if self._connection.execute(query.values(closed_at=self.now)).rowcount != 1:
            raise Conflict(f"{campaign.id} is closed already")


def _to_campaign(row: sa.RowMapping) -> Campaign:
    return Campaign(**{name: row[name] for name in Campaign.__dataclass_fields__} | {"groups": tuple(row["groups"])})


def _to_item(row: sa.RowMapping) -> Membership:
    values = {name: row[name] for name in Membership.__dataclass_fields__}
    return Membership(**values | {"ruling": None if row["ruling"] is None else Ruling(row["ruling"])})
