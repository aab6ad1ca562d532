"""Carries a stop to the targets themselves: where a provider can, everything that was made there before is shut out, ours or not.

The leases of a stop end one by one as ever. This is for what is not among them: a session that somebody with a stolen key of the
broker's made past it. It spares nobody at the target, so a stop of one entitlement does it only where no other leads there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from countersign.auditlog.leaf import Entry
from countersign.domain.entitlement import Catalog
from countersign.domain.facts import BROKER
from countersign.domain.records_facts import TargetStopped
from countersign.domain.stop_facts import StopPlaced
from countersign.domain.timestamps import read
from countersign.providers.base import ProviderTrouble, StopsTargets
from countersign.service.followers import Unfinished
from countersign.service.rules import RuleReader
from countersign.store import Store

logger = structlog.get_logger(__name__)

ACTOR = f"{BROKER}/stop"
MOST_STOPPED = 100_000


@dataclass(frozen=True, kw_only=True)
class TargetStops:
    """Follows the log for stops; see `service.followers.Follower`."""

    store: Store
    rules: RuleReader
    providers: Mapping[str, StopsTargets]

    @property
    def name(self) -> str:
        """The name of its cursor."""
        return "target-stops"

    def handle(self, entries: Sequence[Entry]) -> None:
        """Shut out what the stops among these entries concern.

        Raises:
            Unfinished: a target could not be stopped; it is tried again.
        """
        for done, entry in enumerate(entries):
            fact = {} if entry.leaf is None else json.loads(entry.leaf)
            if fact.get("type") == StopPlaced.type:
                self._stop(fact, done)

    def _stop(self, fact: Mapping[str, Any], done: int) -> None:
        with self.store.read() as tx:
            catalog = self.rules.current(tx).catalog
            told = [json.loads(row["leaf"]) for row in tx.facts(type_=TargetStopped.type, limit=MOST_STOPPED)]
        stopped = {each["subject"] for each in told if each["data"]["stop"] == fact["subject"]}
        for target in _concerned(catalog, str(fact["data"]["scope"])):
            provider = self.providers.get(target["provider"])
            if provider is None or target["id"] in stopped:
                continue
            try:
                said = provider.stop_target(target, before=read(fact["at"])).said
            except ProviderTrouble as trouble:
                logger.warning("a target could not be stopped", target=target["id"], trouble=str(trouble))
                raise Unfinished(f"{target['id']}: {trouble}", done=done) from trouble
            with self.store.begin() as tx:
                tx.record(
                    TargetStopped(
                        actor=ACTOR,
                        subject=target["id"],
                        stop=fact["subject"],
                        provider=target["provider"],
                        answer=said,
                    )
                )


def _concerned(catalog: Catalog, scope: str) -> Iterator[Mapping[str, Any]]:
    """Yield, once each, the targets that a stop shuts out as a whole."""
    kind, _, name = scope.partition(" ")
    items = catalog.entitlements.values()
    targets = {item.target.id: item.document()["target"] for item in items}
    for target in targets.values():
        # Two targets with the same settings are one place.
        leading = {item.id for item in items if item.document()["target"]["settings"] == target["settings"]}
        if (
            kind == "all"
            or (kind == "provider" and target["provider"] == name)
            or (kind == "entitlement" and leading == {name})
        ):
            yield target
