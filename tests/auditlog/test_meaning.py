"""The meaning of a log: honest histories raise no alarm, and a lie with right hashes is named by its entry."""

from __future__ import annotations

from tests.quick import histories
from tests.service.test_rules_machine import Histories

from countersign.auditlog.meaning import Finding, MeaningCheck, Severity
from countersign.domain.refusals import Refused
from countersign.store import Store


def meaning_of(store: Store) -> list[Finding]:
    check = MeaningCheck()
    for entry in store.entries():
        check.read(entry.index, entry.leaf)
    return check.finish()


def broken(found: list[Finding]) -> list[Finding]:
    return [finding for finding in found if finding.severity is Severity.BROKEN]


class HonestHistories(Histories):
    """Everything people and the world can do, and what the log says of it at the end."""

    def every_invariant_holds(self) -> None:
        """Leave to the histories themselves what they hold after every step; here the log is judged, at the end."""

    def teardown(self) -> None:
        self.provider.picked_up = True
        for _ in range(3):
            self.world.clock.forward(seconds=46)
            try:
                self.world.sweep()
            except Refused:
                continue
        found = broken(meaning_of(self.world.store))
        super().teardown()
        assert found == []


HonestHistories.TestCase.settings = histories(ci=40, nightly=10_000)
TestHonestHistories = HonestHistories.TestCase
