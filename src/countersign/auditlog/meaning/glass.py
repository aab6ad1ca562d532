"""Emergencies gathered from the facts: each break-glass with who was skipped, who was told, and the word on it afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field

from countersign.auditlog.leaf import Fact


@dataclass(slots=True)
class Glass:
    """One break-glass as the facts tell it; times are spelled.

    Attributes:
        told: receivers that took the notice for the owners who were skipped.
        escalated: whether the log says that nobody looked at it in time.
        entries: the indexes of the facts about it.
    """

    grant: str
    request: str
    person: str
    entitlement: str
    incident: str
    drill: bool
    envelope: str | None
    approvers: tuple[str, ...]
    skipped: tuple[str, ...]
    opened_at: str
    review_due: str
    reviewer: str | None = None
    verdict: str | None = None
    reviewed_at: str | None = None
    late: bool = False
    escalated: bool = False
    told: list[str] = field(default_factory=list)
    entries: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Glasses:
    """Gathers them."""

    by_grant: dict[str, Glass] = field(default_factory=dict)

    def feed(self, index: int, fact: Fact) -> None:
        """Take the next fact."""
        kind, name, data = fact["type"], fact["subject"], fact["data"]
        if kind == "break-glass.opened":
            self.by_grant[name] = Glass(
                grant=name,
                **{key: data[key] for key in ("request", "person", "entitlement", "incident", "drill", "envelope")},
                approvers=tuple(data["approvers"]),
                skipped=tuple(data["skipped"]),
                opened_at=fact["at"],
                review_due=data["review_due"],
            )
        glass = self.by_grant.get(name)
        if glass is None:
            return
        match kind:
            case "break-glass.opened":
                pass
            case "break-glass.reviewed":
                glass.reviewer, glass.verdict = fact["actor"], data["verdict"]
                glass.reviewed_at, glass.late = fact["at"], data["late"]
            case "break-glass.unreviewed":
                glass.escalated = True
            case "notice.delivered":
                glass.told.append(data["receiver"])
            case "notice.failed" | "notice.unaddressed":
                pass
            case _:
                return
        glass.entries.append(index)
