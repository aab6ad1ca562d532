"""Facts of erasures: asked for, approved, carried out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from countersign.domain.facts import Fact
from countersign.domain.request import Sealed


@dataclass(frozen=True, kw_only=True)
class ErasureAsked(Fact):
    """Somebody asked that the texts of all entries before a moment be erased."""

    type = "erasure.asked"
    principal: str
    before: datetime
    reason: Sealed


@dataclass(frozen=True, kw_only=True)
class ErasureApproved(Fact):
    """Another person approved it."""

    type = "erasure.approved"
    principal: str
    before: datetime
    asked_by: str


@dataclass(frozen=True, kw_only=True)
class TextsErased(Fact):
    """It was carried out: so many texts were erased, and the entries that commit to them stand as they were."""

    type = "texts.erased"
    before: datetime
    asked_by: str
    approved_by: str
    texts: int
