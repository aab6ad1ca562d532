"""Populations: every entry counted once by what it is about, so that the counts add up to the size that the checkpoint names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from countersign.auditlog.leaf import Fact
from countersign.auditlog.pack.selection import Selection

POPULATIONS: tuple[tuple[str, str], ...] = (
    ("starts of the broker", "broker."),
    ("changes of the rules", "rulebook."),
    ("requests", "request."),
    ("counter-proposals", "counter."),
    ("approvals and denials", "review."),
    ("grants", "grant."),
    ("credentials", "lease."),
    ("break-glass", "break-glass."),
    ("envelopes", "envelope."),
    ("stops", "stop."),
    ("people", "person."),
    ("recertification", "campaign."),
    ("memberships removed", "membership."),
    ("tokens", "token."),
    ("keys that sign", "passkey."),
    ("sign-ins and what issuers said", "sign-in."),
    ("sign-ins and what issuers said", "session."),
    ("sign-ins and what issuers said", "issuer."),
    ("refused attempts", "act."),
    ("draw orders", "order."),
    ("what providers hold", "provider."),
    ("records of targets", "records."),
    ("records of targets", "target."),
    ("findings", "finding."),
    ("findings", "detectors."),
    ("notices to people", "notice."),
    ("the log's own checks and witnesses", "log."),
    ("the log's own checks and witnesses", "witness."),
    ("settings that were not those in force", "trust."),
    ("clock", "clock."),
    ("clock", "checkpoint."),
    ("reads and exports by auditors", "audit."),
    ("texts that were erased", "erasure."),
    ("texts that were erased", "texts."),
)
"""Populations by the beginning of their types; what fits none is counted as `others`."""

_SECTIONS = {
    "catalog/entitlements": "rule",
    "catalog/trust": "setting",
    "directory/groups": "role",
    "directory/principals": "alias",
    "directory/persons": "person",
    "directory/names": "names",
}
CHANGE_COLUMNS = ("entry", "at", "what", "id", "change", "by", "proposed_by", "approved_by", "detail")


@dataclass(slots=True)
class Populations:
    """Counts entries, and hands on each change of rules, roles, aliases, settings and persons, and each start.

    Attributes:
        change: takes one row of the table of changes.
    """

    selection: Selection
    change: Callable[..., None]
    size: int = 0
    first_at: str = ""
    last_at: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    inside: Counter[str] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)
    self_attempts: int = 0
    _written: list[tuple[int, Fact]] = field(default_factory=list)

    def feed(self, index: int, fact: Fact) -> None:
        """Take the next entry."""
        kind, at = fact["type"], fact["at"]
        self.size += 1
        self.first_at = self.first_at or at
        self.last_at = at
        self.counts[kind] += 1
        if self.selection.covers(at):
            self.inside[kind] += 1
        if not kind.startswith("lease."):
            self._tell(index, kind, fact)

    def _tell(self, index: int, kind: str, fact: Fact) -> None:
        match kind:
            case "rulebook.written":
                self._written.append((index, fact))
            case "rulebook.adopted":
                self._adopted(fact)
            case "broker.started":
                data = fact["data"]
                told = f"{data['version']} {data['configuration']}"
                self._note(index, fact, ("start", "broker", "started", told))
            case "person.disabled":
                self._note(index, fact, ("person", fact["subject"], "disabled", ""))
            case "membership.removed":
                self._note(index, fact, ("role", fact["data"]["group"], "member removed", fact["subject"]))
            case "passkey.founded" | "passkey.enrolled" | "passkey.removed":
                self._note(index, fact, ("key", fact["subject"], kind.partition(".")[2], fact["actor"]))
            case "token.issued" | "token.revoked":
                data = fact["data"]
                self._note(index, fact, ("key", data["token"], kind.partition(".")[2], data["principal"]))
            case "act.refused":
                self.self_attempts += fact["data"]["code"] == "self-review" and self.selection.covers(fact["at"])

    def rows(self) -> Iterator[tuple[str, str, int, int]]:
        """Yield population, type, entries in the whole log and entries in the period; the third column adds up to the size."""
        for kind in sorted(self.counts, key=lambda kind: (_order(kind), kind)):
            yield _population(kind), kind, self.counts[kind], self.inside[kind]

    def _adopted(self, fact: Fact) -> None:
        data = fact["data"]
        seen: set[tuple[str, str]] = set()
        for index, written in self._written:
            for row in written["data"]["rows"]:
                section, name = row["section"], row["id"] or ""
                if (section, name) in seen:
                    continue  # what goes on from the row before is the same change
                seen.add((section, name))
                what = _SECTIONS.get(section, section)
                how = "removed" if row["value"] is None else "first" if data["genesis"] else "set"
                self._note(index, written, (what, name, how, ""), data["proposed_by"], data["approved_by"])
        self._written = []

    def _note(self, index: int, fact: Fact, said: tuple[str, str, str, str], *by: str | None) -> None:
        """Hand on one change: what, its id, how it changed and more; `by` are who proposed and who approved it."""
        if not self.selection.covers(fact["at"]):
            return
        what, name, how, detail = said
        proposed_by, approved_by = by or (None, None)
        self.changes[what] += 1
        self.change(index, fact["at"], what, name, how, fact["actor"], proposed_by, approved_by, detail)


def _order(kind: str) -> int:
    return next((at for at, (_, begins) in enumerate(POPULATIONS) if kind.startswith(begins)), len(POPULATIONS))


def _population(kind: str) -> str:
    return next((name for name, begins in POPULATIONS if kind.startswith(begins)), "others")
