"""Erasures in a replay: what people wrote was erased by two, one of them an auditor, after its time, and under no hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from countersign.auditlog.leaf import Fact
from countersign.auditlog.meaning.ledger import Ledger
from countersign.auditlog.meaning.rulebooks import Rulebooks
from countersign.domain.people import Role
from countersign.domain.timestamps import read
from countersign.domain.trust import SIX_YEARS_DAYS


@dataclass(frozen=True, kw_only=True, slots=True)
class ErasedTexts:
    """So many texts of entries before a moment were erased, at entry `index`, by the word of two."""

    index: int
    before: str
    by: tuple[str, str]
    texts: int


@dataclass(slots=True)
class Retained:
    """Judges the facts of erasures.

    Attributes:
        asked: by erasure, who asked for it and up to when.
        approved: by erasure, what was decided by whom.
        erased: what was carried out.
    """

    ledger: Ledger
    rules: Rulebooks
    asked: dict[str, tuple[str, str]] = field(default_factory=dict)
    approved: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    erased: list[ErasedTexts] = field(default_factory=list)

    def was_asked(self, index: int, fact: Fact) -> None:
        """Somebody asked for an erasure."""
        del index
        self.asked[fact["subject"]] = (fact["actor"], fact["data"]["before"])

    def was_approved(self, index: int, fact: Fact) -> None:
        """Another approved just that, and one of the two is an auditor."""
        name, by, data = fact["subject"], fact["actor"], fact["data"]
        asked = self.asked.pop(name, None)
        if asked != (data["asked_by"], data["before"]) or by == data["asked_by"]:
            self.ledger.broken(index, "erasure-unfounded", f"{name} was not asked for like this by another than {by}")
        elif self.rules.now is not None and not self.rules.now.directory.holders(Role.AUDITOR) & {by, asked[0]}:
            self.ledger.broken(index, "erasure-unfounded", f"neither {asked[0]} nor {by} is an auditor")
        self.approved[name] = (data["asked_by"], by, data["before"])

    def was_done(self, index: int, fact: Fact) -> None:
        """What was decided was carried out, after its time and under no legal hold."""
        name, data = fact["subject"], fact["data"]
        if self.approved.pop(name, None) != (data["asked_by"], data["approved_by"], data["before"]):
            self.ledger.broken(index, "erasure-unfounded", f"nobody decided on {name} like this")
        trust: Mapping[str, Any] = {} if self.rules.now is None else self.rules.now.sections.get("catalog/trust", {})
        kept = timedelta(days=trust.get("retention_days", SIX_YEARS_DAYS))
        if trust.get("legal_hold") or read(data["before"]) > read(fact["at"]) - kept:
            self.ledger.broken(index, "erasure-early", f"{name} erased what the rules in force keep")
        by = (data["asked_by"], data["approved_by"])
        self.erased.append(ErasedTexts(index=index, before=data["before"], by=by, texts=data["texts"]))
