"""What a process looks at before it begins: that its settings are the countersigned ones, its database no second genesis."""

from __future__ import annotations

from collections.abc import Mapping

from countersign.config.catalog import load_catalog
from countersign.config.problems import ConfigError, Problem
from countersign.config.settings import Settings
from countersign.domain.configured import Configured
from countersign.providers.base import Answer, Provider, Stray
from countersign.service.genesis import Standing, end_all, look_around
from countersign.store import Store


def demand_nothing_stands(store: Store, settings: Settings, providers: Mapping[str, Provider]) -> None:
    """Demand that an empty database is a beginning: credentials of ours that stand belong to another, which was lost."""
    with store.read() as tx:
        if tx.rulebook_seq():
            return
    found = look_around(providers, load_catalog(settings.catalog_path)[1])
    names = ", ".join(sorted({str(stray.lease_id) for _, stray in found.strays})[:5])
    if found.strays:
        problem = Problem(
            where="database_url",
            expected="the database that knows what stands at the providers; `countersign strays` lists and ends it",
            got=f"an empty one, beside {len(found.strays)} that stand: {names}",
        )
        raise ConfigError([problem])
    if found.unseen and settings.mode == "production":
        problem = Problem(
            where="database_url",
            expected="providers that can be asked what stands, before an empty database is founded",
            got=f"no answer from {', '.join(found.unseen)}",
        )
        raise ConfigError([problem])


def look_before_the_first_start(
    store: Store, settings: Settings, providers: Mapping[str, Provider], *, ending: bool
) -> tuple[Standing, list[tuple[Stray, Answer]]]:
    """Return what stands at the providers while the database knows of nothing, and what of it was ended.

    Raises:
        ConfigError: there are rules in the database; from then on the broker finds and ends by itself what should not stand.
    """
    with store.read() as tx:
        if tx.rulebook_seq():
            problem = Problem(where="database_url", expected="an empty database", got="one in which a broker lives")
            raise ConfigError([problem])
    found = look_around(providers, load_catalog(settings.catalog_path)[1])
    return found, end_all(providers, found.strays) if ending else []


def configured_of(settings: Settings) -> Configured:
    """Return of the settings what the rules may decide about."""
    addresses = {} if settings.openbao is None else {"vault": settings.openbao.addr}
    if settings.aws is not None:
        addresses["aws"] = settings.aws.endpoint_url or f"https://sts.{settings.aws.region}.amazonaws.com"
    return Configured(log_origin=settings.log_origin, providers=addresses)
