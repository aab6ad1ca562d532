"""The first moment of a broker: an empty database beside living credentials is no new beginning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import structlog

from countersign.domain.entitlement import Catalog
from countersign.providers.base import Answer, Provider, ProviderTrouble, Stray

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What was found at the providers before there are any rules.

    Attributes:
        strays: what bears a lease's id, by provider name.
        unseen: providers that could not be asked, or not whole.
    """

    strays: tuple[tuple[str, Stray], ...]
    unseen: tuple[str, ...]


def look_around(providers: Mapping[str, Provider], catalog: Catalog) -> Standing:
    """Ask every provider what stands of ours at the catalog's targets."""
    targets = {item.target.id: item.document()["target"] for item in catalog.entitlements.values()}
    found: list[tuple[str, Stray]] = []
    unseen: list[str] = []
    for name, provider in sorted(providers.items()):
        try:
            strays = provider.roll_call([each for each in targets.values() if each["provider"] == name])
            found += [(name, stray) for stray in strays if stray.lease_id is not None]
        except ProviderTrouble as trouble:
            logger.warning("a provider could not be asked what stands", provider=name, trouble=str(trouble))
            unseen.append(name)
    return Standing(strays=tuple(found), unseen=tuple(unseen))


def end_all(providers: Mapping[str, Provider], strays: Iterable[tuple[str, Stray]]) -> list[tuple[Stray, Answer]]:
    """End what stands; only ever what `look_around` found. What could not be ended is left out, and is found again."""
    done: list[tuple[Stray, Answer]] = []
    for name, stray in strays:
        try:
            done.append((stray, providers[name].end_stray(stray)))
        except ProviderTrouble as trouble:
            logger.warning("what stands could not be ended", place=stray.place, trouble=str(trouble))
    return done
