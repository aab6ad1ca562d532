"""Makes the providers that the settings name, each library loaded only for what is declared."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import structlog

from countersign.bootstrap.clock import now
from countersign.bootstrap.record_sources import aws_principal
from countersign.config.problems import ConfigError, Problem
from countersign.config.settings import Settings
from countersign.domain.refusals import LogUnavailable
from countersign.providers.base import Away, Provider, ProviderTrouble
from countersign.store import Store

logger = structlog.get_logger(__name__)


def make_providers(settings: Settings, store: Store) -> dict[str, Provider]:
    """Return the providers that the settings name. Imported here, so that a broker without AWS never loads boto3."""
    made: dict[str, Provider] = {}
    if settings.openbao is not None:
        from countersign.providers.vault import AppRole, VaultProvider  # noqa: PLC0415

        vault = VaultProvider(
            address=settings.openbao.addr,
            login=AppRole(
                role_id=settings.openbao.role_id.get_secret_value(),
                secret_id=settings.openbao.secret_id.get_secret_value(),
            ),
            target_dsns={name: target.dsn.get_secret_value() for name, target in settings.targets.items()},
            clock=now,
            wrap_ttl_s=settings.openbao.wrap_ttl_s,
            context=ssl.create_default_context(cafile=settings.openbao.ca_file) if settings.openbao.ca_file else None,
        )
        made["vault"] = vault
    if settings.aws is not None:
        from countersign.providers.aws import AwsProvider, AwsSettings  # noqa: PLC0415

        aws = AwsSettings(
            assumer=aws_principal(settings.aws.assumer),
            revoker=aws_principal(settings.aws.revoker),
            region=settings.aws.region,
            endpoint_url=settings.aws.endpoint_url,
        )
        made["aws"] = AwsProvider(aws, now=now, turn=lambda name: _turn(store, name))
    return made


@contextmanager
def _turn(store: Store, name: str) -> Iterator[None]:
    """Hold other brokers off something outside; that it cannot be had is the provider's trouble, and tried again."""
    try:
        with store.turn(f"aws {name}"):
            yield
    except LogUnavailable as busy:
        raise Away(f"another broker writes there, or the database is away: {busy.detail}") from busy


def demand_fit_rights(providers: Mapping[str, Provider]) -> None:
    """Refuse to serve with a login at OpenBao that may too much or too little; with OpenBao away, serve and end what is due."""
    from countersign.providers.vault import VaultProvider  # noqa: PLC0415 - a broker without OpenBao never loads it

    for vault in (each for each in providers.values() if isinstance(each, VaultProvider)):
        try:
            unfit = vault.unfit_rights()
        except ProviderTrouble as trouble:
            logger.warning("the broker's rights at OpenBao could not be looked at", trouble=str(trouble))
            continue
        if unfit:
            expected = "the rights of the module's broker policy"
            raise ConfigError([Problem(where="openbao", expected=expected, got=each) for each in unfit])
