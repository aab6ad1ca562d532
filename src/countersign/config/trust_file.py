"""The shape of `[trust]` in `catalog.toml`, and the `Trust` that it means."""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated

from pydantic import Field

from countersign.config.issuer_file import IssuerTable
from countersign.config.sections import Address, Receiver
from countersign.config.table import Name, Table
from countersign.domain.trust import SIX_YEARS_DAYS, Trust

LONGEST_RETENTION_DAYS = 36_525
Origin = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*(/[a-z0-9._-]+)*$", max_length=200)]


class TrustTable(Table):
    """`[trust]`; the addresses of providers are `[trust.providers]`, who is told of emergencies is `[trust.notices]`."""

    log_origin: Origin | None = None
    providers: dict[Name, Address] = Field(default_factory=dict)
    retention_days: Annotated[int, Field(ge=1, le=LONGEST_RETENTION_DAYS)] = SIX_YEARS_DAYS
    notices: dict[Name, Annotated[list[Receiver], Field(min_length=1, max_length=8)]] = Field(default_factory=dict)
    issuer: Annotated[tuple[IssuerTable, ...], Field(strict=False)] = ()

    def meaning(self) -> Trust:
        """Return what the table says."""
        return Trust(
            log_origin=self.log_origin,
            providers=MappingProxyType(dict(self.providers)),
            retention_days=self.retention_days,
            notices=MappingProxyType({group: tuple(names) for group, names in self.notices.items()}),
            issuers=MappingProxyType({each.id: each.meaning() for each in self.issuer}),
        )
