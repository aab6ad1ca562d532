"""The shape of `[trust]` in `catalog.toml`, and the `Trust` that it means."""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated

from pydantic import Field

from countersign.config.sections import Address
from countersign.config.table import Name, Table
from countersign.domain.trust import SIX_YEARS_DAYS, Trust

LONGEST_RETENTION_DAYS = 36_525
Origin = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*(/[a-z0-9._-]+)*$", max_length=200)]


class TrustTable(Table):
    """`[trust]`; the addresses of providers are `[trust.providers]`."""

    log_origin: Origin | None = None
    providers: dict[Name, Address] = Field(default_factory=dict)
    retention_days: Annotated[int, Field(ge=1, le=LONGEST_RETENTION_DAYS)] = SIX_YEARS_DAYS

    def meaning(self) -> Trust:
        """Return what the table says."""
        return Trust(
            log_origin=self.log_origin,
            providers=MappingProxyType(dict(self.providers)),
            retention_days=self.retention_days,
        )
