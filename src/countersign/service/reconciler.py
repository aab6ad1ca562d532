"""Reconciliation: what stands at the providers under our names, against what the database says should stand.

It finds what outlived its certificate, what nobody ever ordered, and what a provider made behind a broken connection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog

from countersign.domain.canonical import digest
from countersign.domain.facts import BROKER
from countersign.domain.lease_facts import Anomaly
from countersign.providers.base import Provider, ProviderTrouble, Stray
from countersign.service.office import Office

logger = structlog.get_logger(__name__)

ACTOR = f"{BROKER}/reconcile"


@dataclass(kw_only=True)
class Reconciler:
    """Compares, records each finding once, and ends what should not be."""

    office: Office
    providers: Mapping[str, Provider]
    _told: set[str] = field(default_factory=set)

    def reconcile(self) -> int:
        """Look at every provider once and return how many strays were found.

        A provider that cannot be listed is logged and looked at again next time.
        """
        with self.office.store.read() as tx:
            began = tx.now
            catalog = self.office.rules.current(tx).catalog
            targets: dict[str, Mapping[str, Any]] = {
                e.target.id: e.document()["target"] for e in catalog.entitlements.values()
            }
            targets |= {target["id"]: target for target in tx.live_targets()}
        found = 0
        for name, provider in self.providers.items():
            mine = [target for target in targets.values() if target["provider"] == name]
            found += self._look_at(provider, self._listed(provider, mine), since=began)
        return found

    def _listed(self, provider: Provider, targets: Sequence[Mapping[str, Any]]) -> list[Stray]:
        """Return what could be seen, also when a part of it could not."""
        listed: list[Stray] = []
        try:
            for stray in provider.roll_call(targets):
                listed.append(stray)  # noqa: PERF402 - what was yielded before a fault must be kept
        except ProviderTrouble as trouble:
            logger.warning("a provider could not be listed whole", provider=provider.name, trouble=str(trouble))
        return listed

    def _look_at(self, provider: Provider, listed: Sequence[Stray], *, since: datetime) -> int:
        # The listing was taken first: an intent is committed before anything exists, so what is listed and still
        # unknown here was never ordered.
        with self.office.store.read() as tx:
            deaths = tx.deaths({stray.lease_id for stray in listed if stray.lease_id is not None})
        strays = [(stray, kind) for stray in listed if (kind := _kind(stray, deaths, since)) is not None]
        for stray, kind in strays:
            said: Mapping[str, Any] = {}
            try:
                said = provider.end_stray(stray).said
            except ProviderTrouble as trouble:
                logger.warning("a stray could not be ended", provider=provider.name, trouble=str(trouble))
            self._tell(provider.name, stray, kind, said)
        return len(strays)

    def _tell(self, provider: str, stray: Stray, kind: str, said: Mapping[str, Any]) -> None:
        mark = digest("countersign/stray/v1", {"place": stray.place, "ref": stray.ref, "kind": kind})
        if mark in self._told:
            return
        logger.error("something stands at a provider that the log does not explain", provider=provider, kind=kind)
        with self.office.store.begin() as tx:
            tx.record(
                Anomaly(
                    actor=ACTOR,
                    subject=stray.lease_id or stray.target,
                    provider=provider,
                    kind=kind,
                    seen={"place": stray.place, "ref": stray.ref, "answer": said},
                )
            )
        self._told.add(mark)


def _kind(stray: Stray, deaths: Mapping[str, datetime | None], since: datetime) -> str | None:
    if stray.lease_id is None:
        return "foreign"
    if stray.lease_id not in deaths:
        return "never-ordered"
    # Listed while it lived and certified since is no contradiction; the next listing will not hold it.
    dead_at = deaths[stray.lease_id]
    return "outlived-its-certificate" if dead_at is not None and dead_at <= since else None
