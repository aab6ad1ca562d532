"""Prepares a database for two halves, as its owner: the tables of this version, and what each half's login may write."""

from __future__ import annotations

from countersign.bootstrap.clock import now
from countersign.config.problems import ConfigError, Problem
from countersign.config.settings import Settings
from countersign.store import Store
from countersign.store.rights import UnfitLogin, grant


def prepare_database(settings: Settings, *, people: str, issuer: str) -> None:
    """Bring the schema to this version and give two logins their rights; may be repeated, and is after each upgrade.

    Raises:
        ConfigError: another database than PostgreSQL, or a login that the grants would not bind.
        LogUnavailable: the database cannot be reached.
    """
    url = settings.database_url.get_secret_value()
    if not url.startswith("postgresql"):
        problem = Problem(
            where="database_url",
            expected="postgresql://… as the tables' owner: halves are two processes on one PostgreSQL",
            got="another kind of database",
        )
        raise ConfigError([problem])
    store = Store(url, clock=now)
    try:
        store.migrate()
        grant(url, people=people, issuer=issuer)
    except UnfitLogin as unfit:
        problem = Problem(where="the halves' logins", expected="two that grants bind", got=str(unfit))
        raise ConfigError([problem]) from None
    finally:
        store.close()
