"""Opens the database, and brings the first rules into force in an empty one."""

from __future__ import annotations

import time
from collections.abc import Sequence

import structlog

from countersign.bootstrap.clock import now
from countersign.bootstrap.record_sources import make_sources
from countersign.config.catalog import load_catalog
from countersign.config.crosscheck import check_together
from countersign.config.directory import load_directory
from countersign.config.halves import Half
from countersign.config.problems import ConfigError, Problem, Severity
from countersign.config.settings import Settings
from countersign.domain.entitlement import Catalog
from countersign.domain.proposal import genesis_digest
from countersign.providers.previews import make_previews
from countersign.providers.records import RecordSource
from countersign.service.idling import why_use_is_unknown
from countersign.service.rehearsal import Rehearsal
from countersign.service.rules import found
from countersign.store import Store

LOOK_AGAIN_S = 0.2

logger = structlog.get_logger(__name__)


def open_store(settings: Settings) -> Store:
    """Open the database and bring its schema to this version."""
    settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = Store(settings.database_url.get_secret_value(), clock=now)
    store.migrate()
    return store


def open_founded_store(settings: Settings, *, within_s: float) -> Store:
    """Open a database that the issuing half has set up, and wait for that so long.

    Raises:
        ConfigError: it did not set it up in time.
    """
    settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = Store(settings.database_url.get_secret_value(), clock=now)
    until = time.monotonic() + within_s
    while not _is_founded(store):
        if time.monotonic() > until:
            store.close()
            problem = Problem(
                where="database_url",
                expected="a database that the issuing half has set up: start it first",
                got="one without this version's tables, or without rules",
            )
            raise ConfigError([problem])
        time.sleep(LOOK_AGAIN_S)
    return store


def _is_founded(store: Store) -> bool:
    if not store.is_current():
        return False
    with store.read() as tx:
        return bool(tx.rulebook_seq())


def found_rules(store: Store, settings: Settings) -> None:
    """Bring the catalog and directory files into force in an empty database, once they make sense together.

    With rules in force already, files that say something else are only a proposal somebody has yet to make.

    Raises:
        ConfigError: with everything that is wrong with them, or because they are not the rules that somebody pinned.
    """
    catalog_source, catalog = load_catalog(settings.catalog_path)
    directory_source, directory = load_directory(settings.directory_path)
    problems = check_together(catalog, directory)
    errors = [problem for problem in problems if problem.severity is Severity.ERROR]
    if errors := [*errors, *_unservable(catalog, make_sources(settings))]:
        raise ConfigError(errors)
    for warning in problems:
        logger.warning("catalog and directory", problem=str(warning))
    with store.read() as tx:
        current = tx.rulebook()
    if current is None:
        _rehearse(catalog, settings)
        _demand_pin(settings, genesis_digest(catalog=catalog.digest, directory=directory.digest))
        found(store, catalog=catalog_source, directory=directory_source)
    elif (current.catalog_digest, current.directory_digest) != (catalog.digest, directory.digest):
        logger.warning("the files are not the rules in force; propose them", in_force=current.seq)


def _rehearse(catalog: Catalog, settings: Settings) -> None:
    """Refuse first rules of which something could never be served, and say what in them is dangerous.

    Raises:
        ConfigError: with every reason.
    """
    remarks = Rehearsal(previews=make_previews(aws_region=settings.aws_region)).remarks(catalog)
    errors = [remark for remark in remarks if remark.severity is Severity.ERROR]
    if errors:
        raise ConfigError(
            [
                Problem(where=f"entitlement {each.entitlement}", expected="what could be served", got=each.said)
                for each in errors
            ]
        )
    for remark in remarks:
        logger.warning("catalog", entitlement=remark.entitlement, problem=remark.said)


def _unservable(catalog: Catalog, sources: Sequence[RecordSource]) -> list[Problem]:
    """Name the entitlements that are to end when nobody uses them, where that could not be known."""
    reasons = ((item.id, why_use_is_unknown(item, sources)) for item in catalog.entitlements.values())
    return [
        Problem(where=f"entitlement {name}.idle_s", expected="last use that can be known", got=why)
        for name, why in reasons
        if why is not None
    ]


def _demand_pin(settings: Settings, genesis: str) -> None:
    """Demand that the first rules are those that a second person pinned in the settings (embedded, in one process: any)."""
    as_they_are = settings.mode == "embedded" and settings.half is Half.BOTH
    if settings.genesis != genesis and not (settings.genesis is None and as_they_are):
        problem = Problem(
            where="genesis",
            expected=f"{genesis}, set by someone other than who wrote the files, after reading them",
            got="nothing" if settings.genesis is None else "another digest",
        )
        raise ConfigError([problem])
