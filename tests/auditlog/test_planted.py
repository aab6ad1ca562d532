"""What is grave or gathers slowly, planted among everyday facts: found, each by its name, and hardly anything else."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from typing import Any

from tests.auditlog.test_detectors import BEGIN, History, everyday
from tests.world import entitlement

from countersign.auditlog.meaning.detectors import Detectors
from countersign.auditlog.meaning.findings import Finding
from countersign.config.catalog import parse_catalog
from countersign.config.directory import parse_directory
from countersign.domain.rule_texts import batches, rows_between, sections_of
from countersign.domain.timestamps import spell

SEEDS = range(3)
CATALOG = {
    "schema": 1,
    "target": [{"id": "orders-db", "provider": "fake", "kind": "memory", "settings": {}}],
    "entitlement": [entitlement("awake", requesters=None), entitlement("asleep", requesters=None)],
}
DIRECTORY = {
    "schema": 1,
    "person": [
        {"id": "boss0", "name": "Boss"},
        {"id": "lead0", "name": "Lead", "manager": "boss0"},
        {"id": "junior0", "name": "Junior", "manager": "lead0"},
        {"id": "idle0", "name": "Idle"},
    ],
    "group": [
        {"id": "orders-owners", "members": ["lead0", "junior0"], "roles": ["approver"]},
        {"id": "engineers", "members": ["idle0"], "roles": ["requester"]},
    ],
}


class Planting(History):
    """A history with rules in it, into which things are planted by code and by a word that the finding must hold."""

    def begin(self) -> None:
        catalog, directory = parse_catalog(_without_none(CATALOG)), parse_directory(DIRECTORY)
        self.rule = catalog.entitlements["awake"].rule_digest
        written = list(batches(rows_between({}, sections_of(catalog, directory))))
        for rows in written:
            self.tell(BEGIN, "rulebook.written", "countersign/start", "rulebook", rows=list(rows))
        self.tell(
            BEGIN, "rulebook.adopted", "countersign/start", "rulebook", catalog=catalog.digest,
            directory=directory.digest, genesis=True, proposed_by=None, approved_by=None, written=len(written),
        )  # fmt: skip
        self.wanted: list[tuple[str, str]] = []

    def plant(self, code: str, word: str) -> None:
        self.wanted.append((code, word))

    def lease(self, at: datetime, name: str, **changes: Any) -> None:  # noqa: ANN401 - what differs from an honest one
        """Tell of a lease of ten minutes, honest but for the changes; `dead_s` None leaves it alive."""
        honest: dict[str, Any] = {"lives_s": 600, "expires_s": 630, "rule": self.rule, "dead_s": 600, "late_ms": 0}
        changes = honest | changes
        who, due = f"user-{name}", at + timedelta(seconds=changes["lives_s"])
        statement = {"entitlement": "awake"}
        self.tell(at, "request.submitted", who, f"req_{name}", statement=statement)
        self.tell(
            at, "grant.opened", "lead0", f"grt_{name}", request=f"req_{name}", person=who, approvers=["lead0"],
            rule=changes["rule"], duration_s=600,
        )  # fmt: skip
        backstop = due + timedelta(seconds=30)
        self.tell(
            at, "lease.prepared", who, f"lse_{name}", grant=f"grt_{name}", person=who, not_after=spell(due),
            backstop_at=spell(backstop),
        )  # fmt: skip
        expires = at + timedelta(seconds=changes["expires_s"])
        self.tell(at, "lease.issued", who, f"lse_{name}", grant=f"grt_{name}", expires_at=spell(expires))
        if changes["dead_s"] is not None:
            end = at + timedelta(seconds=changes["dead_s"])
            self.tell(end, "lease.dead", "countersign/sweep", f"lse_{name}", lateness_ms=changes["late_ms"])


def _without_none(catalog: dict[str, Any]) -> dict[str, Any]:
    plain = [{key: value for key, value in item.items() if value is not None} for item in catalog["entitlement"]]
    return {**catalog, "entitlement": plain}


def planted(seed: int) -> Planting:
    dice, history = Random(seed), Planting()  # noqa: S311 - histories, not secrets
    history.begin()
    everyday(history, dice)

    def day() -> datetime:
        return BEGIN + timedelta(days=dice.uniform(1, 55))

    for number in range(12):
        history.lease(day(), f"honest{number}")
    history.lease(day(), "latedead", dead_s=1000, late_ms=400_000)
    history.plant("late-revocation", "lse_latedead")
    history.lease(day(), "undead", dead_s=None)
    history.plant("late-revocation", "lse_undead")
    history.lease(day(), "overlong", lives_s=700, expires_s=700, dead_s=700)
    history.plant("limit-breach", "lse_overlong")
    history.lease(day(), "beyond", expires_s=900)
    history.plant("limit-breach", "lse_beyond")
    history.lease(day(), "drifting", rule="0" * 64)
    history.plant("policy-drift", "grt_drifting")
    for asker, signer in (("boss0", "lead0"), ("boss0", "junior0"), ("lead0", "junior0")):
        history.decided(day(), asker, signer)
        history.plant("reporting-line", f"{signer} signed")
    history.tell(day(), "provider.anomaly", "countersign/watch", "lse_alien", provider="fake", kind="issued-outside")
    history.plant("outside-credential", "lse_alien")
    refused_order = {"grant": "grt_nobody", "code": "order-void"}
    history.tell(day(), "order.refused", "countersign/orders", "0" * 64, **refused_order)
    history.plant("order-refused", "grt_nobody")
    history.tell(day(), "clock.stepped", "countersign/clock", "clock", offset_ms=-4000, issuing=False)
    history.plant("clock-step", "-4000 ms")
    history.tell(day(), "notice.failed", "countersign/notices", "grt_untold", entry=3, receiver="hook", trouble="away")
    history.plant("owners-untold", "grt_untold")
    unsaid = {"person": "rex0", "entitlement": "awake"}
    history.tell(day(), "break-glass.unreviewed", "countersign/sweep", "grt_unsaid", **unsaid)
    history.plant("review-owed", "grt_unsaid")
    for number in range(18):
        history.decided(BEGIN + timedelta(days=40 + number / 2), "greta0", f"ann{number}", what=f"thing{number}")
    history.plant("creep", "greta0")
    for at, configuration in ((BEGIN, "one"), (day(), "two"), (BEGIN + timedelta(days=95), "two")):
        history.tell(at, "broker.started", "countersign/start", "broker", configuration=configuration)
    history.plant("configuration-changed", "two")
    history.plant("dormant-entitlement", "asleep")
    history.plant("dormant-person", "idle0")
    failed = {"ok": False, "codes": ["root-mismatch"]}
    history.tell(BEGIN + timedelta(days=95, seconds=1), "log.checked", "countersign/self-check", "log", **failed)
    history.plant("self-check-failed", "root-mismatch")
    history.tell(BEGIN + timedelta(days=95, hours=1), "token.issued", "countersign/start", "ann0")
    history.plant("log-gap", "nothing was written")
    return history


def found_in(history: Planting) -> list[Finding]:
    detectors = Detectors()
    for index, (_, fact) in enumerate(sorted(history.facts, key=lambda told: told[0])):
        detectors.feed(index, fact)
    return detectors.finish()


def test_what_was_planted_is_found_by_its_name_and_hardly_anything_else() -> None:
    wanted = recalled = found = right = 0
    for seed in SEEDS:
        history = planted(seed)
        findings = found_in(history)
        hits = [
            [each for each in findings if each.code == code and word in each.detail] for code, word in history.wanted
        ]
        wanted, recalled = wanted + len(hits), recalled + sum(map(bool, hits))
        found, right = found + len(findings), right + len({each.id for one in hits for each in one})
        assert all(each.index in each.evidence and each.owner for each in findings)
    assert recalled / wanted >= 0.95, (recalled, wanted)
    assert right / found >= 0.9, (right, found)
