"""What detectors share: the thresholds and rules in force at the entry that is read, and where they note what they find."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from countersign.auditlog.leaf import Fact
from countersign.auditlog.meaning.findings import DEFAULT, Finding, Severity, Thresholds
from countersign.auditlog.meaning.ledger import Ledger
from countersign.auditlog.meaning.rulebooks import Rulebooks

AUDITORS, OPERATORS = "role:auditor", "role:operator"


@dataclass(slots=True)
class Notebook:
    """Where detectors write.

    Attributes:
        limits: what is too much, as the rules in force say it over `given`.
        rules: the rules as the log tells them; `is_told` when somebody else puts them together, and has before it is read here.
        found: what was noted since it was last taken.
        told: when each habit was last told of; it is told again only after the window.
    """

    given: Thresholds = DEFAULT
    limits: Thresholds = DEFAULT
    rules: Rulebooks = field(default_factory=lambda: Rulebooks(ledger=Ledger(thresholds=DEFAULT)))
    is_told: bool = False
    found: list[Finding] = field(default_factory=list)
    told: dict[tuple[str, ...], datetime] = field(default_factory=dict)

    def learn(self, index: int, fact: Fact) -> None:
        """Take a fact that says what the rules are, and with them the thresholds."""
        if not self.is_told:
            self.rules.learn(index, fact)
        if fact["type"] == "rulebook.adopted":
            trust = self.rules.now.sections.get("catalog/trust", {}) if self.rules.now else {}
            said = trust.get("thresholds") if isinstance(trust, Mapping) else None
            self.limits = self.given.countersigned(said) if isinstance(said, Mapping) else self.given

    def owner_of(self, entitlement: str | None, otherwise: str = AUDITORS) -> str:
        """Return the group that answers for an entitlement, or a role where there is none."""
        known = self.rules.now.entitlements if self.rules.now else {}
        owner = known.get(entitlement or "", {}).get("owner")
        return owner if isinstance(owner, str) else otherwise

    def note(
        self,
        index: int,
        code: str,
        severity: Severity,
        detail: str,
        *,
        persons: Iterable[str] = (),
        evidence: Iterable[int] = (),
        owner: str = AUDITORS,
    ) -> None:
        """Note a finding."""
        self.found.append(
            Finding(
                index=index,
                code=code,
                severity=severity,
                detail=detail,
                persons=tuple(sorted(set(persons))),
                evidence=tuple(sorted({*evidence, index})),
                owner=owner,
            )
        )

    def once(
        self,
        index: int,
        code: str,
        severity: Severity,
        detail: str,
        *,
        at: datetime,
        about: Iterable[str],
        persons: Iterable[str] = (),
        evidence: Iterable[int] = (),
        owner: str = AUDITORS,
    ) -> None:
        """Note a habit when it shows, and again only when the window has passed and it still does."""
        if self.is_untold(at, code, *about):
            self.told[code, *about] = at
            self.note(index, code, severity, detail, persons=persons, evidence=evidence, owner=owner)

    def is_untold(self, at: datetime, code: str, *about: str) -> bool:
        """Say whether a habit was not told of within the window. Who has one shows it with every entry, and looking is dear."""
        told = self.told.get((code, *about))
        return told is None or at - told > self.limits.window
