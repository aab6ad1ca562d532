"""The key that signs the log's checkpoints, in a file or at OpenBao."""

from __future__ import annotations

import ssl

from countersign.auditlog.signer import LogSigner, create_key_file, load_key_file
from countersign.config.logkeys import log_verifier
from countersign.config.problems import ConfigError, Problem
from countersign.config.sections import LogTransit
from countersign.config.settings import Settings
from countersign.store import Store


def log_signer(settings: Settings) -> LogSigner:
    """Return the key that signs checkpoints: OpenBao's, or a file's, made on the first start and never again for the same log."""
    if settings.log_transit is not None:
        return _transit_signer(settings.log_transit, settings.log_origin)
    if settings.log_key_path.exists():
        return load_key_file(settings.log_key_path)
    return create_key_file(settings.log_key_path, settings.log_origin)


def _transit_signer(access: LogTransit, origin: str) -> LogSigner:
    """Return the key at OpenBao; it is not asked for anything yet, so that a start does not wait for it."""
    from countersign.providers.vault.login import AppRole, Broker  # noqa: PLC0415 - only where it is declared
    from countersign.providers.vault.transit import TransitSigner  # noqa: PLC0415 - as above
    from countersign.providers.vault.wire import Wire  # noqa: PLC0415 - as above

    pinned = log_verifier(access.vkey)
    if pinned.name != origin:
        raise ConfigError([Problem(where="log_transit.vkey", expected=f"a key named {origin}", got=pinned.name)])
    context = ssl.create_default_context(cafile=access.ca_file) if access.ca_file else None
    role = AppRole(role_id=access.role_id.get_secret_value(), secret_id=access.secret_id.get_secret_value())
    return TransitSigner(
        Broker(Wire(access.addr, context=context), role),
        mount=access.mount,
        key=access.key,
        version=access.key_version,
        pinned=pinned,
    )


def demand_log_key(store: Store, settings: Settings) -> None:
    """Demand the key that signed what is signed already: a second key for one log would contradict the first."""
    with store.read() as tx:
        signed = tx.newest_checkpoint()
    if signed is not None and settings.log_transit is None and not settings.log_key_path.exists():
        problem = Problem(
            where="log_key_path",
            expected="the key that signed this log's checkpoints; every broker of one database has the same",
            got=f"no file at {settings.log_key_path}",
        )
        raise ConfigError([problem])
