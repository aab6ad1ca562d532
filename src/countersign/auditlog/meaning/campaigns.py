"""Campaigns in a replay: who decided was not whom it concerned, and nobody lost a membership before the time was over."""

from __future__ import annotations

from dataclasses import dataclass, field

from countersign.auditlog.leaf import Fact
from countersign.auditlog.meaning.ledger import Ledger


@dataclass(slots=True)
class Campaigns:
    """Judges the facts of campaigns.

    Attributes:
        due: by campaign that is open, when its time is over.
        rulings: by campaign that is open, the ruling and who gave it, by person and group.
    """

    ledger: Ledger
    due: dict[str, str] = field(default_factory=dict)
    rulings: dict[str, dict[tuple[str, str], tuple[str, str]]] = field(default_factory=dict)

    def started(self, index: int, fact: Fact) -> None:
        """A campaign opens."""
        del index
        self.due[fact["subject"]] = fact["data"]["due_at"]
        self.rulings[fact["subject"]] = {}

    def decided(self, index: int, fact: Fact) -> None:
        """Nobody decides on his own membership, nor twice."""
        name, by, data = fact["subject"], fact["actor"], fact["data"]
        rulings, about = self.rulings.get(name), (data["person"], data["group"])
        if rulings is None:
            self.ledger.broken(index, "campaign-unknown", f"{name} is not open")
        elif by == data["person"]:
            self.ledger.broken(index, "self-review", f"{by} decided on a membership of his own")
        elif about in rulings:
            self.ledger.broken(index, "decided-twice", f"{data['person']} in {data['group']} was decided before")
        else:
            rulings[about] = (data["ruling"], by)

    def removed(self, index: int, fact: Fact) -> None:
        """A membership ends by somebody's word, or when the time is over and nobody said one."""
        data, person = fact["data"], fact["subject"]
        rulings = self.rulings.get(data["campaign"])
        if rulings is None:
            self.ledger.broken(index, "campaign-unknown", f"{data['campaign']} is not open")
            return
        ruling = rulings.get((person, data["group"]))
        by_word = ruling is not None and ruling == ("remove", data["decided_by"])
        by_silence = ruling is None and data["decided_by"] is None and fact["at"] >= self.due[data["campaign"]]
        if not (by_word or by_silence):
            self.ledger.broken(index, "removal-unfounded", f"{person} in {data['group']} was removed by nobody's word")

    def closed(self, index: int, fact: Fact) -> None:
        """A campaign closes once."""
        name = fact["subject"]
        self.due.pop(name, None)
        if self.rulings.pop(name, None) is None:
            self.ledger.broken(index, "campaign-unknown", f"{name} is not open")
